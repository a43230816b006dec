from __future__ import annotations

import pickle

import pytest

from tokenization import characters


@pytest.mark.parametrize(
    ("is_kind", "yes", "no"),
    [
        (characters.is_whitespace, " \t\n\r\u00a0\u2003\u3000", "a\x0b\u2028"),
        (characters.is_control, "\0\x0b\x85\u00ad\u200b\ufeff", "\t\n\r a"),
        (characters.is_punctuation, "!$+<=>^`|~@[。，…«؟", "a 1€±°中"),
        (characters.is_ideograph, "一中㐀豈\U00020000\U0002fa1f", "あア한a、"),
        (characters.is_accent, "\u0301\u0323\u05b7\ufe0f", "a´\u302e\u0903"),
    ],
)
def test_kinds(is_kind, yes, no):
    assert [char for char in yes if not is_kind(char)] == []
    assert [char for char in no if is_kind(char)] == []


def test_replacements_are_worked_out_once():
    asked = []

    def double(char: str) -> str:
        asked.append(char)
        return char + char

    table = characters.Replacements(double)
    assert "aba".translate(table) == "aabbaa"
    assert asked == ["a", "b"]


def test_replacements_pickle_without_their_content():
    table = characters.Replacements(str.upper)
    assert "ab".translate(table) == "AB"
    copy = pickle.loads(pickle.dumps(table))
    assert len(copy) == 0
    assert "ab".translate(copy) == "AB"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        ("Größe 中".encode(), "Größe 中"),
        (b"a\xffb", "ab"),
        (b"\xe4\xb8", ""),
        (b"\xe4\xb8A", "A"),
        (b"\xe4\xe4\xb8\xad", "中"),
        (b"\xed\xa0\x80", ""),
        (b"\xc0\xaf\xf5", ""),
        ("a string", "a string"),
    ],
)
def test_convert_to_unicode(data, text):
    assert characters.convert_to_unicode(data) == text
    assert characters.printable_text(data) == text


def test_a_text_must_be_text():
    with pytest.raises(ValueError, match="string or bytes, not int"):
        characters.convert_to_unicode(3)


def test_whitespace_tokenize():
    assert characters.whitespace_tokenize("  a \u2028b\n") == ["a", "b"]
    assert characters.whitespace_tokenize("  ") == []
