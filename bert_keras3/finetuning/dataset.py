"""The interface of a data set, and the examples that are held out of one.

A data set has up to three splits, "train", "dev" and "test", each a file of
examples (`Source`). Without a "dev" split, some training examples are held
out for evaluation. The kinds of data sets are listed in `datasets.py`.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from sklearn.model_selection import train_test_split

from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.settings import CSV
from bert_keras3.finetuning.task import TARGETS, Task
from bert_keras3.inputs.examples import find_split_files
from bert_keras3.inputs.records import find_files
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

if TYPE_CHECKING:
    from bert_keras3.checkpointing import Checkpoint
    from bert_keras3.finetuning.run_folder import (
        FinetuningFolder,
        RunSettings,
    )
    from bert_keras3.finetuning.settings import DataChoices
    from bert_keras3.inputs.delimited import Decision, Dialect, Row
    from bert_keras3.training.session import Screen


@dataclasses.dataclass(frozen=True)
class Description:
    """What was detected about a file, printed before it is used."""

    decisions: Sequence[Decision]
    """Rows of (what, is, because of)."""
    headers: tuple[str, ...]
    """The headers of `first`."""
    first: Sequence[Sequence[object]]
    """The first examples, as rows of a table."""

    def show(self, screen: Screen, title: str) -> None:
        """Prints the decisions and the first examples."""
        screen.table(("what", "is", "because of"), self.decisions, title)
        screen.table(self.headers, self.first)


class Source(Protocol):
    """A file of examples, which can be read several times."""

    @property
    def path(self) -> pathlib.Path:
        """The file, for messages."""

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Names of the label columns, if they have names."""

    @property
    def label_separator(self) -> str | None:
        """The separator of several labels in one cell, if it was given."""

    @property
    def columns(self) -> dict[str, Any]:
        """What is needed to read other files in the same way; JSON values."""

    @property
    def takes_pairs(self) -> bool:
        """Whether examples have two texts."""

    @property
    def has_ids(self) -> bool:
        """Whether examples have identifiers; else they are numbered."""

    @property
    def suffix(self) -> str:
        """The ending of a file of `write_rows`: `run_folder.DEV_SUFFIXES`."""

    def __iter__(self) -> Iterator[Any]:
        """Streams the examples."""

    def describe(self) -> Description | None:
        """What was detected about the file; None if nothing had to be."""

    def notes(self) -> Sequence[str]:
        """What was met when it was read last, a line each."""

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some examples to a separate file.

        Args:
            chosen: numbers of examples, from 0, ascending.
            path: the new file.
        """


class Dataset(Protocol):
    """The data of a job, in up to three splits."""

    @property
    def name(self) -> str:
        """Its name in the settings of the run."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels in order, if the data set defines them."""

    @property
    def metric(self) -> str | None:
        """The metric for the best weights, if the data set defines one."""

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test"."""

    def further(self, split: str) -> tuple[str, ...]:
        """Returns names of more splits used as "dev" or "test" is, if any.

        Each is evaluated or predicted for itself; its results are in a
        sub-folder of its name.
        """

    def source(self, split: str) -> Source:
        """Opens a split; a UserError if it is missing or cannot be read."""

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        """Opens the examples that a training held out; None if it did not."""

    def task(self, source: Source) -> tuple[Task, str]:
        """Returns the task, still without labels, and the reason in words."""

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> pathlib.Path | None:
        """Writes predictions in the form that a benchmark's server takes.

        Args:
            split: "test", or one of its `further` splits.
            predictions: the result of `Task.write_answers` for it.
            folder: of the run.

        Returns:
            The file; None if no server takes these predictions.
        """

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Returns the task of a trained checkpoint.

        Raises:
            UserError: the checkpoint was not trained for such a task.
        """

    def reopened(self, task: Task) -> Task:
        """Returns the task of a trained model with the flags of this job.

        Some options, such as how answers are chosen, need no training.
        """


# What a split is for, in messages.
_PURPOSES = {
    "train": "train on",
    "dev": "evaluate on",
    "test": "predict",
}


class OwnFiles:
    """The user's own files, by split, found but not opened."""

    def __init__(self, data: DataChoices) -> None:
        """Takes the files that are given, and those of --data_dir."""
        self._given: dict[str, str] = {}
        if data.data_dir is not None:
            found = find_split_files(data.data_dir)
            self._given.update((split, str(found[split])) for split in found)
        given = {
            "train": data.train_file,
            "dev": data.dev_file,
            "test": data.test_file,
        }
        self._given.update((key, path) for key, path in given.items() if path)

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test"."""
        return split in self._given

    def paths(self, split: str) -> tuple[pathlib.Path, ...]:
        """Returns the files of a split, one at least.

        Raises:
            UserError: none is given, or none has such a name.
        """
        given = self._given.get(split)
        if given is None:
            raise UserError(
                f"there is no file to {_PURPOSES[split]}: give "
                f"--{split}_file, or a --data_dir with a {split}.csv or "
                f"{split}.tsv"
            )
        return given_files(given)


def given_files(value: str) -> tuple[pathlib.Path, ...]:
    """Returns the files that a flag names.

    Args:
        value: a path, several with commas between, or a pattern such as
            `data/*.csv`, whose files are sorted.

    Raises:
        UserError: a pattern, or one of several paths, names no file.
    """
    # A path may have commas and brackets itself.
    if os.path.exists(value) or not set(value) & set(",*?["):
        return (pathlib.Path(value),)
    return tuple(map(pathlib.Path, find_files(value)))


def check_own_files(data: DataChoices) -> None:
    """Checks that no flag of own files is given with a benchmark.

    Raises:
        UserError: one is; it would have no effect.
    """
    if data.task_name.lower() == CSV:
        return
    own = {
        "train_file": data.train_file,
        "dev_file": data.dev_file,
        "test_file": data.test_file,
        "text_column": data.file.text,
        "text_pair_column": data.file.text_pair,
        "label_column": data.file.label,
        "id_column": data.file.id,
        "feature_columns": ",".join(data.file.features) or None,
        "choice_columns": ",".join(data.choice_columns) or None,
        "choice_labels": data.choice_labels,
        "labels_file": data.labels_file,
        "skip_labels": ",".join(data.skip_labels) or None,
        "unsure_below": data.unsure_below,
        "skip_rows": data.file.skip_rows,
    }
    for name, value in own.items():
        if value is not None:
            raise UserError(
                f"--{name}={value} is for files of your own; the files, "
                f"columns and labels of --task_name={data.task_name} are "
                "known. Leave it out, or give --task_name=csv"
            )


def benchmark_folder(data: DataChoices) -> pathlib.Path:
    """Returns the folder of a benchmark's files; a UserError without one."""
    if data.data_dir is None:
        raise UserError(
            f"--task_name={data.task_name} needs --data_dir, the folder "
            "of its files"
        )
    return pathlib.Path(data.data_dir)


def other_benchmark(data: DataChoices, trained: RunSettings) -> UserError:
    """Returns the error for a model of another benchmark."""
    return UserError(
        f"--task_name={data.task_name}: the classifier in --output_dir was "
        f"trained on {trained.task_name}"
    )


def write_rows(
    path: str | os.PathLike[str],
    dialect: Dialect,
    rows: Iterable[Row],
    chosen: np.ndarray,
) -> None:
    """Writes some rows of a file, unchanged, to a CSV file.

    Args:
        path: the new file.
        dialect: of the file; its header is written if it has one.
        rows: of the file, in order.
        chosen: numbers of rows, from 0, ascending.
    """
    wanted = iter(chosen.tolist())
    following = next(wanted, None)
    with atomic_write(path, newline="") as file:
        writer = csv.writer(file)
        if dialect.header:
            writer.writerow(dialect.columns)
        for number, row in enumerate(rows):
            if number == following:
                writer.writerow(row.cells)
                following = next(wanted, None)


def as_written(header: bool) -> FileChoices:
    """Returns how `write_rows` writes, for whoever reads it."""
    return FileChoices(
        delimiter="comma",
        quoting="double",
        encoding="utf-8",
        header=header,
        skip_rows=0,
    )


@dataclasses.dataclass(frozen=True)
class Kind:
    """The functions for one kind of data set, whose settings are a class.

    Attributes:
        find: (settings, settings of the trained model or None) → data set.
        check: checks the settings before a file is opened.
        check_same: checks the settings against those of a trained model.
        problems: names of the tasks that such data can be for.
        script: that has such settings.
    """

    find: Callable[..., Dataset]
    check: Callable[..., None]
    check_same: Callable[..., None]
    problems: tuple[str, ...]
    script: str


def check_fraction(fraction: float) -> None:
    """Checks that a fraction of the examples can be held out.

    Raises:
        UserError: the fraction is 0 or 1.
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
    same frequency on both sides; a label with a single example is trained on.

    Args:
        examples: of a file; with one label id each if stratified.
        fraction: of the examples to hold out, above 0 and below 1.
        seed: the same seed holds out the same examples.
        stratify: whether to split label by label.

    Returns:
        (to train on, to evaluate on).

    Raises:
        UserError: there are too few examples, or `fraction` leaves one side
            empty.
    """
    check_fraction(fraction)
    labels = examples.values(TARGETS) if stratify else None
    train, held_out = _split(len(examples), labels, fraction, seed)
    return (
        dataclasses.replace(examples, numbers=examples.numbers[train]),
        dataclasses.replace(examples, numbers=examples.numbers[held_out]),
    )


def _split(
    number: int, labels: np.ndarray | None, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of the examples (to train on, held out)."""
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
