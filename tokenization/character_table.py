"""What each character becomes before WordPiece, as a table for a vocabulary.

With `do_lower_case`, "Ä" becomes "a" and "," becomes " , ". The table is made
by running `BasicTokenizer` on every character, so the rules stand only there;
`normalizer_model` encodes it for the operation in the graph.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import sys
from collections.abc import Callable, Mapping

import numpy as np

from tokenization import characters
from tokenization.tokenizers import MAX_CHARS_PER_WORD, BasicTokenizer
from tokenization.vocab import CONTINUATION, UNKNOWN

# Replaces every character that is in no entry of the vocabulary: a word with
# such a character is unknown.
UNKNOWN_CHAR = "\ue000"
# Replace the vocabulary's characters beyond ASCII and ideographs: code points
# for private use, which no version of Unicode gives properties.
_STAND_INS = (
    *range(0xE001, 0xF900),
    *range(0xF0000, 0xFFFFE),
    *range(0x100000, 0x10FFFD),
)
# For private use too; the tokenizer leaves it unchanged.
_SEPARATOR = "\U0010fffd"
# Unassigned.
_INERT = "\u0378"


@dataclasses.dataclass(frozen=True)
class CharacterTable:
    """Replacements of characters in text and vocabulary, so that both match.

    Attributes:
        pieces: the rewritten vocabulary; the index is the id. Entries that no
            text can match are replaced by ones that match nothing.
        strings: the replacements.
        string_of: int32 [0x110000], index into `strings` of each code point.
        alphabet: the characters of the vocabulary, before rewriting.
    """

    pieces: list[str]
    strings: list[str]
    string_of: np.ndarray
    alphabet: frozenset[str]


def character_table(
    vocab: Mapping[str, int],
    do_lower_case: bool,
    further: Mapping[str, str] | None = None,
) -> CharacterTable:
    """Computes the table for a vocabulary.

    Args:
        vocab: {token: id}, with [UNK].
        do_lower_case: as for `BasicTokenizer`.
        further: replacements of characters that have no properties and are
            not in the vocabulary.
    """
    chars = set("".join(vocab))
    clean = BasicTokenizer(do_lower_case).clean
    absent = {char for char in chars if char.isspace() or not clean(char)}
    alone = set(filter(_stands_alone, chars))
    matchable = {
        token: index
        for token, index in vocab.items()
        if _matches(token, absent, alone)
    }
    alphabet = frozenset("".join(map(_body, matchable)))
    rewriting = _rewriting(alphabet)
    pieces = [f"[{index}]" for index in range(max(vocab.values()) + 1)]
    pieces[vocab[UNKNOWN]] = UNKNOWN
    for token, index in matchable.items():
        prefix = CONTINUATION if token != _body(token) else ""
        pieces[index] = prefix + _body(token).translate(rewriting)
    inert = "".join(filter(characters.is_inert, alphabet))
    outcomes = itertools.chain(
        _normalized(do_lower_case).translate(rewriting).split(_SEPARATOR),
        inert.translate(rewriting),
    )
    strings = {UNKNOWN_CHAR: 0}
    string_of = np.zeros(sys.maxunicode + 1, np.int32)
    string_of[[*map(ord, characters.all_but_inert() + inert)]] = [
        strings.setdefault(outcome, len(strings)) for outcome in outcomes
    ]
    for char, outcome in (further or {}).items():
        string_of[ord(char)] = strings.setdefault(outcome, len(strings))
    return CharacterTable(pieces, list(strings), string_of, alphabet)


def folding_table(
    do_lower_case: bool, rewrite: Callable[[str], str], unchanged: str
) -> tuple[list[str], np.ndarray]:
    """Computes what `BasicTokenizer.fold` makes of each character.

    Args:
        do_lower_case: as for `BasicTokenizer`.
        rewrite: the replacement of each character of what it makes.
        unchanged: characters without properties that stay as they are; the
            others become `rewrite` of U+0378, which has none either.

    Returns:
        `strings` and `string_of`, as in `CharacterTable`.
    """
    table = characters.Replacements(rewrite)
    table[ord(_SEPARATOR)] = _SEPARATOR
    outcomes = _folded(do_lower_case).translate(table).split(_SEPARATOR)
    strings = {rewrite(_INERT): 0}
    string_of = np.zeros(sys.maxunicode + 1, np.int32)
    everything = characters.all_but_inert() + unchanged
    string_of[[*map(ord, everything)]] = [
        strings.setdefault(outcome, len(strings))
        for outcome in itertools.chain(outcomes, unchanged)
    ]
    return list(strings), string_of


def _body(token: str) -> str:
    return token.removeprefix(CONTINUATION)


def _stands_alone(char: str) -> bool:
    return characters.is_punctuation(char) or characters.is_ideograph(char)


def _matches(token: str, absent: set[str], alone: set[str]) -> bool:
    """Whether text can match `token`; [CLS] and ##, are split before.

    Args:
        token: an entry of the vocabulary.
        absent: characters that are never in a word.
        alone: characters that are words by themselves.
    """
    body = _body(token)
    return (
        0 < len(body) <= MAX_CHARS_PER_WORD
        and absent.isdisjoint(body)
        and (len(token) == 1 or alone.isdisjoint(body))
    )


def _rewriting(alphabet: frozenset[str]) -> Mapping[int, str]:
    """Returns the table for `str.translate`, for vocabulary and text."""
    stand_ins = map(chr, _STAND_INS)
    known = {
        char: char
        if char.isascii() or characters.is_ideograph(char)
        else next(stand_ins)
        for char in sorted(alphabet)
    }
    known[_SEPARATOR] = _SEPARATOR

    def rewrite(char: str) -> str:
        return " " if char.isspace() else known.get(char, UNKNOWN_CHAR)

    return characters.Replacements(rewrite)


@functools.lru_cache(maxsize=2)
def _normalized(do_lower_case: bool) -> str:
    """Returns every character's replacement, between separators."""
    text = _SEPARATOR.join(characters.all_but_inert())
    return BasicTokenizer(do_lower_case).normalize(text)


@functools.lru_cache(maxsize=2)
def _folded(do_lower_case: bool) -> str:
    """Returns every character folded, between separators."""
    text = _SEPARATOR.join(characters.all_but_inert())
    return BasicTokenizer(do_lower_case).fold(text)
