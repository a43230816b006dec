"""A vocabulary is cut to a corpus, and nothing changes for its texts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.conversion import Settings, convert, outputs
from bert_keras3.checkpointing.kept_tokens import keep_tokens
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.added_tokens import AddedToken
from tokenization.tokenizers import FullTokenizer

VOCABULARY = (
    *("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("un", "##aff", "##able", "table", "##s", "a", "b", "##b", "##bc", "ab"),
)
TABLE = "bert/embeddings/word_embeddings"


@pytest.fixture
def checkpoint():
    rows = np.arange(len(VOCABULARY) * 2, dtype="float32").reshape(-1, 2)
    return Checkpoint(
        in_memory({TABLE: rows, "cls/predictions/output_bias": rows[:, 0]}),
        BertConfig(vocab_size=len(VOCABULARY), hidden_size=2),
        vocabulary=VOCABULARY,
    )


def test_the_example_of_the_file(checkpoint):
    found, report = keep_tokens(checkpoint, ["Tables, tables"])
    assert found.vocabulary == (
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        # The comma is unknown; a and b, letters of "table", stay.
        *("table", "##s", "a", "b", "##b"),
    )
    assert report.ids == (0, 2, 3, 4, 5, 9, 10, 11, 12, 13)
    assert found.config.vocab_size == 10
    assert found.arrays.shape(TABLE) == (10, 2)
    np.testing.assert_array_equal(found.arrays[TABLE][5], [18, 19])
    assert found.arrays["cls/predictions/output_bias"][6] == 20
    assert report.line().startswith("kept 10 of 16 tokens: 3 of the texts,")


def test_an_unknown_word_stays_unknown(checkpoint):
    """Of "abc", "ab" is taken and ##c is missing; "a" and ##bc would fit."""
    kept, _ = keep_tokens(checkpoint, ["abc a bbc"])
    assert "ab" in (kept.vocabulary or ())
    assert tokenizer(kept).tokenize("abc") == ["[UNK]"]


def test_added_tokens_stay(checkpoint):
    added = (AddedToken("[E1]", 1, normalized=False),)
    vocabulary = (VOCABULARY[0], "[E1]", *VOCABULARY[2:])
    whole = dataclasses.replace(
        checkpoint, vocabulary=vocabulary, added_tokens=added
    )
    kept, report = keep_tokens(whole, ["tables"])
    assert kept.added_tokens == added
    assert kept.vocabulary[1] == "[E1]"
    kept, _ = keep_tokens(whole, ["[E1] un"])
    assert kept.added_tokens == added
    assert report.ids[:3] == (0, 1, 2)


def tokenizer(checkpoint):
    ids = {token: n for n, token in enumerate(checkpoint.vocabulary)}
    return FullTokenizer.from_vocab(ids, do_lower_case=True)


PIECES = st.text("abcst", min_size=1, max_size=3)


@given(
    st.sets(st.tuples(st.sampled_from(["", "##"]), PIECES)),
    st.lists(st.text("abcst ", max_size=9), min_size=1, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_texts_keep_their_tokens(pieces, texts):
    texts = ["a", *texts]
    vocabulary = (*VOCABULARY[:6], *sorted({"a", *(a + b for a, b in pieces)}))
    whole = Checkpoint(
        in_memory({TABLE: np.zeros((len(vocabulary), 1), "float32")}),
        BertConfig(vocab_size=len(vocabulary)),
        vocabulary=vocabulary,
    )
    before = [tokenizer(whole).tokenize(text) for text in texts]
    cut, _ = keep_tokens(whole, texts)
    assert [tokenizer(cut).tokenize(text) for text in texts] == before


def test_the_same_outputs(small_bert, tmp_path):
    text = tmp_path / "texts.txt"
    text.write_text("a b c d\nhead h e a d\n", "utf-8")
    outcome = convert(
        small_bert,
        tmp_path / "cut",
        Settings("google", keep_tokens_of=str(text), verify=True),
    )
    assert outcome.kept is not None
    assert len(outcome.kept.ids) < 99
    # The same numbers in the same order.
    assert outcome.difference == 0
    cut = checkpointing.open(tmp_path / "cut")
    whole = checkpointing.open(small_bert)
    assert cut.vocabulary == tuple(
        whole.vocabulary[number] for number in outcome.kept.ids
    )
    encoded = []
    for one in (whole, cut):
        ids = one.tokenizer().encode("head a b c")
        inputs = {"input_ids": np.array([ids], "int32")}
        encoded.append(outputs(one, inputs, "")["sequence_output"])
    np.testing.assert_array_equal(*encoded)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": None}, "has no vocabulary beside it"),
        ({"sentence_pieces": b"model"}, "is a SentencePiece model"),
        ({"arrays": in_memory({})}, "has no bert/embeddings/word_embeddings"),
    ],
)
def test_what_cannot_be_cut(checkpoint, changes, message):
    with pytest.raises(UserError, match=message):
        keep_tokens(dataclasses.replace(checkpoint, **changes), ["table"])


def test_texts_without_a_token(checkpoint):
    with pytest.raises(UserError, match="no line has a token"):
        keep_tokens(checkpoint, ["", "?"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keep_tokens_of": "nowhere*.txt"}, "there is no such file"),
        ({"keep_tokens_of": "", "words": ["x"]}, "exclude each other"),
        ({"keep_tokens_of": "", "with_optimizer": True}, "exclude each"),
    ],
)
def test_mistakes(small_bert, tmp_path, given, message):
    with pytest.raises(UserError, match=message):
        convert(small_bert, tmp_path / "cut", Settings("google", **given))
    assert not (tmp_path / "cut").exists()
