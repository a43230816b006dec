"""Data sets of questions about texts, in files of any common form."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning.dataset import (
    Description,
    Kind,
    Source,
    given_files,
)
from bert_keras3.finetuning.run_folder import (
    FinetuningFolder,
    RunSettings,
    settings_beside,
)
from bert_keras3.finetuning.span import CMRC, SQUAD, Span
from bert_keras3.finetuning.span_settings import QuestionFiles
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.trained_task import check_trained_for
from bert_keras3.inputs.question_records import ROWS, describe_records
from bert_keras3.inputs.questions import (
    MISTAKES,
    QuestionExample,
    QuestionReport,
    read_questions,
)
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.inputs.several_files import decision_on, joined_path
from bert_keras3.question_answering.windows import suggested_answers_by
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

# Number of questions by which options are detected.
_LOOKED_AT = 1000
# Number of questions and of characters that are shown.
_SHOWN, _SHOWN_CHARACTERS = 3, 60

# What a split is for, and its flag, in messages.
_PURPOSES = {
    "train": ("train on", "train_file"),
    "dev": ("evaluate on", "dev_file"),
    "test": ("answer", "predict_file"),
}


class QuestionSource:
    """Files of questions as one, a `dataset.Source`."""

    label_columns = ()
    label_separator = None
    takes_pairs = True
    suffix = ".jsonl"

    def __init__(
        self,
        paths: Sequence[pathlib.Path],
        choices: FileChoices,
        refused: Collection[str],
    ) -> None:
        """Does not open the files.

        Args:
            paths: one file at least.
            choices: how they are written.
            refused: mistakes in them that are errors.
        """
        self.path = joined_path(paths)
        self._paths = paths
        self.columns: dict[str, Any] = {}
        self._choices = choices
        self._refused = refused
        self._report = QuestionReport()

    def __iter__(self) -> Iterator[QuestionExample]:
        """Streams the questions."""
        self._report = QuestionReport()
        return read_questions(
            self._paths,
            self._report,
            refused=self._refused,
            choices=self._choices,
        )

    def describe(self) -> Description:
        """Returns the first questions."""
        first = [
            tuple(
                _excerpt(text)
                for text in (
                    one.question_id,
                    one.question,
                    one.context,
                    " | ".join(text for text, _ in one.answers),
                )
            )
            for one in self.first(_SHOWN)
        ]
        decisions = (
            *decision_on(self._paths),
            *describe_records(self._paths[0], self._choices),
        )
        headers = ("id", "question", "context", "answer")
        return Description(decisions, headers, first)

    @property
    def has_ids(self) -> bool:
        """Whether questions have ids, as all but some rows of cells do."""
        for path in self._paths:
            decisions = describe_records(path, self._choices)
            found = {one.what: one.value for one in decisions}
            if "id" not in found and found["form"] == ROWS:
                return False
        return True

    def first(self, number: int) -> list[QuestionExample]:
        """Returns the first questions."""
        return list(itertools.islice(self, number))

    def notes(self) -> Sequence[str]:
        """Returns what was met in the questions."""
        return self._report.lines()

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some questions as JSON lines.

        Args:
            chosen: numbers of questions, from 0, ascending.
            path: the new file.
        """
        wanted = iter(chosen.tolist())
        following = next(wanted, None)
        with atomic_write(path) as file:
            for number, one in enumerate(self):
                if number != following:
                    continue
                following = next(wanted, None)
                record = {
                    "id": one.question_id,
                    "question": one.question,
                    "context": one.context,
                    "answers": {
                        "text": [text for text, _ in one.answers],
                        "answer_start": [start for _, start in one.answers],
                    },
                    "is_impossible": one.is_impossible,
                }
                file.write(f"{json.dumps(record, ensure_ascii=False)}\n")


class QuestionData:
    """The user's own files of questions."""

    name = "squad"
    labels: tuple[str, ...] | None = None
    metric: str | None = None

    def __init__(self, data: QuestionFiles) -> None:
        """Opens nothing yet."""
        self._data = data
        self._files = {
            "train": data.train_file,
            "dev": data.dev_file,
            "test": data.test_file,
        }

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test".

        A file to predict that has answers can be evaluated, too.
        """
        if split == "dev" and self._files["dev"] is None:
            return self._files["test"] is not None and any(
                one.answers or one.is_impossible
                for one in self._source(self._files["test"]).first(_LOOKED_AT)
            )
        return self._files[split] is not None

    def further(self, split: str) -> tuple[str, ...]:
        """Returns no more splits."""
        return ()

    def source(self, split: str) -> Source:
        """Opens a split; a UserError if it is missing."""
        given = self._files[split]
        if split == "dev" and given is None and self.has("dev"):
            given = self._files["test"]
        if given is None:
            purpose, flag = _PURPOSES[split]
            raise UserError(
                f"there is no file to {purpose}: give --{flag}"
                + (", or a --predict_file with answers" * (split == "dev"))
            )
        # The second answer would replace the first.
        always = ("outside", "repeated") if split == "test" else ("outside",)
        return self._source(given, always)

    def _source(
        self, given: str, refused: Collection[str] = ()
    ) -> QuestionSource:
        if self._data.strict:
            refused = MISTAKES
        return QuestionSource(given_files(given), self._data.file, refused)

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        """Opens the questions that a training held out."""
        path = folder.dev_split(QuestionSource.suffix)
        if not path.exists() or self.has("dev"):
            return None
        return QuestionSource((path,), FileChoices(), ())

    def task(self, source: Source) -> tuple[Task, str]:
        """Returns the task with its options, and what was detected."""
        looked_at = list(itertools.islice(source, _LOOKED_AT))
        answers_by = suggested_answers_by(one.context for one in looked_at)
        has_negative = any(one.is_impossible for one in looked_at)
        task = _with_flags(
            Span(
                version_2_with_negative=has_negative,
                answers_by=answers_by,
                answer_metrics=_metrics_for(answers_by),
            ),
            self._data,
        )
        negative = "may" if task.version_2_with_negative else "never"
        return task, (
            f"questions {negative} lack an answer, "
            f"--answers_by={task.answers_by}, "
            f"--answer_metrics={task.answer_metrics}"
        )

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> None:
        """Writes nothing: a server takes `predictions.json` as it is."""

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Returns the task of a checkpoint, with the original's defaults.

        The options of a run folder are those of its training.
        """
        check_trained_for(checkpoint, Span.name)
        trained = settings_beside(checkpoint)
        if trained is not None and isinstance(trained.task, Span):
            return _with_flags(trained.task, self._data)
        task, split = Span(), "test" if self.has("test") else "dev"
        if self.has(split):
            looked_at = list(itertools.islice(self.source(split), _LOOKED_AT))
            by = suggested_answers_by(one.context for one in looked_at)
            task = Span(answer_metrics=_metrics_for(by))
        return _with_flags(task, self._data)

    def reopened(self, task: Task) -> Task:
        """Returns the task of a trained model with the flags given now."""
        assert isinstance(task, Span)
        return _with_flags(task, self._data)


def find_questions(
    data: QuestionFiles, trained: RunSettings | None = None
) -> QuestionData:
    """Returns the data set that the flags describe."""
    return QuestionData(data)


def check_questions(data: QuestionFiles, *, do_train: bool) -> None:
    """Checks the flags of the data against each other; any may be given."""


def check_same_questions(
    data: QuestionFiles, folder: FinetuningFolder, *, do_eval: bool
) -> None:
    """Checks flags against a trained model; its options may all change."""


def _metrics_for(answers_by: str) -> str:
    """Returns the rules for texts whose answers are best cut like that."""
    return CMRC if answers_by == "characters" else SQUAD


def _with_flags(task: Span, data: QuestionFiles) -> Span:
    """Returns the task with those options that are given as flags."""
    given = {
        field.name: getattr(data, field.name)
        for field in dataclasses.fields(task)
        if getattr(data, field.name, None) is not None
    }
    return dataclasses.replace(task, **given)


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[: _SHOWN_CHARACTERS - 1] + "…"


KIND = Kind(
    find_questions,
    check_questions,
    check_same_questions,
    problems=(Span.name,),
    script="run_squad",
)
