"""Where a job's examples come from: files of one's own, or a benchmark.

Both answer the same questions: which parts there are, what a part's examples
are, and which task their labels call for. Without a dev file, some of the
training's examples are held out.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from sklearn.model_selection import train_test_split

from bert_keras3.finetuning.settings import CSV, DataChoices
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.task import TARGETS, Examples, Task
from bert_keras3.finetuning.tasks import TASKS, find_task
from bert_keras3.inputs import delimited, glue
from bert_keras3.inputs.columns import Columns
from bert_keras3.inputs.examples import InputExample, find_split_files
from bert_keras3.inputs.labelled_file import Description, LabelledFile
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write


def check_fraction(fraction: float) -> None:
    """Checks that a part is neither nothing nor everything.

    Raises:
        UserError: it is.
    """
    if not 0 < fraction < 1:
        raise UserError(
            f"--dev_fraction={fraction:g} leaves no rows to "
            f"{'train' if fraction else 'evaluate'} on; give a number "
            "between 0 and 1, or a --dev_file, or train without --do_eval"
        )


def hold_out(
    examples: Examples, fraction: float, seed: int, *, stratify: bool
) -> tuple[Examples, Examples]:
    """Splits examples into those to train on and those to evaluate on.

    All rows of an example are on one side. Stratified, every label has the
    same share in both parts; a label with a single example stays in training.

    Args:
        examples: of a file; with one label number each if stratified.
        fraction: of the examples that is held out, above 0 and below 1.
        seed: the same seed holds out the same examples.
        stratify: whether to split label by label.

    Returns:
        (to train on, to evaluate on).

    Raises:
        UserError: there are too few examples to hold any out, or `fraction`
            leaves one part empty.
    """
    check_fraction(fraction)
    labels = examples.column(TARGETS) if stratify else None
    train, held_out = _split(len(examples), labels, fraction, seed)
    return (
        dataclasses.replace(examples, numbers=examples.numbers[train]),
        dataclasses.replace(examples, numbers=examples.numbers[held_out]),
    )


def _split(
    number: int, labels: np.ndarray | None, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of `number` examples are trained on, which held out."""
    rows = np.arange(number)
    splittable = rows
    strata = None
    if labels is not None:
        found, counts = np.unique(labels, return_counts=True)
        splittable = rows[np.isin(labels, found[counts > 1])]
        strata = labels[splittable]
    num_strata = len(np.unique(strata)) if strata is not None else 1
    # At least one example of each label, on both sides.
    num_held_out = max(num_strata, round(fraction * len(splittable)))
    if num_held_out > len(splittable) - num_strata or not num_strata:
        raise UserError(
            f"{number} rows are too few to hold {fraction:.0%} out with "
            "every label on both sides; give a --dev_file, or train without "
            "--do_eval"
        )
    _, held_out = train_test_split(
        splittable,
        test_size=num_held_out,
        random_state=seed,
        stratify=strata,
    )
    held_out = np.sort(held_out)
    return np.setdiff1d(rows, held_out), held_out


_ROWS_LOOKED_AT = 1000

# The names that benchmarks give to the metrics computed here.
_METRICS = {"matthews_correlation": "mcc"}

_PURPOSES = {
    "train": "train on",
    "dev": "evaluate on",
    "test": "predict",
}


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
            chosen: numbers of examples, from 0, ascending.
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


class Dataset(Protocol):
    """The data of a job."""

    @property
    def name(self) -> str:
        """As it is recorded with the model."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels in their fixed order, if the data set has one."""

    @property
    def metric(self) -> str | None:
        """The metric to select weights by, if the data set has one."""

    def has(self, split: str) -> bool:
        """Whether there is a "train", "dev" or "test" part."""

    def source(self, split: str) -> Source:
        """Opens a part; a UserError if it is not there or cannot be read."""

    def task(self, source: Source) -> tuple[Task, str]:
        """Tells the task, without labels yet, and why."""


def find_dataset(
    data: DataChoices,
    trained_on: str | None = None,
    columns: Columns | None = None,
) -> Dataset:
    """Finds the data that were asked for.

    Args:
        data: what the user said.
        trained_on: the name of the data set of the trained model, if there
            is a model already.
        columns: of the file that it was trained on, if it was a file.

    Returns:
        The data set.

    Raises:
        UserError: there is none of that name, or it is not the trained one's.
    """
    wanted = data.task_name.lower()
    if trained_on is not None and wanted != trained_on:
        # Files of one's own can be given to whatever model.
        if wanted != CSV:
            raise UserError(
                f"--task_name={data.task_name}: the classifier in "
                f"--output_dir was trained on {trained_on}"
            )
        if data.data_dir and not (data.dev_file or data.test_file):
            return BenchmarkDataset(
                glue.find_benchmark(trained_on), data.data_dir
            )
    if wanted == CSV:
        return FileDataset(data, columns)
    if data.data_dir is None:
        raise UserError(
            f"--task_name={data.task_name} needs --data_dir, the folder "
            "of its files"
        )
    return BenchmarkDataset(glue.find_benchmark(data.task_name), data.data_dir)


@dataclasses.dataclass(frozen=True)
class BenchmarkDataset:
    """A data set of the original's, or of GLUE."""

    benchmark: glue.Benchmark
    data_dir: str

    @property
    def name(self) -> str:
        """As it is recorded with the model."""
        return self.benchmark.name.lower()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels, in the order that the benchmark fixes."""
        return self.benchmark.labels

    @property
    def metric(self) -> str | None:
        """The metric to select weights by."""
        first = self.benchmark.metrics[0]
        return _METRICS.get(first, first)

    def has(self, split: str) -> bool:
        """Whether there is a "train", "dev" or "test" part."""
        return True

    def source(self, split: str) -> Source:
        """Opens a part."""
        return Source(
            glue.open_split(self.benchmark, split, self.data_dir),
            label_columns=(),
            columns={},
            takes_pairs=self.benchmark.train.text_b is not None,
        )

    def task(self, source: Source) -> tuple[Task, str]:
        """All benchmarks here have one label an example."""
        return SingleLabel(), f"task {self.benchmark.name}"


class FileDataset:
    """CSV, TSV or JSON lines of one's own."""

    name = CSV
    labels: tuple[str, ...] | None = None
    metric: str | None = None

    def __init__(
        self, data: DataChoices, columns: Columns | None = None
    ) -> None:
        """Finds the files; none is opened yet.

        Args:
            data: what the user said.
            columns: of the file that the model was trained on, if it is
                known; by default the first file opened decides.
        """
        self._data = data
        self._columns = columns
        self._files: dict[str, pathlib.Path] = {}
        if data.data_dir is not None:
            self._files.update(find_split_files(data.data_dir))
        given = {
            "train": data.train_file,
            "dev": data.dev_file,
            "test": data.test_file,
        }
        for split, path in given.items():
            if path:
                self._files[split] = pathlib.Path(path)

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
        # Of a file to predict every row gets its answer.
        skipped = frozenset(self._data.skip_labels if want_label else ())
        if self._columns is None:
            file = LabelledFile.open(
                path,
                self._data.file,
                want_label=want_label,
                skip_labels=skipped,
            )
            self._columns = file.columns
        else:
            file = LabelledFile.open_like(
                path,
                self._columns,
                self._data.file,
                want_label=want_label,
                skip_labels=skipped,
            )
        return _as_source(file)

    def task(self, source: Source) -> tuple[Task, str]:
        """Tells it from labels out of the whole file, if it is not given.

        The first rows would not do: the file may be sorted by its labels.
        """
        if self._data.problem_type is not None:
            return TASKS[self._data.problem_type](), "as given"
        labels = (example.label for example in source)
        return find_task(
            delimited.evenly_spaced(labels, _ROWS_LOOKED_AT),
            self._data.label_separator,
        )


def _as_source(file: LabelledFile) -> Source:
    columns = file.columns
    return Source(
        file,
        label_columns=tuple(columns.names[index] for index in columns.label),
        columns=columns.to_dict(),
        takes_pairs=columns.text_pair is not None,
    )


def reopen_rows(path: str | os.PathLike[str], columns: Columns) -> Source:
    """Opens a file that `Source.write_rows` wrote.

    Args:
        path: the file.
        columns: of the file that its rows are from.
    """
    # As it was written, so that nothing need be found out again.
    written = FileChoices(
        delimiter="comma",
        quoting="double",
        encoding="utf-8",
        header=columns.header,
    )
    return _as_source(LabelledFile.open_like(path, columns, written))
