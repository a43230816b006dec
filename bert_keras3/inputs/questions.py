"""Questions about texts, read from files of any common form.

What a SQuAD file says,

    {"data": [{"paragraphs": [{"context": "Steve Smith sang.", "qas": [
        {"id": "1", "question": "Who sang?",
         "answers": [{"text": "Steve Smith", "answer_start": 0}]}]}]}]}

is said as well by the flat record

    {"id": "1", "context": "Steve Smith sang.", "question": "Who sang?",
     "answers": {"text": ["Steve Smith"], "answer_start": [0]}}

and by a row of a CSV file with the columns id, context, question, answer.
The forms are listed in `question_records`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from bert_keras3.inputs.encodings import excerpt
from bert_keras3.inputs.question_records import (
    ID_KEYS,
    QUESTION_KEYS,
    START_KEYS,
    Record,
    read_records,
    text_of,
    value_of,
)
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError

_IDS_KEPT = 10

MISTAKES = ("outside", "misplaced", "absent", "repeated", "empty_contexts")
"""Fields of `QuestionReport` that `read_questions` can refuse."""


@dataclasses.dataclass(frozen=True, slots=True)
class QuestionExample:
    """One question and the text that may hold its answer.

    Attributes:
        question_id: the id; the number of the question, from 1, in rows
            without one.
        question: its text.
        context: the text, as it stands in the file.
        answers: (text, number of its first character in the context, from
            0), in the order of the file; several are alternatives. −1 where
            the file has no start and the context no such text.
        is_impossible: whether the file says that there is no answer; in rows,
            an empty answer does.
        path: the file.
        place: where in the file, for messages: a line, and in nested JSON the
            keys that lead there; the line is that of the list's element.
    """

    question_id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...] = ()
    is_impossible: bool = False
    path: str = ""
    place: str = ""

    line = 0
    """In nested files, lines say nothing; `place` does."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Question and context."""
        return (self.question, self.context)

    @property
    def where(self) -> str:
        """File, place and id, as a message begins."""
        parts = (self.path, self.place, f"question {self.question_id!r}")
        return ", ".join(part for part in parts if part)


@dataclasses.dataclass
class Cases:
    """How many questions something was met in, and the ids of the first ten.

    Attributes:
        number: of questions.
        ids: of the first.
    """

    number: int = 0
    ids: list[str] = dataclasses.field(default_factory=list)
    _last: tuple[str, str] | None = None

    def add(self, question: QuestionExample) -> None:
        """Counts a question, once if it comes again at once."""
        key = (question.place, question.question_id)
        if key == self._last:
            return
        self._last = key
        question_id = question.question_id
        self.number += 1
        if len(self.ids) < _IDS_KEPT:
            self.ids.append(question_id)


@dataclasses.dataclass
class QuestionReport:
    """What was met in a file of questions.

    Attributes:
        num_questions: all.
        num_answered: those with an answer, be it right or not.
        num_impossible: those that the file says have no answer.
        num_found: answers whose start the file does not say, found.
        several: questions with such an answer that occurs more than once in
            the context; its first occurrence was taken.
        outside: questions with an answer that starts behind the end of its
            context.
        misplaced: questions with an answer that is in the context, but not
            where the file says.
        absent: questions with an answer that is not in the context.
        repeated: ids that occurred before.
        empty_contexts: questions whose context is empty or blank.
        empty_questions: questions that are empty or blank.
    """

    num_questions: int = 0
    num_answered: int = 0
    num_impossible: int = 0
    num_found: int = 0
    several: Cases = dataclasses.field(default_factory=Cases)
    outside: Cases = dataclasses.field(default_factory=Cases)
    misplaced: Cases = dataclasses.field(default_factory=Cases)
    absent: Cases = dataclasses.field(default_factory=Cases)
    repeated: Cases = dataclasses.field(default_factory=Cases)
    empty_contexts: Cases = dataclasses.field(default_factory=Cases)
    empty_questions: Cases = dataclasses.field(default_factory=Cases)

    def lines(self) -> list[str]:
        """Returns what a person should know, a line each."""
        what = (
            (self.several, "with an answer that occurs more than once"),
            (self.outside, "with an answer behind the end of the context"),
            (self.misplaced, "with an answer that is not where the file says"),
            (self.absent, "with an answer that is not in the context"),
            (
                self.repeated,
                "with the id of an earlier one, which is not predicted",
            ),
            (self.empty_contexts, "with an empty context"),
            (self.empty_questions, "without a text"),
        )
        said = (
            f"{self.num_impossible} of them without an answer"
            if self.num_answered or self.num_impossible
            else "and the file says no answers"
        )
        lines = [f"{questions(self.num_questions)}, {said}"]
        if self.num_found:
            lines.append(
                f"note: the starts of {self.num_found} answers were not given "
                "and were found in their contexts, at the first occurrence"
            )
        return lines + [
            f"note: {questions(cases.number)} {said} ({', '.join(cases.ids)}"
            f"{' …' if cases.number > len(cases.ids) else ''})"
            for cases, said in what
            if cases.number
        ]


def questions(number: int) -> str:
    """Returns "1 question" or "2 questions"."""
    return f"{number} question{'s' * (number != 1)}"


def read_questions(
    path: str | os.PathLike[str] | Sequence[pathlib.Path],
    report: QuestionReport | None = None,
    *,
    refused: Collection[str] = (),
    choices: FileChoices | None = None,
) -> Iterator[QuestionExample]:
    """Streams the questions of a file, or of several; each call begins anew.

    Of a question 24 bytes or so are kept to know its id again.

    Args:
        path: `.csv` or `.tsv`, `.jsonl` or `.ndjson`; any other name is one
            of JSON. See `question_records`. Several are read one after
            another, as if they were one.
        report: counts what is met.
        refused: which of `MISTAKES` are errors. Others are counted alone:
            the original predicts for such questions, and leaves out of
            training those whose answer it does not find.
        choices: encoding, delimiter and quoting, where they are known.

    Yields:
        The questions, in the order of the file.

    Raises:
        UserError: no such file, undecodable bytes, JSON that is cut off, a
            missing key, a value of another type, no question, what is
            `refused`.
    """
    if isinstance(path, str | os.PathLike):
        path = (pathlib.Path(path),)
    report = QuestionReport() if report is None else report
    reader = _Reader(report, refused)
    for one in path:
        before = report.num_questions
        for record in read_records(one, choices or FileChoices()):
            yield reader.example(record, str(one))
        if report.num_questions == before:
            raise UserError(
                f"{one} holds no question; in SQuAD's form they stand in "
                "data[…].paragraphs[…].qas[…]"
            )


class _Reader:
    """Makes examples of records."""

    def __init__(
        self, report: QuestionReport, refused: Collection[str]
    ) -> None:
        self._report, self._refused = report, refused
        # Hashes, which are shorter than ids.
        self._seen: set[int] = set()

    def example(self, record: Record, path: str) -> QuestionExample:
        """Returns the question of a record in a file."""
        place, values = record.place, record.values
        report = self._report
        report.num_questions += 1
        if record.is_row:
            number = values.get("id") or str(report.num_questions)
        else:
            number = value_of(path, place, values, ID_KEYS)
            if isinstance(number, bool) or not isinstance(number, int | str):
                raise UserError(
                    f"{path}, {place}: {ID_KEYS[0]!r} must be a text or a "
                    f"whole number, and is {json.dumps(number)[:60]}"
                )
        question = QuestionExample(
            str(number),
            text_of(path, place, values, QUESTION_KEYS),
            record.context,
            path=path,
            place=place,
        )
        self._check_id(question)
        self._check_texts(question)
        answers = self._answers(question, record)
        is_impossible = values.get("is_impossible", False)
        if not isinstance(is_impossible, bool):
            raise UserError(
                f"{question.where}: 'is_impossible' must be true or false, and "
                f"is {is_impossible!r}"
            )
        if record.is_row:
            is_impossible = "answer" in values and not answers
        report.num_answered += bool(answers)
        report.num_impossible += is_impossible
        return dataclasses.replace(
            question, answers=answers, is_impossible=is_impossible
        )

    def _check_id(self, question: QuestionExample) -> None:
        key = hash(question.question_id)
        if key in self._seen:
            self._count(
                question,
                "repeated",
                "the id occurred before; give each question one of its own",
            )
        self._seen.add(key)

    def _check_texts(self, question: QuestionExample) -> None:
        if not question.context.strip():
            self._count(
                question,
                "empty_contexts",
                "its context is empty; fill it in or delete the question",
            )
        if not question.question.strip():
            self._report.empty_questions.add(question)

    def _count(
        self, question: QuestionExample, mistake: str, message: str
    ) -> None:
        """Counts a mistake, or raises if it is refused."""
        if mistake in self._refused:
            raise UserError(f"{question.where}: {message}")
        cases: Cases = getattr(self._report, mistake)
        cases.add(question)

    def _answers(
        self, question: QuestionExample, record: Record
    ) -> tuple[tuple[str, int], ...]:
        values, where = record.values, question.where
        if record.is_row:
            cell = values.get("answer", "")
            pairs: Sequence[tuple[str, int | None]] = ()
            if cell.strip():
                pairs = [(cell, _start_of_cell(values, where))]
        else:
            pairs = _pairs(values, where)
        return tuple(self._placed(question, *pair) for pair in pairs)

    def _placed(
        self, question: QuestionExample, text: str, start: int | None
    ) -> tuple[str, int]:
        """Finds the start of an answer, or checks it."""
        context, report = question.context, self._report
        if start is None:
            found = context.find(text)
            if found < 0 and text != text.strip():
                text = text.strip()
                found = context.find(text)
            if found >= 0:
                report.num_found += 1
                if context.find(text, found + 1) >= 0:
                    report.several.add(question)
                return text, found
        elif text and start >= 0 and context.startswith(text, start):
            return text, start
        said = excerpt(text)
        if not context and start is not None:
            self._count(
                question,
                "outside",
                f"it has the answer {said}, and its context is empty; fill it "
                "in or delete the question",
            )
        elif start is not None and start >= max(1, len(context)):
            self._count(
                question,
                "outside",
                f"its answer {said} starts at character {start}, and the "
                f"context has {len(context)} characters; correct "
                "'answer_start', which counts characters from 0",
            )
        elif not text or text not in context:
            self._count(
                question,
                "absent",
                f"its answer {said} is not in the context; correct it, or say "
                "that there is no answer",
            )
        else:
            self._count(
                question,
                "misplaced",
                f"its answer {said} is not at character {start} of the context"
                f" (there stands {_standing(context, start or 0, len(text))}; "
                f"it is at {context.find(text)}); correct 'answer_start', "
                "which counts characters from 0",
            )
        return text, -1 if start is None else start


def _standing(context: str, start: int, length: int) -> str:
    """What stands at a place, for a message."""
    if not 0 <= start < len(context):
        return f"nothing, it has {len(context)} characters"
    return excerpt(context[start : start + length])


def _start_of_cell(values: Any, where: str) -> int | None:
    cell = values.get("answer_start", "").strip()
    if not cell:
        return None
    try:
        return int(cell)
    except ValueError:
        raise UserError(
            f"{where}: answer_start is {cell!r}; it must be a whole number, "
            "the place of the answer's first character, from 0"
        ) from None


def _pairs(values: Any, where: str) -> Sequence[tuple[str, int | None]]:
    """Returns (text, start or None) of the answers of a JSON record."""
    answers = values.get("answers", values.get("answer"))
    if answers is None:
        return ()
    if isinstance(answers, str):
        # A lone text, with its start beside it.
        start = next((values[k] for k in START_KEYS if k in values), None)
        return [_pair(answers, start, where)] if answers else ()
    if isinstance(answers, dict):
        # {"text": […], "answer_start": […]}
        texts = answers.get("text", [])
        starts = next(
            (answers[key] for key in START_KEYS if key in answers), None
        )
        if not isinstance(texts, list):
            texts, starts = [texts], None if starts is None else [starts]
        if starts is None:
            starts = [None] * len(texts)
        if not isinstance(starts, list) or len(starts) != len(texts):
            raise UserError(
                f"{where}: 'answers' has {len(texts)} texts and another number "
                "of starts; each text needs one"
            )
        return [_pair(*one, where) for one in zip(texts, starts, strict=True)]
    if not isinstance(answers, list):
        raise UserError(
            f"{where}: 'answers' must be a list of objects with 'text' and "
            f"'answer_start', and is {answers!r}"
        )
    pairs = []
    for answer in answers:
        if isinstance(answer, dict):
            if "text" not in answer:
                raise UserError(f"{where}: an answer has no 'text'")
            start = next((answer[k] for k in START_KEYS if k in answer), None)
            pairs.append(_pair(answer["text"], start, where))
        else:
            pairs.append(_pair(answer, None, where))
    return pairs


def _pair(text: Any, start: Any, where: str) -> tuple[str, int | None]:
    if not isinstance(text, str):
        raise UserError(f"{where}: an answer must be a text, and is {text!r}")
    if start is not None and (
        isinstance(start, bool) or not isinstance(start, int)
    ):
        raise UserError(
            f"{where}: 'answer_start' must be a whole number, and is {start!r}"
        )
    return text, start
