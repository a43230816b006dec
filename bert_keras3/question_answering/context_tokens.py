"""The tokens of a context, and which of its characters each stands for.

Words are what stands between the five characters that the original's
`run_squad.py` takes for whitespace: space, tab, CR, LF and U+202F. NBSP and
the ideographic space are part of a word.

    context      Café  (1895-1943).
    words        Café, (1895-1943).              numbers 0, 1
    tokens       cafe ( 1895 - 1943 ) .
    words        0    1 1    1 1    1 1
    characters   0-4  6 7-11 …                   with `characters`
                 0-4  6-18 6-18 …                with `words`
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence

import numpy as np

from tokenization import characters
from tokenization.tokenizers import FullTokenizer, Tokenizer
from tokenization.vocab import CONTINUATION

_WORD = re.compile("[^ \t\r\n\u202f]+")


def words_of(text: str) -> list[tuple[int, int]]:
    """Returns [start, end) of each word, in characters."""
    return [match.span() for match in _WORD.finditer(text)]


class ContextTokens:
    """The tokens of one context after the other.

    Attributes:
        ids: token ids, T of them.
        words: int32 [T], the word of each, from 0.
        text_start: int32 [T], the first character that each stands for.
        text_end: int32 [T], the one behind its last.
    """

    def __init__(self, tokenizer: Tokenizer, answers_by: str) -> None:
        """Reads nothing yet.

        Args:
            tokenizer: text → token ids.
            answers_by: `words` or `characters`. A tokenizer of SentencePiece
                does not say which characters are whose; with it each token
                stands for its word either way.
        """
        self._tokenizer = tokenizer
        self._pieces = (
            _PiecesOfWords(tokenizer)
            if answers_by == "characters"
            and isinstance(tokenizer, FullTokenizer)
            else None
        )
        self._context: str | None = None
        self._set(*_nothing())

    def read(self, context: str) -> None:
        """Takes a context; the one before is forgotten unless it is equal."""
        if context == self._context:
            return
        self._context = context
        self._spans = words_of(context)
        encode = self._tokenizer.encode
        ids: list[int] = []
        self._first_token: list[int] = []
        ranges: list[tuple[int, int]] = []
        for start, end in self._spans:
            self._first_token.append(len(ids))
            word = context[start:end]
            new = encode(word)
            ids += new
            of_word = self._pieces and self._pieces.ranges(word, len(new))
            if of_word:
                ranges += [(start + a, start + b) for a, b in of_word]
            else:
                ranges += [(start, end)] * len(new)
        counts = np.diff([*self._first_token, len(ids)])
        words = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        text = np.array(ranges, np.int32).reshape(-1, 2)
        self._set(ids, words, text[:, 0], text[:, 1])

    def _set(
        self,
        ids: list[int],
        words: np.ndarray,
        text_start: np.ndarray,
        text_end: np.ndarray,
    ) -> None:
        self.ids, self.words = ids, words
        self.text_start, self.text_end = text_start, text_end

    def span_by_words(self, text: str, start: int) -> tuple[int, int] | None:
        """Finds an answer's tokens as the original does.

        The words from that of the answer's first character to that of its
        last; among their tokens, those that the answer's own text has, if
        they are there. As in the original, a negative start counts from the
        context's end, and an empty answer may end before it starts.

        Args:
            text: of the answer.
            start: number of its first character in the context.

        Returns:
            (number of the first token, of the last); None if the words do
            not have the answer, or characters are out of the context.
        """
        context = self._context or ""
        first, last = self._word_at(start), self._word_at(start + len(text) - 1)
        if first is None or last is None:
            return None
        words = [context[a:b] for a, b in self._spans[first : last + 1]]
        # Behind the reader's words Python's whitespace, as in the original.
        wanted = " ".join(characters.whitespace_tokenize(text))
        if wanted not in " ".join(words):
            return None
        starts = self._first_token
        a = starts[first]
        b = starts[last + 1] if last + 1 < len(starts) else len(self.ids)
        return _narrowed(self.ids, a, b - 1, self._tokenizer.encode(text))

    def span_by_characters(
        self, text: str, start: int
    ) -> tuple[int, int] | None:
        """Finds the tokens that share characters with an answer.

        If the text is not at its place, that occurrence counts which begins
        nearest to it.

        Returns:
            (number of the first token, of the last); None if the context
            does not have the text, or no token stands for any of it.
        """
        context = self._context or ""
        if not text.strip():
            return None
        if start < 0 or not context.startswith(text, start):
            before = context.rfind(text, 0, max(0, start) + len(text))
            behind = context.find(text, max(0, start))
            found = [place for place in (before, behind) if place >= 0]
            if not found:
                return None
            start = min(found, key=lambda place: abs(place - start))
        first = int(np.searchsorted(self.text_end, start, "right"))
        end = start + len(text)
        last = int(np.searchsorted(self.text_start, end, "left")) - 1
        return (first, last) if first <= last else None

    def _word_at(self, character: int) -> int | None:
        """The word of a character or, of a space, that before it; −1: none."""
        length = len(self._context or "")
        if not -length <= character < length:
            return None
        character += length if character < 0 else 0
        return bisect.bisect_right(self._spans, (character, length + 1)) - 1


def _nothing() -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
    empty = np.zeros(0, np.int32)
    return [], empty, empty, empty


def _narrowed(
    ids: Sequence[int], first: int, last: int, wanted: Sequence[int]
) -> tuple[int, int]:
    """Returns the first stretch with the wanted ids, else all of it."""
    size = len(wanted)
    if size:
        for start in range(first, last - size + 2):
            if ids[start] == wanted[0] and (
                list(ids[start : start + size]) == wanted
            ):
                return start, start + size - 1
    return first, last


class _PiecesOfWords:
    """Which characters of a word each of its pieces stands for."""

    def __init__(self, tokenizer: FullTokenizer) -> None:
        self._tokenizer = tokenizer
        self._basic = tokenizer.basic_tokenizer
        self._wordpiece = tokenizer.wordpiece_tokenizer
        # {character: what the tokenizer makes of it}
        self._plain: dict[str, str] = {}

    def ranges(self, word: str, count: int) -> list[tuple[int, int]] | None:
        """Returns [start, end) of each piece.

        Args:
            word: without spaces.
            count: how many pieces it has.

        Returns:
            None where characters cannot be told apart: what a character
            becomes depends on its neighbours in a way that changes lengths,
            or an added token is in the word.
        """
        if self._has_added_token(word):
            return None
        # One entry for each character that the tokenizer leaves.
        source: list[int] = []
        for index, char in enumerate(word):
            plain = self._plain.get(char)
            if plain is None:
                plain = "".join(self._basic.normalize(char).split())
                self._plain[char] = plain
            source += [index] * len(plain)
        ranges = []
        place = 0
        for token in self._basic.tokenize(word):
            pieces = self._wordpiece.tokenize(token)
            lengths = _lengths(pieces, token)
            for length in lengths:
                if place + length > len(source):
                    return None
                ranges.append((source[place], source[place + length - 1] + 1))
                place += length
        if place != len(source) or len(ranges) != count:
            return None
        return [(start, _over_accents(word, end)) for start, end in ranges]

    def _has_added_token(self, word: str) -> bool:
        added = self._tokenizer.added_tokens
        return bool(added) and any(
            not isinstance(part, str) for part in added.parts(word)
        )


def _lengths(pieces: Sequence[str], token: str) -> list[int]:
    """How many characters of a token its pieces have; [UNK] has all."""
    if len(pieces) == 1:
        return [len(token)]
    return [
        len(pieces[0]),
        *(len(piece) - len(CONTINUATION) for piece in pieces[1:]),
    ]


def _over_accents(word: str, end: int) -> int:
    """Moves an end behind the marks that belong to the character before."""
    while end < len(word) and characters.is_accent(word[end]):
        end += 1
    return end
