"""The tokens of a text, and which of them a stretch of characters covers.

    text         St.-Gallen (born 1950) 在柏林.
    words        St . - Gallen ( born 1950 ) 在 柏 林 .
    joined       St . - Gallen …     and U.S one token
    characters   S t . - G a l l e n …

`words` are those of the original's `BasicTokenizer`: cut at white space,
around punctuation and around ideographs. `joined` leaves a single sign between
letters in its word, as files of tokens do that have "U.S." or "6-2"; and
`characters` are for models trained on a character a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from tokenization import characters

WORDS, JOINED, CHARACTERS = "words", "joined", "characters"

_SPACE, _LETTER, _SIGN, _IDEOGRAPH = " ", "a", ".", "i"


def _kind(char: str) -> str:
    if characters.is_whitespace(char):
        return _SPACE
    if characters.is_ideograph(char):
        return _IDEOGRAPH
    return _SIGN if characters.is_punctuation(char) else _LETTER


_KINDS = characters.Replacements(_kind)
_TOKENS = {
    WORDS: re.compile(r"a+|[.i]"),
    JOINED: re.compile(r"a+(?:\.a+)*|[.i]"),
    CHARACTERS: re.compile(r"[a.i]"),
}
_LETTERS_JOINED = re.compile(r"a\.a")
# A file is of joined words if one of so many tokens is.
_ONE_OF = 1000


def words_of(text: str, split: str = WORDS) -> np.ndarray:
    """Returns the characters of each token, int64 [T, 2]: first, behind.

    Args:
        text: any.
        split: `words`, `joined` or `characters`.
    """
    # One sign for each character, so that places are those of the text.
    kinds = text.translate(_KINDS)
    spans = [match.span() for match in _TOKENS[split].finditer(kinds)]
    return np.array(spans, np.int64).reshape(-1, 2)


def split_like(tokens: Iterable[str]) -> str:
    """Returns how texts are to be split for a model trained on such tokens.

    Args:
        tokens: some of a file; thousands, or what there are.
    """
    number = several = joined = 0
    for token in tokens:
        number += 1
        several += len(token) > 1
        if len(token) > 2:
            kinds = token.translate(_KINDS)
            joined += _LETTERS_JOINED.search(kinds) is not None
    if number and several * _ONE_OF < number:
        return CHARACTERS
    return JOINED if joined * _ONE_OF >= max(1, number) else WORDS


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
