"""The interface of a task, such as `single_label`.

A task is one file in this folder and one row of `tasks.TASKS`. It determines
how examples become features, which heads the model has, the loss, the metrics,
the result files and the outputs of an exported model:

    file ─▶ examples ─ Task.reader ─▶ feature store ─▶ batches
      ─▶ model with Task.heads ─▶ named outputs ─▶ Task.evaluate,
      Task.write_predictions; in an export Task.scores, decisions, predictions

Predictors of exported models use a task without TensorFlow, so the methods
that need TensorFlow, Keras, SciPy or scikit-learn import it themselves.
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
    from bert_keras3.training.session import Screen
    from modeling.shapes import Tensor

TARGETS = "targets"
"""Name of the column with the labels, as numbers."""
EXAMPLE_WEIGHTS = "example_weights"
"""Name of the column with the weight of each row in the loss, if any."""

# Name → tensor, or name → array.
Tensors: TypeAlias = "Mapping[str, Tensor]"
Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class LabelSource:
    """Where the labels of a file are, and which labels are allowed."""

    path: str | os.PathLike[str]
    """The file, for messages."""
    labels: tuple[str, ...] | None = None
    """The allowed names, in order; None: those that occur in the file."""
    columns: tuple[str, ...] = ()
    """The names of the label columns."""
    separator: str | None = None
    """The separator of several labels in one cell."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The metrics of predictions."""

    scalars: Mapping[str, float]
    """{metric: value}, with `loss` at least."""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Results that are not one number, such as `per_label`."""
    confusion: np.ndarray | None = None
    """int [C, C]: rows are true labels, columns predicted ones."""

    def show(self, screen: Screen, num_examples: int) -> None:
        """Prints the metrics, and those of each label as a table."""
        scalars = (
            f"{name} {value:.4f}" for name, value in self.scalars.items()
        )
        screen.say(
            f"evaluation of {num_examples} examples: " + ", ".join(scalars)
        )
        per_label = self.details.get("per_label", {})
        if per_label:
            names = ("precision", "recall", "f1")
            screen.table(
                ("label", *names, "examples"),
                [
                    (
                        label,
                        *(f"{figures[name]:.3f}" for name in names),
                        int(figures["support"]),
                    )
                    for label, figures in per_label.items()
                ],
            )


@dataclasses.dataclass(frozen=True)
class Examples:
    """Some examples of a file, encoded.

    Attributes:
        source: the file.
        store: the features of all examples of the file.
        numbers: int64 [E], the numbers of these examples, ascending.
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
        """Their rows in the store, int64 [R], ascending."""
        return self.store.rows_of(self.numbers)

    def column(self, name: str) -> np.ndarray:
        """Returns a column of the store with one value per row, [R, …]."""
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
            limit: maximum size of a batch.
            columns: the columns of the store that the model reads.

        Returns:
            {name: [R, …] or, per token, [number of tokens, …]}.
        """
        from bert_keras3.inputs.batches import batches_by_length

        return predictor(
            batches_by_length(self.store, self.rows, limit, columns),
            self.store.lengths[self.rows],
        )


def options_of(task: Any) -> dict[str, Any]:
    """Returns the settings of a task beside its labels, as JSON values."""
    options = dataclasses.asdict(task)
    del options["labels"]
    return options


class ExampleReader(Protocol):
    """Converts the examples of one file into rows of features, in order."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns that each row has."""

    def rows(self, example: Any) -> Iterator[Mapping[str, Any]]:
        """Yields the rows of an example, each {column: value or values}.

        Raises:
            UserError: the example does not fit the task.
        """

    def finish(self, store: FeatureStore) -> tuple[Task, FeatureStore]:
        """Returns the task with its labels, and the store with all columns.

        Raises:
            UserError: no model can be trained on these examples.
        """


class Task(Protocol):
    """One kind of problem, with its labels once the data has been read."""

    name: ClassVar[str]
    default_metric: ClassVar[str]
    """The metric by which the best weights are saved."""
    has_classes: ClassVar[bool]
    """Whether each example has exactly one of the labels."""
    repeats_labels: ClassVar[bool]
    """Whether examples share labels, so that equal texts with different labels
    contradict each other."""
    heads: ClassVar[tuple[str, ...]]
    """The heads of the model, keys of `modeling.heads.HEADS`."""
    inputs: ClassVar[tuple[str, ...]]
    """The columns of a batch that the model reads."""
    per_token: ClassVar[tuple[str, ...]]
    """Names of the model's outputs with one value per token."""
    grouped: ClassVar[bool]
    """Whether all rows of an example must be in one training batch."""
    result_files: ClassVar[tuple[str, ...]]
    """Names of the files written by `write_predictions`."""

    def __init__(self, labels: tuple[str, ...] = (), **options: Any) -> None:
        """Takes the names of the C outputs, and settings of the task.

        Tasks are dataclasses, so that `options_of` can return the settings.
        """

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the C outputs; none before the data has been read."""

    def reader(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> ExampleReader:
        """Returns a reader of one file; `labels` is None for a test file."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scalars of an evaluation; all possible before labels."""

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Named outputs and features of a batch → mean loss, float32."""

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns label statistics of examples, for the data report."""

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Computes the metrics of the outputs for labelled examples."""

    def write_predictions(
        self, folder: pathlib.Path, outputs: Outputs, examples: Examples
    ) -> pathlib.Path:
        """Writes a prediction for each example; returns the main file."""

    # The outputs of an exported model.

    @property
    def score_shape(self) -> tuple[int, ...]:
        """The shape of the scores of one text."""

    @property
    def score_name(self) -> str:
        """The name of the scores in the outputs."""

    def scores(self, outputs: Tensors) -> Tensor:
        """Named outputs of the model → scores [N, *score_shape]."""

    def decisions(self, scores: Any) -> dict[str, Any]:
        """Scores → the further outputs, as tensors."""

    def predictions(self, scores: np.ndarray) -> list[Any]:
        """Scores [N, *score_shape] → N results of `serving.Predictor`."""
