"""Tokens of an answer → its text in the context.

Original: `get_final_text` of `run_squad.py`. It compares what the tokens say,
`steve smith`, with the words that they come from, `Steve Smith's`, and cuts
`Steve Smith` out; where that fails, all the words are the answer.
"""

from __future__ import annotations

import functools

import numpy as np

from bert_keras3.finetuning.context_tokens import joined_words, words_of
from tokenization.tokenizers import BasicTokenizer, Tokenizer
from tokenization.vocab import CONTINUATION

# Words whose tokens are remembered.
_WORDS_KEPT = 1 << 15


def get_final_text(
    pred_text: str, orig_text: str, do_lower_case: bool = True
) -> str:
    """Returns what of the words the tokens say, as the original's function.

    Args:
        pred_text: the tokens with spaces between, their pieces joined.
        orig_text: the words with single spaces between.
        do_lower_case: of the tokenizer.
    """
    found = _Projection(do_lower_case).place(pred_text, orig_text)
    return orig_text if found is None else orig_text[slice(*found)]


class AnswerTexts:
    """Makes texts of spans of tokens."""

    def __init__(
        self, tokenizer: Tokenizer, do_lower_case: bool, answers_by: str
    ) -> None:
        """Prepares.

        Args:
            tokenizer: that made the ids.
            do_lower_case: of the tokenizer.
            answers_by: as in `windows.WindowSettings`.
        """
        self.tokens = tokenizer.inv_vocab
        self.projection = (
            _Projection(do_lower_case) if answers_by == "words" else None
        )

    def of(
        self,
        context: str,
        ids: np.ndarray,
        text_start: np.ndarray,
        text_end: np.ndarray,
    ) -> TextsOfContext:
        """Returns what makes texts of one question's windows.

        Args:
            context: of the question.
            ids: int [windows, S].
            text_start: int [windows, S], see `windows.ANSWER_COLUMNS`.
            text_end: int [windows, S].
        """
        return TextsOfContext(self, context, ids, (text_start, text_end))


class TextsOfContext:
    """Makes texts of spans of one question's windows."""

    def __init__(
        self,
        texts: AnswerTexts,
        context: str,
        ids: np.ndarray,
        text_ranges: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Prepares; see `AnswerTexts.of`."""
        self._texts = texts
        self._context = context
        self._ids = ids
        self._text_start, self._text_end = text_ranges

    def text(
        self, window: int, start: int, end: int
    ) -> tuple[str, tuple[int, int]]:
        """Returns an answer's text, and its characters in the context.

        Args:
            window: number of the window.
            start: position of the first token.
            end: position of the last.

        Returns:
            (text, [first character, character behind the last)). With
            answers by words, runs of spaces are single ones in the text.
        """
        first = int(self._text_start[window, start])
        behind = int(self._text_end[window, end])
        raw = self._context[first:behind]
        projection = self._texts.projection
        if projection is None:
            text = raw.strip()
            first += len(raw) - len(raw.lstrip())
            return text, (first, first + len(text))
        tokens = self._texts.tokens
        ids = self._ids[window, start : end + 1].tolist()
        said = " ".join([tokens[number] for number in ids])
        if CONTINUATION in said:
            said = said.replace(f" {CONTINUATION}", "")
            said = said.replace(CONTINUATION, "")
        said = " ".join(said.split())
        words = joined_words(raw)
        found = projection.place(said, words)
        if found is None:
            return words, (first, behind)
        text = words[slice(*found)]
        if len(raw) == len(words):
            return text, (first + found[0], first + found[1])
        return text, (
            first + _in_raw(raw, found[0]),
            first + _in_raw(raw, found[1] - 1) + 1,
        )


class _Projection:
    """Finds tokens' text in that of words."""

    def __init__(self, do_lower_case: bool) -> None:
        tokenize = BasicTokenizer(do_lower_case).tokenize

        # What the tokenizer does ends at spaces.
        @functools.lru_cache(_WORDS_KEPT)
        def plain(word: str) -> str:
            return " ".join(tokenize(word))

        self._plain = plain

    def place(self, said: str, words: str) -> tuple[int, int] | None:
        """Returns [start, end) in `words`; None: they cannot be compared.

        Both are compared without spaces, and must then have as many
        characters, each standing for that at its place in the other.

        Args:
            said: tokens with single spaces between.
            words: the words that they come from.
        """
        plain = " ".join(filter(None, map(self._plain, words.split(" "))))
        start = plain.find(said)
        if start < 0 or not said:
            return None
        spaces = plain.count(" ")
        if len(plain) - spaces != len(words) - words.count(" "):
            return None
        last = start + len(said) - 1
        return (
            _of_letter(words, start - plain.count(" ", 0, start)),
            _of_letter(words, last - plain.count(" ", 0, last)) + 1,
        )


def _of_letter(text: str, number: int) -> int:
    """The place of the so-manieth character, from 0, that is no space."""
    place = number
    while True:
        further = number + text.count(" ", 0, place + 1)
        if further == place:
            return place
        place = further


def _in_raw(raw: str, place: int) -> int:
    """The place in raw text of one in its words with single spaces between."""
    passed = 0
    for start, end in words_of(raw):
        if place <= passed + end - start:
            return start + place - passed
        passed += end - start + 1
    return len(raw)
