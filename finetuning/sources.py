"""Where a job's examples come from: files of one's own, or a benchmark.

Both answer the same questions (`Task`); the files themselves are read by
`inputs`.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import pathlib
from typing import Any, Protocol

import numpy as np

from finetuning.data import Source
from finetuning.problem import Problem
from finetuning.problems import PROBLEMS, find_problem
from finetuning.run_folder import ClassifierSettings
from finetuning.single_label import SINGLE_LABEL
from inputs import delimited, glue
from inputs.columns import Columns, FileChoices, LabelledFile
from inputs.examples import find_split_files
from safekeeping.errors import UserError
from safekeeping.files import atomic_write

CSV = "csv"

_ROWS_LOOKED_AT = 1000

# How `write_rows` writes, so that it need not be found out again.
_WRITTEN = FileChoices(delimiter="comma", quoting="double", encoding="utf-8")

# The names that benchmarks give to the metrics computed here.
_METRICS = {"matthews_correlation": "mcc"}


@dataclasses.dataclass(frozen=True)
class DataChoices:
    """What the user said of the data; None means: find it out."""

    task_name: str = CSV
    data_dir: str | None = None
    train_file: str | None = None
    dev_file: str | None = None
    test_file: str | None = None
    file: FileChoices = FileChoices()
    problem_type: str | None = None
    label_separator: str | None = None
    labels_file: str | None = None
    dev_fraction: float = 0.1


class Task(Protocol):
    """The data of one job."""

    @property
    def name(self) -> str:
        """As it is recorded with the model."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels in their order, where the task fixes them."""

    @property
    def metric(self) -> str | None:
        """The metric to select by, where the task has one."""

    def has(self, split: str) -> bool:
        """Whether there is a "train", "dev" or "test" part."""

    def source(self, split: str) -> Any:
        """Opens a part.

        Raises:
            UserError: there is no such part, or it cannot be read.
        """

    def problem(self, source: Any) -> tuple[Problem, str]:
        """Tells the shape of the problem, and why."""

    def label_columns(self, source: Any) -> tuple[str, ...]:
        """The names of the label columns."""

    def columns_of(self, source: Any) -> dict[str, Any]:
        """What of a file must be known to read others like it."""

    def takes_pairs(self, source: Any) -> bool:
        """Whether examples have two texts."""


def find_task(
    choices: DataChoices, trained: ClassifierSettings | None = None
) -> BenchmarkTask | FileTask:
    """Finds the task that was asked for.

    Args:
        choices: what the user said.
        trained: how the data of the trained classifier was read, if there is
            one already.

    Returns:
        The task.

    Raises:
        UserError: there is no such task, or it is not the trained one's.
    """
    if trained is not None and choices.task_name.lower() != trained.task_name:
        # Files of one's own can be given to whatever classifier.
        if choices.task_name.lower() != CSV:
            raise UserError(
                f"--task_name={choices.task_name}: the classifier in "
                f"--output_dir was trained on {trained.task_name}"
            )
        if choices.data_dir and not (choices.dev_file or choices.test_file):
            return BenchmarkTask(
                glue.find_task(trained.task_name), choices.data_dir
            )
    if choices.task_name.lower() == CSV:
        return FileTask(choices, trained)
    if choices.data_dir is None:
        raise UserError(
            f"--task_name={choices.task_name} needs --data_dir, the folder "
            "of its files"
        )
    return BenchmarkTask(glue.find_task(choices.task_name), choices.data_dir)


@dataclasses.dataclass(frozen=True)
class BenchmarkTask:
    """A task of the original's, or of GLUE."""

    task: glue.Task
    data_dir: str

    @property
    def name(self) -> str:
        return self.task.name.lower()

    @property
    def labels(self) -> tuple[str, ...] | None:
        return self.task.labels

    @property
    def metric(self) -> str | None:
        first = self.task.metrics[0]
        return _METRICS.get(first, first)

    def has(self, split: str) -> bool:
        return True

    def source(self, split: str) -> glue.TaskFile:
        return glue.open_split(self.task, split, self.data_dir)

    def problem(self, source: Source) -> tuple[Problem, str]:
        return SINGLE_LABEL, f"task {self.task.name}"

    def label_columns(self, source: Source) -> tuple[str, ...]:
        return ()

    def columns_of(self, source: Source) -> dict[str, Any]:
        return {}

    def takes_pairs(self, source: Source) -> bool:
        return self.task.train.text_b is not None


class FileTask:
    """CSV, TSV or JSON lines of one's own."""

    def __init__(
        self, choices: DataChoices, trained: ClassifierSettings | None = None
    ) -> None:
        """Finds the files; none is opened yet."""
        self._choices = choices
        given = {
            "train": choices.train_file,
            "dev": choices.dev_file,
            "test": choices.test_file,
        }
        found = (
            find_split_files(choices.data_dir)
            if choices.data_dir is not None
            else {}
        )
        self._files = {
            split: pathlib.Path(path)
            for split, path in {
                **found,
                **{name: path for name, path in given.items() if path},
            }.items()
        }
        self._columns = (
            Columns.from_dict(trained.columns)
            if trained is not None and trained.columns
            else None
        )

    name = CSV
    labels = None
    metric = None

    def has(self, split: str) -> bool:
        return split in self._files

    def source(self, split: str) -> LabelledFile:
        path = self._files.get(split)
        if path is None:
            raise UserError(
                f"there is no file to {_PURPOSES[split]}: give "
                f"--{split}_file, or a --data_dir with a {split}.csv or "
                f"{split}.tsv"
            )
        want_label = split != "test"
        if self._columns is None:
            opened = LabelledFile.open(
                path, self._choices.file, want_label=want_label
            )
            self._columns = opened.columns
            return opened
        return LabelledFile.open_like(
            path, self._columns, self._choices.file, want_label=want_label
        )

    def reopened(self, path: str | os.PathLike[str]) -> LabelledFile:
        """Opens a file that `write_rows` wrote."""
        if self._columns is None:
            raise ValueError("the columns of the training file are not known")
        return LabelledFile.open_like(path, self._columns, _WRITTEN)

    def problem(self, source: LabelledFile) -> tuple[Problem, str]:
        if self._choices.problem_type is not None:
            return PROBLEMS[self._choices.problem_type], "as given"
        first = itertools.islice(source, _ROWS_LOOKED_AT)
        return find_problem(
            [example.label for example in first], self._choices.label_separator
        )

    def label_columns(self, source: LabelledFile) -> tuple[str, ...]:
        columns = source.columns
        return tuple(columns.names[index] for index in columns.label)

    def columns_of(self, source: LabelledFile) -> dict[str, Any]:
        return source.columns.to_dict()

    def takes_pairs(self, source: LabelledFile) -> bool:
        return source.columns.text_pair is not None

    def write_rows(
        self,
        source: LabelledFile,
        chosen: np.ndarray,
        path: str | os.PathLike[str],
    ) -> None:
        """Writes some rows as they are, as a CSV file of their own.

        Args:
            source: the file they stand in.
            chosen: numbers of rows, from 0, ascending.
            path: the new file.
        """
        wanted = iter(chosen.tolist())
        following = next(wanted, None)
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            if source.dialect.header:
                writer.writerow(source.dialect.columns)
            for number, row in enumerate(
                delimited.rows(source.path, source.dialect)
            ):
                if number == following:
                    writer.writerow(row.cells)
                    following = next(wanted, None)


_PURPOSES = {
    "train": "train on",
    "dev": "evaluate on",
    "test": "predict",
}
