"""Where a job's examples come from: files of one's own, or a benchmark.

Both kinds of task answer the same questions; the files themselves are read by
`inputs`.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from bert_keras3.finetuning.problem import Problem
from bert_keras3.finetuning.problems import PROBLEMS, find_problem
from bert_keras3.finetuning.run_folder import ClassifierSettings
from bert_keras3.finetuning.single_label import SINGLE_LABEL
from bert_keras3.inputs import delimited, glue
from bert_keras3.inputs.columns import Columns
from bert_keras3.inputs.examples import InputExample, find_split_files
from bert_keras3.inputs.labelled_file import Description, LabelledFile
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

CSV = "csv"

_ROWS_LOOKED_AT = 1000

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
    file: FileChoices = dataclasses.field(default_factory=FileChoices)
    problem_type: str | None = None
    label_separator: str | None = None
    skip_labels: tuple[str, ...] = ()
    labels_file: str | None = None
    dev_fraction: float = 0.1


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of examples that can be gone through again and again.

    Attributes:
        file: the examples.
        label_columns: names of the label columns, where they have names.
        columns: what must be known to read other files like it.
        takes_pairs: whether examples have two texts.
    """

    file: LabelledFile | glue.BenchmarkFile
    label_columns: tuple[str, ...]
    columns: dict[str, Any]
    takes_pairs: bool

    @property
    def path(self) -> pathlib.Path:
        """The file, for messages."""
        return self.file.path

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the examples."""
        return iter(self.file)

    def describe(self) -> Description | None:
        """What was found out about the file, unless it was known before."""
        if isinstance(self.file, LabelledFile):
            return self.file.describe()
        return None

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some rows as they are, as a CSV file of their own.

        Args:
            chosen: numbers of rows, from 0, ascending.
            path: the new file.

        Raises:
            TypeError: the file is a benchmark's, which has parts of its own.
        """
        if not isinstance(self.file, LabelledFile):
            raise TypeError(f"{self.path} is not to be split")
        wanted = iter(chosen.tolist())
        following = next(wanted, None)
        dialect = self.file.dialect
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            if dialect.header:
                writer.writerow(dialect.columns)
            for number, row in enumerate(self.file.rows()):
                if number == following:
                    writer.writerow(row.cells)
                    following = next(wanted, None)


class Task(Protocol):
    """The data of a job."""

    @property
    def name(self) -> str:
        """As it is recorded with the model."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels, in the order that the task fixes, if it does."""

    @property
    def metric(self) -> str | None:
        """The metric to select by, if the task has one."""

    def has(self, split: str) -> bool:
        """Whether there is a "train", "dev" or "test" part."""

    def source(self, split: str) -> Source:
        """Opens a part; a UserError if it is not there or cannot be read."""

    def problem(self, source: Source) -> tuple[Problem, str]:
        """Tells the shape of the problem, and why."""


def find_task(
    choices: DataChoices, trained: ClassifierSettings | None = None
) -> Task:
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
                glue.find_benchmark(trained.task_name), choices.data_dir
            )
    if choices.task_name.lower() == CSV:
        return FileTask(choices, trained)
    if choices.data_dir is None:
        raise UserError(
            f"--task_name={choices.task_name} needs --data_dir, the folder "
            "of its files"
        )
    return BenchmarkTask(
        glue.find_benchmark(choices.task_name), choices.data_dir
    )


@dataclasses.dataclass(frozen=True)
class BenchmarkTask:
    """A task of the original's, or of GLUE."""

    task: glue.Benchmark
    data_dir: str

    @property
    def name(self) -> str:
        """As it is recorded with the model."""
        return self.task.name.lower()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels, in the order that the task fixes."""
        return self.task.labels

    @property
    def metric(self) -> str | None:
        """The metric to select by."""
        first = self.task.metrics[0]
        return _METRICS.get(first, first)

    def has(self, split: str) -> bool:
        """Whether there is a "train", "dev" or "test" part."""
        return True

    def source(self, split: str) -> Source:
        """Opens a part."""
        return Source(
            glue.open_split(self.task, split, self.data_dir),
            label_columns=(),
            columns={},
            takes_pairs=self.task.train.text_b is not None,
        )

    def problem(self, source: Source) -> tuple[Problem, str]:
        """All benchmarks here have one label an example."""
        return SINGLE_LABEL, f"task {self.task.name}"


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
        self._files: dict[str, pathlib.Path] = {}
        if choices.data_dir is not None:
            self._files.update(find_split_files(choices.data_dir))
        for split, path in given.items():
            if path:
                self._files[split] = pathlib.Path(path)
        self._columns = (
            Columns.from_dict(trained.columns)
            if trained is not None and trained.columns
            else None
        )

    name = CSV
    labels: tuple[str, ...] | None = None
    metric: str | None = None

    def has(self, split: str) -> bool:
        """Whether there is a "train", "dev" or "test" part."""
        return split in self._files

    def source(self, split: str) -> Source:
        """Opens a part; the first one opened decides on the columns."""
        path = self._files.get(split)
        if path is None:
            raise UserError(
                f"there is no file to {_PURPOSES[split]}: give "
                f"--{split}_file, or a --data_dir with a {split}.csv or "
                f"{split}.tsv"
            )
        want_label = split != "test"
        choices = self._choices.file
        # Of a file to predict every row gets its answer.
        skipped = frozenset(self._choices.skip_labels if want_label else ())
        if self._columns is None:
            file = LabelledFile.open(
                path, choices, want_label=want_label, skip_labels=skipped
            )
            self._columns = file.columns
        else:
            file = LabelledFile.open_like(
                path,
                self._columns,
                choices,
                want_label=want_label,
                skip_labels=skipped,
            )
        return _as_source(file)

    def problem(self, source: Source) -> tuple[Problem, str]:
        """Tells it from labels out of the whole file, if it is not given.

        The first rows would not do: the file may be sorted by its labels.
        """
        if self._choices.problem_type is not None:
            return PROBLEMS[self._choices.problem_type], "as given"
        labels = (example.label for example in source)
        return find_problem(
            delimited.evenly_spaced(labels, _ROWS_LOOKED_AT),
            self._choices.label_separator,
        )


def _as_source(file: LabelledFile) -> Source:
    columns = file.columns
    return Source(
        file,
        label_columns=tuple(columns.names[index] for index in columns.label),
        columns=columns.to_dict(),
        takes_pairs=columns.text_pair is not None,
    )


def reopen_rows(
    path: str | os.PathLike[str], trained: ClassifierSettings
) -> Source:
    """Opens a file that `Source.write_rows` wrote.

    Args:
        path: the file.
        trained: the settings of the classifier whose run wrote it.
    """
    columns = Columns.from_dict(trained.columns)
    # As it was written, so that nothing need be found out again.
    written = FileChoices(
        delimiter="comma",
        quoting="double",
        encoding="utf-8",
        header=columns.header,
    )
    return _as_source(LabelledFile.open_like(path, columns, written))


_PURPOSES = {
    "train": "train on",
    "dev": "evaluate on",
    "test": "predict",
}
