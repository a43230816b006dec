"""Question and context → windows: rows that fit the model.

    [CLS] question [SEP] a stretch of the context [SEP]

A context that is too long is cut into stretches that overlap, each beginning
`doc_stride` tokens behind the one before:

    context tokens      0 1 2 3 4 5 6 7      stretches of 4, stride 2
    windows             0 1 2 3
                            2 3 4 5
                                4 5 6 7
    best window of each 0 0 0 1 1 2 2 2

A token in several windows counts as the beginning of an answer only in that
where it has most context on its poorer side (`is_max_context`).

Original: `convert_examples_to_features` of `run_squad.py`; equal to it in
every number (tests/reference/README.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from bert_keras3.inputs.feature_store import INPUT_COLUMNS, Column
from bert_keras3.inputs.questions import QuestionExample, questions
from bert_keras3.question_answering.context_tokens import (
    ContextTokens,
    words_of,
)
from bert_keras3.safekeeping.errors import UserError
from tokenization.packing import NUM_SPECIAL_PAIR
from tokenization.tokenizers import Tokenizer

Purpose = Literal["train", "evaluate", "predict"]

START_POSITION = "start_position"
END_POSITION = "end_position"

POSITION_COLUMNS: Mapping[str, Column] = {
    START_POSITION: Column("int32"),
    END_POSITION: Column("int32"),
    "is_impossible": Column("int32", stored="uint8"),
    "is_aligned": Column("int32", stored="uint8"),
}
"""What is learnt: where the answer's first and last token stand in the row,
both 0 (the token [CLS]) where the row does not hold all of it; whether the
question has no answer; and whether its answer was found among the tokens,
which in rows to train on is always so."""

ANSWER_COLUMNS: Mapping[str, Column] = {
    "first_context_token": Column("int32"),
    "is_max_context": Column("int32", per_token=True, stored="uint8"),
    "text_start": Column("int32", per_token=True),
    "text_end": Column("int32", per_token=True),
}
"""What `answers` reads beside the ids. The context's tokens are those from
`first_context_token` to the last but one. A token stands for the characters
of the raw context from `text_start` up to before `text_end`: its own, or
those of its whole word (`WindowSettings.answers_by`); both are 0 for tokens
of the question and special ones."""

# A word longer than this on average is no word: the text has no spaces.
_LONGEST_MEAN_WORD = 15


@dataclasses.dataclass(frozen=True)
class WindowSettings:
    """How questions and contexts become rows.

    `answers_by` says what an answer is cut out by:

    - `words`, as the original: answers are projected to words between spaces,
      and cut out of the words' text by comparing it with the tokens' text.
      That fails where characters are not one to one (accents written with
      two, `☺`), and then, and for Chinese at times, answers whole sentences.
    - `characters`: each token knows its characters. Better where there are
      no spaces; `suggested_answers_by` detects it in the contexts.

    Attributes:
        max_seq_length: the most tokens of a row.
        doc_stride: by how many tokens windows are apart.
        max_query_length: the most tokens of a question; the rest is cut.
        version_2_with_negative: whether questions may have no answer.
        answers_by: `words` or `characters`.

    Raises:
        UserError: a value is out of range.
    """

    max_seq_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    version_2_with_negative: bool = False
    answers_by: str = "words"

    def __post_init__(self) -> None:
        """Checks the values."""
        for name, least in (
            ("max_seq_length", NUM_SPECIAL_PAIR + 1),
            ("doc_stride", 1),
            ("max_query_length", 0),
        ):
            if getattr(self, name) < least:
                raise UserError(
                    f"--{name}={getattr(self, name)}: must be at least {least}"
                )
        if self.answers_by not in ("words", "characters"):
            raise UserError(
                f"--answers_by={self.answers_by}: give words or characters"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """One row, with C tokens of the context.

    Attributes:
        input_ids: ids from [CLS] to the last [SEP].
        first_context_token: number of the context's first token in the row.
        doc_start: number of that token among all tokens of the context.
        words: int32 [C], the word that each belongs to, from 0.
        is_max_context: bool [C].
        text_start: int32 [C], see `ANSWER_COLUMNS`.
        text_end: int32 [C].
        start_position: see `POSITION_COLUMNS`; so are the others.
        end_position: of the answer's last token.
        is_impossible: whether the question has no answer.
        is_aligned: whether the answer was found.
    """

    input_ids: list[int]
    first_context_token: int
    doc_start: int
    words: np.ndarray
    is_max_context: np.ndarray
    text_start: np.ndarray
    text_end: np.ndarray
    start_position: int = 0
    end_position: int = 0
    is_impossible: bool = False
    is_aligned: bool = True

    def features(self, columns: Iterable[str]) -> dict[str, Any]:
        """Returns columns of `columns_for`, as a feature store takes them."""
        length, first = len(self.input_ids), self.first_context_token
        values: dict[str, Any] = {}
        for name in columns:
            if name == "segment_ids":
                values[name] = np.arange(length) >= first
            elif name in ANSWER_COLUMNS and ANSWER_COLUMNS[name].per_token:
                values[name] = np.zeros(length, np.int32)
                values[name][first : length - 1] = getattr(self, name)
            else:
                values[name] = getattr(self, name)
        return values


@dataclasses.dataclass
class WindowReport:
    """What became of the questions.

    Attributes:
        num_questions: all of them.
        num_windows: rows made of them.
        num_cut_questions: longer than `max_query_length`.
        num_several_answers: answerable ones to train on with more than one
            answer, of which the first counts (the original stops there).
        num_split_answers: answerable ones to train on none of whose windows
            holds the whole answer.
        unaligned: {reason: ids} of questions whose answer was not found;
            left out of training. The original leaves out, without a
            message, those whose words do not have the answer, and stops at
            others.
        without_tokens: ids of questions whose context has no token, and
            which therefore have no row.
    """

    num_questions: int = 0
    num_windows: int = 0
    num_cut_questions: int = 0
    num_several_answers: int = 0
    num_split_answers: int = 0
    unaligned: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    without_tokens: list[str] = dataclasses.field(default_factory=list)

    @property
    def num_unaligned(self) -> int:
        """Questions whose answer was not found."""
        return sum(map(len, self.unaligned.values()))

    def lines(self) -> list[str]:
        """Returns what a person should know, a line each."""
        windows = f"{self.num_windows} window{'s' * (self.num_windows != 1)}"
        lines = [f"{questions(self.num_questions)} in {windows}"]
        cases = [
            *(
                (f"not to be learnt from: {reason}", ids)
                for reason, ids in self.unaligned.items()
            ),
            ("with a context without any token", self.without_tokens),
        ]
        lines += [
            f"note: {questions(len(ids))} {what} ({_listed(ids)})"
            for what, ids in cases
            if ids
        ]
        counts = (
            (self.num_cut_questions, "cut at --max_query_length"),
            (
                self.num_several_answers,
                "with several answers, the first of which counts",
            ),
            (self.num_split_answers, "with an answer that fits in no window"),
        )
        lines += [
            f"note: {questions(count)} {what}"
            for count, what in counts
            if count
        ]
        return lines


def columns_for(purpose: Purpose) -> Mapping[str, Column]:
    """Returns the columns of rows to train on, evaluate or predict.

    Of rows to train on some may be held out for evaluation.
    """
    columns = {**INPUT_COLUMNS, **ANSWER_COLUMNS}
    if purpose != "predict":
        columns.update(POSITION_COLUMNS)
    return columns


def suggested_answers_by(contexts: Iterable[str]) -> str:
    """Returns `characters` for texts without spaces, else `words`.

    Args:
        contexts: some of them; a few are enough.
    """
    num_words = num_characters = 0
    for context in contexts:
        words = words_of(context)
        num_words += len(words)
        num_characters += sum(end - start for start, end in words)
    if num_characters > _LONGEST_MEAN_WORD * num_words:
        return "characters"
    return "words"


class WindowMaker:
    """Makes the windows of questions that come one after the other.

    Only the tokens of the latest context are kept, for the questions that
    follow on the same one.
    """

    def __init__(
        self, tokenizer: Tokenizer, settings: WindowSettings, purpose: Purpose
    ) -> None:
        """Prepares.

        Args:
            tokenizer: text → token ids.
            settings: how rows are made.
            purpose: `train`: rows have positions, and questions whose answer
                is not found have none; `evaluate`: every question has rows,
                with positions; `predict`: answers are not looked at.
        """
        self.report = WindowReport()
        self.columns = columns_for(purpose)
        self._tokenizer = tokenizer
        self._settings = settings
        self._purpose = purpose
        self._cls_id = tokenizer.vocab["[CLS]"]
        self._sep_id = tokenizer.vocab["[SEP]"]
        self._tokens = ContextTokens(tokenizer, settings.answers_by)

    def rows(self, example: QuestionExample) -> Iterator[dict[str, Any]]:
        """Yields {column: value or values} of each window of a question.

        Raises:
            UserError: as for `windows`.
        """
        for window in self.windows(example):
            yield window.features(self.columns)

    def windows(self, example: QuestionExample) -> list[Window]:
        """Returns the windows of a question; none if it is left out.

        Raises:
            UserError: the question leaves no room for the context.
        """
        report, settings = self.report, self._settings
        report.num_questions += 1
        query = self._tokenizer.encode(example.question)
        if len(query) > settings.max_query_length:
            query = query[: settings.max_query_length]
            report.num_cut_questions += 1
        room = settings.max_seq_length - len(query) - NUM_SPECIAL_PAIR
        if room < 1:
            raise UserError(
                f"{example.where}: the question's {len(query)} tokens leave "
                f"no room for the context in --max_seq_length="
                f"{settings.max_seq_length}; raise it, or lower "
                f"--max_query_length (now {settings.max_query_length})"
            )
        self._tokens.read(example.context)
        is_impossible, span = self._target(example)
        if self._purpose == "train" and span is None and not is_impossible:
            return []
        if not len(self._tokens.ids):
            report.without_tokens.append(example.question_id)
            return []
        made = self._cut(query, room)
        report.num_windows += len(made)
        if self._purpose == "predict":
            return made
        return self._with_target(made, is_impossible, span)

    def _cut(self, query: Sequence[int], room: int) -> list[Window]:
        tokens, step = self._tokens, min(room, self._settings.doc_stride)
        head = [self._cls_id, *query, self._sep_id]
        bests = best_windows(len(tokens.ids), room, step)
        made = []
        for number in range(num_windows(len(tokens.ids), room, step)):
            start = number * step
            stretch = slice(start, start + room)
            made.append(
                Window(
                    [*head, *tokens.ids[stretch], self._sep_id],
                    len(head),
                    start,
                    tokens.words[stretch],
                    bests[stretch] == number,
                    tokens.text_start[stretch],
                    tokens.text_end[stretch],
                )
            )
        return made

    def _target(
        self, example: QuestionExample
    ) -> tuple[bool, tuple[int, int] | None]:
        """(has no answer, (first, last) token of the answer if found)."""
        if self._purpose == "predict":
            return False, None
        if self._settings.version_2_with_negative and (
            example.is_impossible or not example.answers
        ):
            return True, None
        if not example.answers:
            self._count_unaligned(example, "no answer is given")
            return False, None
        if self._purpose == "train" and len(example.answers) > 1:
            self.report.num_several_answers += 1
        text, start = example.answers[0]
        if self._settings.answers_by == "characters":
            span = self._tokens.span_by_characters(text, start)
        else:
            span = self._tokens.span_by_words(text, start)
        if span is None:
            reason = "the answer is not where the file says"
            self._count_unaligned(example, reason)
        return False, span

    def _count_unaligned(self, example: QuestionExample, reason: str) -> None:
        ids = self.report.unaligned.setdefault(reason, [])
        ids.append(example.question_id)

    def _with_target(
        self,
        made: list[Window],
        is_impossible: bool,
        span: tuple[int, int] | None,
    ) -> list[Window]:
        is_aligned, any_holds = is_impossible or span is not None, False
        placed = []
        for window in made:
            start = end = 0
            if span is not None:
                last = window.doc_start + len(window.words) - 1
                if span[0] >= window.doc_start and span[1] <= last:
                    any_holds = True
                    shift = window.first_context_token - window.doc_start
                    start, end = span[0] + shift, span[1] + shift
            placed.append(
                dataclasses.replace(
                    window,
                    start_position=start,
                    end_position=end,
                    is_impossible=is_impossible,
                    is_aligned=is_aligned,
                )
            )
        if span is not None and not any_holds:
            self.report.num_split_answers += 1
        return placed


def num_windows(num_tokens: int, room: int, step: int) -> int:
    """Returns how many windows a context has.

    Args:
        num_tokens: of the context.
        room: the most of them in a window.
        step: by how many tokens windows are apart, at most `room`.
    """
    if num_tokens <= room:
        return int(num_tokens > 0)
    return -(-(num_tokens - room) // step) + 1


def best_windows(num_tokens: int, room: int, step: int) -> np.ndarray:
    """Returns the window in which each token has most context.

    A token's score in a window is the smaller number of tokens on either
    side, plus a hundredth of the window's length, in float64 as the
    original's; the first window wins a tie. Each window is gone through
    once, so a context of a million tokens takes no longer than its windows.

    Args:
        num_tokens: T, of the context.
        room: the most of them in a window.
        step: by how many tokens windows are apart, at most `room`.

    Returns:
        int64 [T], numbers of windows.
    """
    best = np.zeros(num_tokens, np.int64)
    if num_tokens <= room:
        return best
    scores = np.full(num_tokens, -1.0)
    for number in range(num_windows(num_tokens, room, step)):
        stretch = slice(number * step, number * step + room)
        length = len(scores[stretch])
        left = np.arange(length)
        score = np.minimum(left, left[::-1]) + 0.01 * length
        is_better = score > scores[stretch]
        scores[stretch][is_better] = score[is_better]
        best[stretch][is_better] = number
    return best


def _listed(ids: Sequence[str], most: int = 10) -> str:
    return ", ".join(ids[:most]) + (" …" if len(ids) > most else "")
