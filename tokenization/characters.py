"""Kinds of characters: space, control, punctuation, ideograph, accent.

"," and "$" are punctuation, "中" is an ideograph, U+0301 an accent. The
categories are those of this Python's `unicodedata`.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable

# First and last code point of the blocks of CJK ideographs, which get a space
# on either side. Hiragana, katakana and Hangul are left out on purpose; in them
# a character is not a word.
_IDEOGRAPH_BLOCKS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)

_IDEOGRAPHS = "".join(
    f"{chr(first)}-{chr(last)}" for first, last in _IDEOGRAPH_BLOCKS
)
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")
# Cuts a word around its ideographs.
IDEOGRAPH_OR_REST = re.compile(f"[{_IDEOGRAPHS}]|[^{_IDEOGRAPHS}]+")

# ASCII signs count as punctuation even where Unicode says "symbol": $ + < = >
# ^ ` | ~.
_ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def is_whitespace(char: str) -> bool:
    """Whether `char` is replaced by a space: tab, line ends, category Zs."""
    return char in "\t\n\r" or unicodedata.category(char) == "Zs"


def is_control(char: str) -> bool:
    """Whether `char` is control or format (Cc, Cf) and not whitespace."""
    return char not in "\t\n\r" and unicodedata.category(char) in ("Cc", "Cf")


def is_punctuation(char: str) -> bool:
    """Whether `char` is an ASCII sign or in a Unicode category P*."""
    return char in _ASCII_PUNCTUATION or unicodedata.category(char)[0] == "P"


def is_ideograph(char: str) -> bool:
    """Whether `char` lies in one of the CJK ideograph blocks."""
    return _IDEOGRAPH.match(char) is not None


def is_accent(char: str) -> bool:
    """Whether `char` is a non-spacing mark (Mn)."""
    return unicodedata.category(char) == "Mn"


def is_inert(char: str) -> bool:
    """Whether `char` has no Unicode property that the tokenizer reads.

    Unassigned, private and surrogates: nothing folds, decomposes or drops
    them. Unassigned code points in the ideograph blocks are not inert.
    """
    category = unicodedata.category(char)
    return category in ("Cn", "Co", "Cs") and not is_ideograph(char)


@functools.cache
def all_but_inert() -> str:
    """Returns every character that is not inert, in order."""
    return "".join(
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if not is_inert(char)
    )


class Replacements(dict[int, str]):
    """A table for `str.translate` that is filled as characters occur.

    Args:
        rule: the replacement of a character; the empty string drops it.
    """

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        replacement = self[code] = self._rule(chr(code))
        return replacement

    def __reduce__(self) -> tuple[type, tuple[Callable[[str], str]]]:
        """Pickles only the rule."""
        return type(self), (self._rule,)


def convert_to_unicode(text: str | bytes) -> str:
    r"""Returns `text` as a string; bytes are read as UTF-8.

    Bytes that are not valid UTF-8 are left out, each on its own, so that
    b"a\xffb" is "ab". The encoded halves of a surrogate pair are not valid.

    Raises:
        ValueError: `text` is neither a string nor bytes.
    """
    if isinstance(text, str):
        return text
    if isinstance(text, bytes):
        return text.decode("utf-8", "ignore")
    raise ValueError(
        f"a text must be a string or bytes, not {type(text).__name__}"
    )


def printable_text(text: str | bytes) -> str:
    """Returns `text` as a string, as `convert_to_unicode`.

    The two differed under Python 2 only; both names are the original's.
    """
    return convert_to_unicode(text)


def whitespace_tokenize(text: str) -> list[str]:
    """Splits at whitespace in Python's sense, which includes U+2028."""
    return text.split()
