from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenization.tokenizers import BasicTokenizer


def test_lower():
    tokenizer = BasicTokenizer(do_lower_case=True)
    assert tokenizer.tokenize(" \tHeLLo!how  \n Are yoU? Héllo") == (
        ["hello", "!", "how", "are", "you", "?", "hello"]
    )


def test_no_lower():
    tokenizer = BasicTokenizer(do_lower_case=False)
    assert tokenizer.tokenize(" \tHeLLo!how  \n Are yoU? Héllo") == (
        ["HeLLo", "!", "how", "Are", "yoU", "?", "Héllo"]
    )


def test_ideographs_stand_alone():
    assert BasicTokenizer().tokenize("ah博推zz") == ["ah", "博", "推", "zz"]


def test_final_sigma_depends_on_the_word():
    tokenizer = BasicTokenizer()
    assert tokenizer.tokenize("ΟΔΟΣ ΟΔΟΣ Σ") == ["οδος", "οδος", "σ"]
    # The soft hyphen is gone before; the full stop is looked past.
    assert tokenizer.tokenize("ΑΣ\u00adΑ ΑΣ.Α") == ["ασα", "ασ", ".", "α"]


def test_marks_are_put_in_canonical_order():
    # Two tone marks that survive (Mc), classes 224 and 218: the lower first.
    tokenizer = BasicTokenizer()
    assert tokenizer.tokenize("a\u302e\U0001d16d") == ["a\u302e\U0001d16d"]
    assert tokenizer.tokenize("a\U0001d16d\u302e") == ["a\u302e\U0001d16d"]


@pytest.mark.parametrize(
    ("key", "do_lower_case"), [("lower", True), ("cased", False)]
)
def test_equals_the_original(original, key, do_lower_case):
    tokenizer = BasicTokenizer(do_lower_case)
    for row in original:
        words = tokenizer.tokenize(row["text"])
        assert words == row[key]["words"], ascii(row["text"])


@given(st.text(), st.booleans())
def test_equals_the_book(by_the_book, text, do_lower_case):
    tokenizer = BasicTokenizer(do_lower_case)
    assert tokenizer.tokenize(text) == by_the_book(text, do_lower_case)
