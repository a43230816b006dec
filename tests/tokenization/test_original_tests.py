"""What the original's `tokenization_test.py` asserts, under its own names."""

from __future__ import annotations

import pytest

import tokenization

PIECES = (
    *("[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed"),
    *("wa", "un", "runn", "##ing"),
)
VOCAB = {piece: number for number, piece in enumerate(PIECES)}


def test_full_tokenizer(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{piece}\n" for piece in (*PIECES, ",")), "utf-8")
    tokenizer = tokenization.FullTokenizer(path)
    path.unlink()
    tokens = tokenizer.tokenize("UNwantéd,running")
    assert tokens == ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert tokenizer.convert_tokens_to_ids(tokens) == [7, 4, 5, 10, 8, 9]


def test_chinese():
    tokens = tokenization.BasicTokenizer().tokenize("ah博推zz")
    assert tokens == ["ah", "博", "推", "zz"]


@pytest.mark.parametrize(
    ("do_lower_case", "tokens"),
    [
        (True, ["hello", "!", "how", "are", "you", "?"]),
        (False, ["HeLLo", "!", "how", "Are", "yoU", "?"]),
    ],
)
def test_basic_tokenizer(do_lower_case, tokens):
    tokenizer = tokenization.BasicTokenizer(do_lower_case=do_lower_case)
    assert tokenizer.tokenize(" \tHeLLo!how  \n Are yoU?  ") == tokens


def test_basic_tokenizer_strips_accents_where_it_lowers():
    tokenizer = tokenization.BasicTokenizer(do_lower_case=True)
    assert tokenizer.tokenize("Héllo") == ["hello"]


def test_wordpiece_tokenizer():
    tokenizer = tokenization.WordpieceTokenizer(vocab=VOCAB)
    assert tokenizer.tokenize("") == []
    assert tokenizer.tokenize("unwanted running") == [
        *("un", "##want", "##ed", "runn", "##ing")
    ]
    assert tokenizer.tokenize("unwantedX running") == [
        *("[UNK]", "runn", "##ing")
    ]


def test_convert_tokens_to_ids():
    pieces = ["un", "##want", "##ed", "runn", "##ing"]
    assert tokenization.convert_tokens_to_ids(VOCAB, pieces) == [7, 4, 5, 8, 9]


@pytest.mark.parametrize(
    ("is_of_the_kind", "those", "others"),
    [
        (tokenization._is_whitespace, " \t\r\n\u00a0", "A-"),
        (tokenization._is_control, "\u0005", "A \t\r\U0001f4a9"),
        (tokenization._is_punctuation, "-$`.", "A "),
    ],
)
def test_kinds_of_characters(is_of_the_kind, those, others):
    assert all(map(is_of_the_kind, those))
    assert not any(map(is_of_the_kind, others))
