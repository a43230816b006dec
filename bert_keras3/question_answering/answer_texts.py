"""Tokens of an answer → its text in the context.

Original: `get_final_text` of `run_squad.py`. It compares what the tokens say,
`steve smith`, with the words that they come from, `Steve Smith's`, and cuts
`Steve Smith` out; where that fails, all the words are the answer.

    words               Steve Smith's                letters 0-4, 5-11
    as the tokenizer    steve smith ' s              letters 0-4, 5-11
    said                steve smith                  letters 0-9
    answer              letters 0-9 of the words     Steve Smith

A letter here is any character but a space.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from bert_keras3.question_answering.context_tokens import words_of
from tokenization.tokenizers import BasicTokenizer, Tokenizer
from tokenization.vocab import CONTINUATION

# Words whose tokens are remembered.
_WORDS_KEPT = 1 << 15
_BETWEEN_SPACES = re.compile("[^ ]+")


def get_final_text(
    pred_text: str, orig_text: str, do_lower_case: bool = True
) -> str:
    """Returns what of the words the tokens say, as the original's function.

    Args:
        pred_text: the tokens with spaces between, their pieces joined.
        orig_text: the words that they come from.
        do_lower_case: of the tokenizer.
    """
    spans = [match.span() for match in _BETWEEN_SPACES.finditer(orig_text)]
    if not spans:
        return orig_text
    words = _Words(orig_text, spans, _plain_words(do_lower_case))
    found = words.said(pred_text, 0, len(spans) - 1)
    return orig_text if found is None else orig_text[slice(*found[1])]


# The text, with single spaces between words, and [first, behind the last) of
# its characters where it stands.
Text: TypeAlias = tuple[str, tuple[int, int]]


class AnswerTexts:
    """Makes texts of spans of tokens.

    What is worked out for a context serves all questions on it that follow
    one another.
    """

    def __init__(
        self, tokenizer: Tokenizer, do_lower_case: bool, answers_by: str
    ) -> None:
        """Prepares.

        Args:
            tokenizer: that made the ids.
            do_lower_case: of the tokenizer.
            answers_by: as in `windows.WindowSettings`.
        """
        self._tokens = tokenizer.inv_vocab
        self._by_words = answers_by == "words"
        self._plain = _plain_words(do_lower_case)
        self._context: str | None = None
        self._ids = np.zeros((0, 0), np.int32)

    def read(
        self, context: str, ids: np.ndarray, is_context: np.ndarray
    ) -> None:
        """Takes the windows of a question.

        Args:
            context: of the question.
            ids: int [windows, S].
            is_context: bool [windows, S], the tokens of the context.
        """
        self._ids, self._is_context = ids, is_context
        self._rows: dict[int, tuple[int, _Said]] = {}
        if context == self._context:
            return
        self._context = context
        # {ids of a row's context: what they say}
        self._said: dict[bytes, _Said] = {}
        if self._by_words:
            spans = words_of(context)
            self._words = _Words(context, spans, self._plain)
            self._first_word = {span[0]: n for n, span in enumerate(spans)}
            self._last_word = {span[1]: n for n, span in enumerate(spans)}

    def text(
        self, window: int, span: tuple[int, int], place: tuple[int, int]
    ) -> Text:
        """Returns an answer.

        Args:
            window: number of the window.
            span: positions of the first and the last token.
            place: the characters of the context that they stand for.

        Returns:
            Its text and its characters in the context. With answers by
            words, runs of spaces are single ones in the text.
        """
        if not self._by_words:
            raw = (self._context or "")[slice(*place)]
            text = raw.strip()
            start = place[0] + len(raw) - len(raw.lstrip())
            return text, (start, start + len(text))
        first = self._first_word[place[0]]
        last = self._last_word[place[1]]
        row = self._rows.get(window)
        if row is None:
            row = self._rows[window] = self._read_row(window)
        said = row[1].text(span[0] - row[0], span[1] - row[0])
        found = self._words.said(said, first, last)
        return self._words.all(first, last) if found is None else found

    def _read_row(self, window: int) -> tuple[int, _Said]:
        """Returns (position of the context's first token, what is said)."""
        is_context = self._is_context[window]
        first = int(is_context.argmax())
        ids = self._ids[window, first : first + int(is_context.sum())]
        key = ids.tobytes()
        said = self._said.get(key)
        if said is None:
            tokens = [self._tokens[number] for number in ids.tolist()]
            said = self._said[key] = _Said(tokens)
        return first, said


class _Said:
    """What stretches of some tokens say, pieces joined."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._starts: list[int] = []
        self._ends: list[int] = []
        place = 0
        for token in tokens:
            if token.startswith(CONTINUATION):
                place -= bool(place)
                length = len(token) - len(CONTINUATION)
            else:
                length = len(token)
            self._starts.append(place)
            place += length
            self._ends.append(place)
            place += 1
        text = " ".join(tokens).replace(f" {CONTINUATION}", "")
        self._text = text.removeprefix(CONTINUATION)
        # Whether a stretch says the same alone as among the others.
        self._is_plain = (
            CONTINUATION not in self._text
            and " ".join(self._text.split()) == self._text
        )

    def text(self, first: int, last: int) -> str:
        """Returns what the tokens from the first to the last say."""
        if self._is_plain:
            return self._text[self._starts[first] : self._ends[last]]
        text = " ".join(self._tokens[first : last + 1])
        text = text.replace(f" {CONTINUATION}", "").replace(CONTINUATION, "")
        return " ".join(text.split())


class _Words:
    """The words of a text beside what the tokenizer makes of them."""

    def __init__(
        self,
        text: str,
        spans: Sequence[tuple[int, int]],
        plain: Callable[[str], str],
    ) -> None:
        """Prepares.

        Args:
            text: any.
            spans: [start, end) of its words.
            plain: word → its tokens before they are cut into pieces.
        """
        self._spans = spans
        words = [text[start:end] for start, end in spans]
        self._joined = " ".join(words)
        # Letters before each word, and all.
        self._letters = _sums(map(len, words))
        plains = [plain(word) for word in words]
        self._plain = " ".join(filter(None, plains))
        self._plain_letters = _sums(len(one) - one.count(" ") for one in plains)
        # Where the plain form of each word begins, and behind the last;
        # words without any begin with the next one.
        self._begins = _sums(len(one) + 1 if one else 0 for one in plains)

    def all(self, first: int, last: int) -> Text:
        """Returns the words from the first to the last."""
        start, end = self._letters[first], self._letters[last + 1]
        return (
            self._joined[start + first : end + last],
            (self._spans[first][0], self._spans[last][1]),
        )

    def said(self, said: str, first: int, last: int) -> Text | None:
        """Returns what of some words tokens say; None: cannot be compared.

        Words and plain forms are compared by their letters, of which both
        must have as many: each then stands for that at its place in the
        other.

        Args:
            said: tokens with single spaces between.
            first: number of the first word.
            last: number of the last.
        """
        letters, plain_letters = self._letters, self._plain_letters
        before = letters[first]
        if not said or letters[last + 1] - before != (
            plain_letters[last + 1] - plain_letters[first]
        ):
            return None
        begin = self._begins[first]
        start = self._plain.find(said, begin, self._begins[last + 1])
        if start < 0:
            return None
        start_letter = (
            before + start - begin - self._plain.count(" ", begin, start)
        )
        end_letter = start_letter + len(said) - said.count(" ") - 1
        # Of one letter, the word is the last that begins at or before it.
        word = bisect.bisect_right(letters, start_letter) - 1
        end_word = bisect.bisect_right(letters, end_letter, word) - 1
        return (
            self._joined[start_letter + word : end_letter + end_word + 1],
            (
                self._spans[word][0] + start_letter - letters[word],
                self._spans[end_word][0] + end_letter - letters[end_word] + 1,
            ),
        )


def _sums(numbers: Iterable[int]) -> list[int]:
    return list(itertools.accumulate(numbers, initial=0))


@functools.cache
def _plain_words(do_lower_case: bool) -> Callable[[str], str]:
    """Returns word → its tokens with spaces between, remembered."""
    tokenize = BasicTokenizer(do_lower_case).tokenize

    # What the tokenizer does ends at spaces.
    @functools.lru_cache(_WORDS_KEPT)
    def plain(word: str) -> str:
        return " ".join(tokenize(word))

    return plain
