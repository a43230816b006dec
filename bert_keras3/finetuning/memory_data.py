"""Texts in memory as a data set, for the estimators.

A folder trained on them is one that a file with the columns `text` and `label`
would have given, so that the scripts go on with it.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.finetuning.dataset import Kind
from bert_keras3.finetuning.extra_columns import with_extra_columns
from bert_keras3.finetuning.labelled_data import (
    LabelledSource,
    check_same_data,
)
from bert_keras3.finetuning.settings import CSV, DataChoices
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.inputs.columns import Columns
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.extra_column_search import find_extra_columns
from bert_keras3.inputs.extra_columns import column_names
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Description, Source
    from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings

_PAIR = "text_pair"
_LABEL = "label"


@dataclasses.dataclass(frozen=True)
class TextsInMemory(DataChoices):
    """Examples by split, and what they are for.

    Attributes:
        splits: "train" and "test" → examples; `label` is None in "test".
        labels: the names of the C outputs, in order; None: those that occur.
        label_columns: of several labels, whose examples have C cells of 0 or
            1; else none.
        takes_pairs: whether examples have two texts.
        text_name: what the column of the text is called, where there are
            others.
        extra_columns: names of the examples' `columns`, which may have a kind
            behind them as in --feature_columns.
    """

    splits: Mapping[str, Sequence[InputExample]] = dataclasses.field(
        default_factory=dict
    )
    labels: tuple[str, ...] | None = None
    label_columns: tuple[str, ...] = ()
    takes_pairs: bool = False
    text_name: str = "text"
    extra_columns: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _MemorySource:
    """Examples in memory as a `dataset.Source`."""

    examples: Sequence[InputExample]
    takes_pairs: bool
    label_columns: tuple[str, ...]
    text_name: str = "text"
    extra_names: tuple[str, ...] = ()
    label_separator = None
    has_ids = False
    suffix = LabelledSource.suffix

    @property
    def path(self) -> pathlib.Path:
        """What messages call them."""
        return pathlib.Path("X")

    @property
    def _names(self) -> tuple[str, ...]:
        texts = (self.text_name, _PAIR)[: 1 + self.takes_pairs]
        label = _LABEL
        while label in (*texts, *self.extra_names):
            label += "_"
        return (*texts, *(self.label_columns or (label,)), *self.extra_names)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of `write_rows`."""
        names, num_texts = self._names, 1 + self.takes_pairs
        num_used = len(names) - len(self.extra_names)
        return Columns(
            text=0,
            text_pair=1 if self.takes_pairs else None,
            label=tuple(range(num_texts, num_used)),
            id=None,
            names=names,
            header=True,
            features=tuple(range(num_used, len(names))),
        ).to_dict()

    def __iter__(self) -> Iterator[InputExample]:
        return iter(self.examples)

    def describe(self) -> Description | None:
        """Nothing had to be detected."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Nothing is left out."""
        return ()

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some examples to a CSV file."""
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self._names)
            for number in chosen.tolist():
                example = self.examples[number]
                label = example.label
                cells = label if isinstance(label, tuple) else (label,)
                writer.writerow([*example.texts, *cells, *example.columns])


class _MemoryDataset:
    """The splits as a `dataset.Dataset`."""

    name = CSV
    metric = None

    def __init__(self, data: TextsInMemory) -> None:
        self._data = data

    @property
    def labels(self) -> tuple[str, ...] | None:
        return self._data.labels

    def has(self, split: str) -> bool:
        return split in self._data.splits

    def further(self, split: str) -> tuple[str, ...]:
        return ()

    def source(self, split: str) -> Source:
        data = self._data
        return _MemorySource(
            data.splits[split],
            data.takes_pairs,
            data.label_columns,
            data.text_name,
            tuple(column_names(data.extra_columns)),
        )

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        return None

    def task(self, source: Source) -> tuple[Task, str]:
        assert self._data.problem_type is not None
        task = TASKS[self._data.problem_type]()
        kinds = column_names(self._data.extra_columns)
        if kinds:
            extra, _ = find_extra_columns(
                [*kinds],
                (example.columns for example in source),
                kinds,
                auto=False,
            )
            task = with_extra_columns(task, extra, self._data.features)
        return task, "as given"

    def task_of(self, checkpoint: Any) -> Task:
        raise UserError("texts in memory are for training and prediction")

    def reopened(self, task: Task) -> Task:
        return task

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> pathlib.Path | None:
        return None


def _find(
    data: TextsInMemory, trained: RunSettings | None = None
) -> _MemoryDataset:
    return _MemoryDataset(data)


def _check(data: TextsInMemory, *, do_train: bool) -> None:
    """Has nothing to check: the estimators have done so."""


KIND = Kind(
    _find,
    _check,
    check_same_data,
    problems=("single_label", "multi_label", "regression"),
    script="run_classifier",
)
