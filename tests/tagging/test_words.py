"""The tokens of a text are the words of the original's tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_keras3.tagging.words import split_like, tokens_covered, words_of
from tokenization import BasicTokenizer

TEXT = "Steve (born 1950) 在柏林."


def test_the_example_in_the_docstring():
    words = [TEXT[a:b] for a, b in words_of(TEXT)]
    assert words == [
        *["Steve", "(", "born", "1950", ")", "在", "柏", "林", "."]
    ]
    assert words_of(" \n").shape == (0, 2)


@given(st.text())
def test_they_are_the_words_of_the_basic_tokenizer(text):
    """But for control characters, which it drops and which stay here."""
    tokenizer = BasicTokenizer(do_lower_case=False)
    words = [tokenizer.tokenize(text[a:b]) for a, b in words_of(text)]
    assert all(len(one) <= 1 for one in words)
    assert [word for one in words for word in one] == tokenizer.tokenize(text)


@pytest.mark.parametrize(
    ("tokens", "split", "wanted"),
    [
        (["U.S.", "beat", "Japan", "6-2"], "joined", "U.S . won 6-2 , 好 人"),
        (["U", ".", "S", "."] * 9, "characters", "U . S . w o n 6 - 2 , 好 人"),
        (["U", ".", "won", "好"], "words", "U . S . won 6 - 2 , 好 人"),
        ([], "words", "U . S . won 6 - 2 , 好 人"),
    ],
)
def test_texts_are_split_like_the_tokens_of_training(tokens, split, wanted):
    assert split_like(tokens) == split
    text = "U.S. won 6-2,好人"
    words = [text[a:b] for a, b in words_of(text, split)]
    assert " ".join(words) == wanted


@pytest.mark.parametrize(
    ("start", "end", "covered"),
    [
        (0, 5, (0, 1, True)),
        (0, 6, (0, 1, True)),
        (7, 16, (2, 4, True)),
        (2, 5, (0, 1, False)),
        (19, 21, (6, 8, True)),
        (5, 6, (1, 1, False)),
    ],
)
def test_tokens_that_a_stretch_covers(start, end, covered):
    assert tokens_covered(words_of(TEXT), start, end) == covered
