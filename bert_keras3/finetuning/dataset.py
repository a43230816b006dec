"""What a job needs of its data: parts of examples, and the task they are for.

A data set has a "train", a "dev" and a "test" part, or some of them; a part is
a `Source` of examples. Without a dev part, some of the training's examples are
held out. The kinds of data that there are stand in `datasets`.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from sklearn.model_selection import train_test_split

from bert_keras3.finetuning.task import TARGETS, Examples, Task
from bert_keras3.safekeeping.errors import UserError

if TYPE_CHECKING:
    from bert_keras3.checkpointing import Checkpoint
    from bert_keras3.inputs.delimited import Decision


@dataclasses.dataclass(frozen=True)
class Description:
    """What was found out about a file, to be shown before it is used."""

    decisions: Sequence[Decision]
    """Rows of (what, is, because of)."""
    headers: tuple[str, ...]
    """The headers of `first`."""
    first: Sequence[Sequence[object]]
    """The first examples, as rows of a table."""


class Source(Protocol):
    """A file of examples that can be gone through again and again."""

    @property
    def path(self) -> pathlib.Path:
        """The file, for messages."""

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Names of the label columns, where they have names."""

    @property
    def label_separator(self) -> str | None:
        """What separates several labels in one cell, if that was given."""

    @property
    def columns(self) -> dict[str, Any]:
        """What must be known to read other files like it; JSON values."""

    @property
    def takes_pairs(self) -> bool:
        """Whether examples have two texts."""

    def __iter__(self) -> Iterator[Any]:
        """Streams the examples."""

    def describe(self) -> Description | None:
        """What was found out about the file, unless it was known before."""

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some examples to a file of their own.

        Args:
            chosen: numbers of examples, from 0, ascending.
            path: the new file.
        """


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

    def held_out(self, path: pathlib.Path) -> Source | None:
        """Opens a file that `Source.write_rows` wrote, if it is there."""

    def task(self, source: Source) -> tuple[Task, str]:
        """Tells the task, without labels yet, and why."""

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Tells the task of a trained checkpoint that is used as it is.

        Raises:
            UserError: it was not trained for such a task.
        """


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
