from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenization.tokenizers import WordpieceTokenizer

VOCAB = [
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "want",
    "##want",
    "##ed",
    "wa",
    "un",
    "runn",
    "##ing",
    ",",
    "low",
]


def test_longest_piece_first():
    tokenizer = WordpieceTokenizer(VOCAB)
    assert tokenizer.tokenize("") == []
    assert tokenizer.tokenize("unwanted running") == (
        ["un", "##want", "##ed", "runn", "##ing"]
    )


def test_a_rest_makes_the_word_unknown():
    tokenizer = WordpieceTokenizer(VOCAB)
    assert tokenizer.tokenize("unwantedX running") == (
        ["[UNK]", "runn", "##ing"]
    )


@pytest.mark.parametrize("char", ["a", "é", "中", "😀"])
def test_limit_counts_characters(char):
    tokenizer = WordpieceTokenizer([char, "##" + char])
    assert len(tokenizer.tokenize(char * 200)) == 200
    assert tokenizer.tokenize(char * 201) == ["[UNK]"]


def test_limit_and_unknown_token_can_be_set():
    tokenizer = WordpieceTokenizer(
        {"a": 0, "##a": 1}, unk_token="?", max_input_chars_per_word=2
    )
    assert tokenizer.tokenize("aa aaa") == ["a", "##a", "?"]


@pytest.mark.parametrize("vocab", [[], [""], ["##"], ["", "##"]])
def test_nothing_matches_in_an_odd_vocabulary(vocab):
    assert WordpieceTokenizer(vocab).tokenize("a b") == ["[UNK]", "[UNK]"]


@given(
    st.sets(st.text("ab#", max_size=5)),
    st.lists(st.text("ab#", min_size=1, max_size=12)),
)
def test_equals_the_book(pieces_by_the_book, vocab, words):
    tokens = WordpieceTokenizer(vocab).tokenize(" ".join(words))
    assert tokens == [
        piece for word in words for piece in pieces_by_the_book(word, vocab)
    ]
