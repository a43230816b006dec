"""The tokens of a text, and which of them a stretch of characters covers.

    text     Steve (born 1950) 在柏林.
    tokens   Steve ( born 1950 ) 在 柏 林 .

Tokens are the words of the original's `BasicTokenizer`: cut at white space,
around punctuation and around ideographs. Entities seldom begin or end within
one.
"""

from __future__ import annotations

import re

import numpy as np

from tokenization import characters

_SPACE, _LETTER, _SIGN = " ", "a", "."


def _kind(char: str) -> str:
    if characters.is_whitespace(char):
        return _SPACE
    if characters.is_ideograph(char) or characters.is_punctuation(char):
        return _SIGN
    return _LETTER


_KINDS = characters.Replacements(_kind)
_TOKEN = re.compile(r"a+|\.")


def words_of(text: str) -> np.ndarray:
    """Returns the characters of each token, int64 [T, 2]: first, behind."""
    # One sign for each character, so that places are those of the text.
    kinds = text.translate(_KINDS)
    spans = [match.span() for match in _TOKEN.finditer(kinds)]
    return np.array(spans, np.int64).reshape(-1, 2)


def tokens_covered(
    words: np.ndarray, start: int, end: int
) -> tuple[int, int, bool]:
    """Returns which tokens share characters with a stretch of the text.

    Args:
        words: of `words_of`.
        start: the stretch's first character.
        end: the one behind its last.

    Returns:
        The first token and the one behind the last, equal if there is none;
        and whether the stretch begins and ends where tokens do, white space
        aside.
    """
    first = int(np.searchsorted(words[:, 1], start, "right"))
    behind = int(np.searchsorted(words[:, 0], end, "left"))
    if behind <= first:
        return first, first, False
    is_whole = words[first, 0] >= start and words[behind - 1, 1] <= end
    return first, behind, bool(is_whole)
