"""ALBERT's tokenizer against what google-research/albert's answers.

`reference/README.md` tells how the answers came about.
"""

from __future__ import annotations

import json
import pathlib
import pickle

import pytest
import sentencepiece

from bert_keras3.safekeeping.errors import UserError
from tokenization import find_vocab_file, guess_do_lower_case, load_vocab
from tokenization.sentence_pieces import SentencePieceTokenizer, preprocess_text
from tokenization.tokenizers import FullTokenizer, open_tokenizer

REFERENCE = pathlib.Path(__file__).parents[1] / "reference" / "tokenization"
MODEL = REFERENCE / "spiece.model"
ROWS = json.loads((REFERENCE / "sentence_pieces.json").read_text("utf-8"))


@pytest.fixture(scope="module", params=[True, False])
def case(request: pytest.FixtureRequest) -> str:
    return "lower" if request.param else "cased"


@pytest.fixture(scope="module")
def tokenizer(case: str) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(MODEL, do_lower_case=case == "lower")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ascii(row["text"][:20]))
def test_equals_the_original(
    row: dict, case: str, tokenizer: SentencePieceTokenizer
) -> None:
    text, expected = row["text"], row[case]
    assert preprocess_text(text, case == "lower") == expected["preprocessed"]
    assert tokenizer.tokenize(text) == expected["tokens"]
    assert tokenizer.encode(text) == expected["ids"]
    assert tokenizer.encode(text.encode()) == expected["ids"]
    assert (
        tokenizer.convert_tokens_to_ids(expected["tokens"]) == (expected["ids"])
    )


def test_what_a_vocabulary_lacks(tokenizer: SentencePieceTokenizer) -> None:
    assert tokenizer.unknown_parts("the ☃ and the 好") == ["☃", "好"]


def test_numbers_with_a_comma_are_cut(
    tokenizer: SentencePieceTokenizer,
) -> None:
    """`▁19,` is a piece of this vocabulary, and not used."""
    assert "▁19," in tokenizer.vocab
    assert tokenizer.tokenize("19, 20") == ["▁", "1", "9", ",", "▁20"]


SENTENCES = (
    "日本語の文をガラスのコップで読む。",
    "東京でパンダが学校へ行った。",
    "ABC株式会社は、1,000円でビデオを売る。",
    "これは猫です。それは犬ではない。",
)


@pytest.fixture(scope="module")
def japanese(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A model as those of Japanese BERTs, made of texts as they are."""
    file = tmp_path_factory.mktemp("japanese") / "wiki-ja.model"
    with open(file, "wb") as writer:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES * 5),
            model_writer=writer,
            vocab_size=63,
            control_symbols=["[PAD]", "[CLS]", "[SEP]", "[MASK]"],
            minloglevel=2,
        )
    return file


def test_kana_keep_their_marks(japanese: pathlib.Path) -> None:
    """Without them が would be か, which is another word."""
    tokenizer = SentencePieceTokenizer(japanese, do_lower_case=False)
    assert tokenizer.keep_accents
    plain = sentencepiece.SentencePieceProcessor(model_file=str(japanese))
    for text in (*SENTENCES, "か\u3099ガ　ﾊﾟ 1,000"):
        assert tokenizer.tokenize(text) == plain.EncodeAsPieces(text)
        assert tokenizer.encode(text) == plain.EncodeAsIds(text)
    lower = SentencePieceTokenizer(japanese, do_lower_case=True)
    assert lower.encode("ABC") == plain.EncodeAsIds("abc")
    # Marks of kana are no sign of case, capitals are.
    pieces = tokenizer.vocab
    assert not guess_do_lower_case(None, pieces)[0]
    small = {piece: n for piece, n in pieces.items() if piece.lower() == piece}
    assert guess_do_lower_case(None, small)[0]
    assert not SentencePieceTokenizer(MODEL).keep_accents


def test_what_is_unknown(tokenizer: SentencePieceTokenizer) -> None:
    unknown = tokenizer.special_tokens[0]
    assert (unknown, tokenizer.vocab[unknown]) == ("<unk>", 1)
    assert tokenizer.encode("🙂") == [tokenizer.vocab["▁"], 1]
    assert tokenizer.convert_ids_to_tokens([0, 2, 3]) == [
        "<pad>",
        "[CLS]",
        "[SEP]",
    ]


def test_another_process_gets_the_same(
    tokenizer: SentencePieceTokenizer,
) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("The fox, 1,000") == tokenizer.encode("The fox, 1,000")


def test_a_file_tells_its_tokenizer(tmp_path: pathlib.Path) -> None:
    assert isinstance(open_tokenizer(MODEL), SentencePieceTokenizer)
    assert isinstance(open_tokenizer(REFERENCE / "vocab.txt"), FullTokenizer)
    with pytest.raises(UserError, match="is a SentencePiece model"):
        load_vocab(MODEL)
    (tmp_path / "30k-clean.model").write_bytes(b"\x0a\xff")
    assert find_vocab_file(tmp_path) == tmp_path / "30k-clean.model"
    with pytest.raises(UserError, match=r"30k-clean\.model: is no Sentence"):
        open_tokenizer(tmp_path / "30k-clean.model")
    not_text = MODEL.read_bytes().replace("▁the".encode(), b"\xff" * 6)
    (tmp_path / "not_text.model").write_bytes(not_text)
    with pytest.raises(UserError, match="is damaged"):
        open_tokenizer(tmp_path / "not_text.model")
    with pytest.raises(UserError, match="cannot be read"):
        open_tokenizer(tmp_path / "none.model")


def test_a_model_counts_more_than_tokenizer_json(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    assert find_vocab_file(tmp_path) == tmp_path / "tokenizer.json"
    (tmp_path / "spiece.model").write_bytes(MODEL.read_bytes())
    assert find_vocab_file(tmp_path) == tmp_path / "spiece.model"
    # Of two that are not called so, neither is the one.
    (tmp_path / "spiece.model").rename(tmp_path / "a.model")
    (tmp_path / "b.model").write_bytes(MODEL.read_bytes())
    assert find_vocab_file(tmp_path) == tmp_path / "tokenizer.json"
