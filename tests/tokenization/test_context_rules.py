from __future__ import annotations

import numpy as np

from tokenization import context_rules


def is_in(boundaries, char):
    return bool(np.searchsorted(boundaries, ord(char), side="right") % 2)


def test_sigma():
    context = context_rules.sigma_context({"a", "σ"})
    for char in "aAǅßΣªⅷ":
        assert is_in(context.cased, char), char
        assert not is_in(context.passed_over, char), char
    for char in "'.:·\u0301\u00ad\u200b\0\u0345ʰ^¨":
        assert is_in(context.passed_over, char), ascii(char)
        assert not is_in(context.cased, char), ascii(char)
    for char in " \t\u2028,中あ1\ue000\U0010ffff":
        assert not is_in(context.passed_over, char), ascii(char)
        assert not is_in(context.cased, char), ascii(char)


def test_sigma_matters_only_to_vocabularies_with_a_small_one():
    assert context_rules.sigma_context({"a", "Σ"}) is None
    assert context_rules.sigma_context({"ς"}) is not None


def test_marks():
    context = context_rules.mark_context(
        {"a", "\u302e", "\U0001d16d", "\U0001d165", "\u0301"}
    )
    assert context.classes == {
        "\u302e": 224,
        "\U0001d165": 216,
        "\U0001d16d": 226,
    }
    # Some notes of music are a head and a stem, which is such a mark.
    assert context.composites["\U0001d15e"] == "\U0001d157\U0001d165"
    assert "é" not in context.composites
    for char in "\u302e\u0301\u0344\u00ad\0":
        assert is_in(context.passed_over, char), ascii(char)
    for char in "aé \u0e31\U0001d15e":
        assert not is_in(context.passed_over, char), ascii(char)


def test_marks_of_one_class_need_no_sorting():
    assert context_rules.mark_context({"a", "\u0301", "\u302e"}) is None
    assert context_rules.mark_context({"\U0001d165", "\U0001d166"}) is None
