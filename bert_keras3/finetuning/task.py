"""What a task answers: from the columns of a file to what an export says.

A task is one file beside this one and one row of `tasks.TASKS`. Everything
else moves named columns and named outputs and knows no task:

    file ─ datasets ─▶ examples ─ Task.reader ─▶ feature store ─▶ batches
      ─▶ model with Task.heads ─▶ named outputs ─▶ Task.evaluate,
      Task.write_predictions; in an export Task.scores, decisions, predictions

The methods that an exported model needs in Python (`predictions`,
`score_shape`) load neither TensorFlow nor Keras, so a task's file imports
what trains, measures or exports inside of the methods that do.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.finetuning.encoding import TextEncoder
    from bert_keras3.inputs.batches import BatchLimit
    from bert_keras3.inputs.feature_store import Column, FeatureStore
    from modeling.shapes import Tensor

TARGETS = "targets"
"""The column of what a row's output should come to."""
EXAMPLE_WEIGHTS = "example_weights"
"""The column of what a row's loss is multiplied with, if there is one."""

# Name → tensor, or name → array.
Tensors: TypeAlias = "Mapping[str, Tensor]"
Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class LabelSource:
    """Where labels stand and which are known."""

    path: str | os.PathLike[str]
    """The file, for messages."""
    labels: tuple[str, ...] | None = None
    """The names to hold to; None to collect them."""
    columns: tuple[str, ...] = ()
    """The names of the label columns."""
    separator: str | None = None
    """What separates several labels in one cell."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How good predictions are."""

    scalars: Mapping[str, float]
    """One number for each metric; `loss` is always there."""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What is more than a number: figures per label."""
    confusion: np.ndarray | None = None
    """int [C, C], true labels down, predicted labels across."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Some examples of a file, encoded.

    Attributes:
        source: the file.
        store: the features of all of its examples.
        numbers: int64 [E], which of the examples, ascending.
    """

    source: Source
    store: FeatureStore
    numbers: np.ndarray

    def __len__(self) -> int:
        """Returns the number of examples, E."""
        return len(self.numbers)

    @classmethod
    def all_of(cls, source: Source, store: FeatureStore) -> Examples:
        """Returns every example of a file."""
        return cls(source, store, np.arange(store.num_examples))

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """The rows of the store that belong to them, int64 [R], ascending."""
        return self.store.rows_of(self.numbers)

    def column(self, name: str) -> np.ndarray:
        """Returns a per-row column of the store, [R, …], in memory."""
        return np.asarray(self.store.arrays[name][self.rows])

    def outputs(
        self,
        predictor: Callable[..., dict[str, np.ndarray]],
        limit: BatchLimit,
        columns: Sequence[str],
    ) -> Outputs:
        """Computes the model's outputs for the rows, in their order.

        Args:
            predictor: a `training.predict.Predictor`.
            limit: the size of a batch.
            columns: which columns of the store the model reads.

        Returns:
            Named outputs, [R, …] each; of outputs per token, those of all
            rows one after the other.
        """
        from bert_keras3.inputs.batches import batches_by_length

        return predictor(
            batches_by_length(self.store, self.rows, limit, columns),
            self.store.lengths[self.rows],
        )


def options_of(task: Any) -> dict[str, Any]:
    """Returns what a task was told beside its labels, as JSON values."""
    options = dataclasses.asdict(task)
    del options["labels"]
    return options


class ExampleReader(Protocol):
    """Turns the examples of one file into rows of features, in order."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """The features that each row has."""

    def rows(self, example: Any) -> Iterator[Mapping[str, Any]]:
        """Yields the rows of an example: {column: value or values}.

        Raises:
            UserError: the example is not what the task can learn from.
        """

    def finish(self, store: FeatureStore) -> tuple[Task, FeatureStore]:
        """Returns the task with its labels, and the store with all columns.

        Raises:
            UserError: nothing can be learnt from these examples.
        """


class Task(Protocol):
    """One kind of problem; once data is read, with its labels."""

    name: ClassVar[str]
    default_metric: ClassVar[str]
    """The metric that decides which weights are best."""
    has_classes: ClassVar[bool]
    """Whether each example has exactly one of the labels."""
    repeats_labels: ClassVar[bool]
    """Whether equal labels are expected on several examples, so that equal
    texts with other labels contradict each other."""
    heads: ClassVar[tuple[str, ...]]
    """Which heads of `modeling.BertWithHeads` the model has."""
    inputs: ClassVar[tuple[str, ...]]
    """The columns of a batch that the model reads."""
    per_token: ClassVar[tuple[str, ...]]
    """Names of the model's outputs that have a value for each token."""
    grouped: ClassVar[bool]
    """Whether all rows of an example must be in one batch of a training."""
    result_files: ClassVar[tuple[str, ...]]
    """Names of the files that `write_predictions` writes."""

    def __init__(self, labels: tuple[str, ...] = (), **options: Any) -> None:
        """Takes the names of the outputs, C in all, and its own settings.

        Tasks are dataclasses, so that `options_of` can take them back.
        """

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the outputs, C in all; none before data is read."""

    def reader(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> ExampleReader:
        """Returns what reads a file; without `labels`, one to predict."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of an evaluation's scalars; without labels, all possible."""

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Named outputs of a batch and its features → float32 scalar."""

    def count(self, examples: Examples) -> dict[str, float]:
        """Sums up the labels of examples, for the data report."""

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Says how good the outputs for some labelled examples are."""

    def write_predictions(
        self, folder: pathlib.Path, outputs: Outputs, examples: Examples
    ) -> pathlib.Path:
        """Writes one answer for each example; returns the main file."""

    # What an exported model says.

    @property
    def score_shape(self) -> tuple[int, ...]:
        """The shape of one text's scores."""

    @property
    def score_name(self) -> str:
        """The name of the scores among the outputs of an export."""

    def scores(self, outputs: Tensors) -> Tensor:
        """Named outputs of the model → tensor [N, *score_shape]."""

    def decisions(self, scores: Any) -> dict[str, Any]:
        """Scores → the further outputs of an export, as tensors."""

    def predictions(self, scores: np.ndarray) -> list[Any]:
        """Scores [N, *score_shape] → what `Predictor` answers, N values."""
