"""The interface of a task, such as `single_label`.

A task is one file in this folder and one row of `tasks.TASKS`. It determines
how examples become features, which heads the model has, the loss, the metrics,
the result files and the outputs of an exported model:

    file ─▶ examples ─ Task.reader ─▶ feature store ─▶ batches
      ─▶ model with Task.heads ─▶ named outputs ─▶ Task.evaluate, or
      Task.answers ─▶ Task.write_answers; in an export Task.scores,
      decisions, predictions

Predictors of exported models use a task without TensorFlow, so the methods
that need TensorFlow, Keras, SciPy or scikit-learn import it themselves.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.finetuning.encoded_examples import Examples, Outputs
    from bert_keras3.finetuning.encoding import TextEncoder
    from bert_keras3.finetuning.evaluation import Evaluation
    from bert_keras3.inputs.examples import InputExample
    from bert_keras3.inputs.feature_store import Column, FeatureStore
    from modeling.shapes import Tensor

MODEL_INPUTS = ("input_ids", "input_mask", "segment_ids")
"""Names of the columns that BERT reads."""
TARGETS = "targets"
"""Name of the column with the labels, as numbers."""
EXAMPLE_WEIGHTS = "example_weights"
"""Name of the column with the weight of each row in the loss, if any."""

Tensors: TypeAlias = "Mapping[str, Tensor]"
"""Named tensors, such as the outputs of a model."""


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
    is_training: bool = False
    """Whether the file is trained on; examples to evaluate on may be held out
    of it."""

    def place(self, example: InputExample) -> str:
        """Returns the file and the line of an example, for messages."""
        return example.place or f"{self.path}, line {example.line}"


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

    def notes(self) -> Sequence[str]:
        """Returns what a person should know of the rows, a line each."""


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
    targets: ClassVar[tuple[str, ...]]
    """The columns of a training batch that only the loss reads."""
    per_token: ClassVar[tuple[str, ...]]
    """Names of the model's outputs with one value per token."""
    reads_padding: ClassVar[bool]
    """Whether the loss and the answers depend on outputs of padding, as in
    the original, if those are computed (`--nounpad`)."""
    epochs_of_rows: ClassVar[bool]
    """Whether an epoch has a batch for each `train_batch_size` rows, and not
    examples, as in the original: an example may be a document of many."""
    result_files: ClassVar[tuple[str, ...]]
    """Names of the files written by `write_answers`."""
    calibrates: ClassVar[bool]
    """Whether it has settings that `calibrated` can fit."""

    def __init__(self, labels: tuple[str, ...] = (), **options: Any) -> None:
        """Takes the names of the C outputs, and settings of the task.

        Tasks are dataclasses, so that `options_of` can return the settings.
        """

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the C outputs; none before the data has been read."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of a batch that the model reads."""

    @property
    def further_heads(self) -> tuple[str, ...]:
        """Heads of the model that only some settings of the task need."""

    @property
    def extra_inputs(self) -> Mapping[str, Column]:
        """The types of those beside BERT's own; one value a row each."""

    @property
    def column_sizes(self) -> tuple[int, int, int] | None:
        """The sizes of `modeling.ExtraColumns`; None: there are none."""

    @property
    def grouped(self) -> bool:
        """Whether all rows of an example must be in one training batch."""

    @property
    def packs_in_graph(self) -> bool:
        """Whether a graph can make the rows of texts, and of their columns."""

    @property
    def own_rows(self) -> bool:
        """Whether an exported model is a `RowTask`, else a `TextTask`."""

    def reader(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> ExampleReader:
        """Returns a reader of one file; `labels` is None for a test file."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scalars of an evaluation; all possible before labels."""

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Named outputs and features of a batch → mean loss, float32."""

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """Returns how far the outputs are from those of another model.

        Args:
            outputs: of a batch.
            teacher: the other model's, with the same names and shapes.
            features: of the batch, without targets or weights.
            temperature: what logits are divided by before the softmax.

        Returns:
            float32 scalar, a mean over the examples of the batch.
        """

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns label statistics of examples, for the data report."""

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Computes the metrics of the outputs for labelled examples."""

    def calibrated(self, outputs: Outputs, examples: Examples) -> Task:
        """Returns the task with settings fitted on labelled examples.

        They were not trained on. See `calibration`.

        Raises:
            TypeError: it has no such settings.
        """

    def fitted(self) -> dict[str, str]:
        """Returns {setting: value in words} of what `calibrated` fits."""

    def answers(self, outputs: Outputs, examples: Examples) -> Iterator[Any]:
        """Yields an answer for each example, as `write_answers` takes it.

        Args:
            outputs: of the rows of the examples.
            examples: some that follow one another in a file; their source
                yields them alone.
        """

    def write_answers(
        self, folder: pathlib.Path, source: Source, answers: Iterable[Any]
    ) -> pathlib.Path:
        """Writes the files of predictions, as the answers come.

        Args:
            folder: an existing one.
            source: the file, which may be read again.
            answers: of its examples, in order.

        Returns:
            The main file.
        """


class TaskDefaults:
    """What a `Task` has if it says nothing else: a label for each row."""

    has_classes: ClassVar[bool] = False
    repeats_labels: ClassVar[bool] = True
    heads: ClassVar[tuple[str, ...]] = ("labels",)
    targets: ClassVar[tuple[str, ...]] = (TARGETS,)
    per_token: ClassVar[tuple[str, ...]] = ()
    reads_padding: ClassVar[bool] = False
    epochs_of_rows: ClassVar[bool] = False
    calibrates: ClassVar[bool] = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of BERT."""
        return MODEL_INPUTS

    @property
    def further_heads(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    @property
    def extra_inputs(self) -> Mapping[str, Column]:
        """There are none."""
        return {}

    @property
    def column_sizes(self) -> tuple[int, int, int] | None:
        """There are none."""
        return None

    @property
    def grouped(self) -> bool:
        """Each row is an example of its own."""
        return False

    @property
    def packs_in_graph(self) -> bool:
        """It cannot, where the task makes rows itself."""
        return not self.own_rows

    @property
    def own_rows(self) -> bool:
        """An exported model packs texts itself."""
        return False

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """Raises a TypeError: such a task cannot be learnt from a model."""
        raise TypeError(f"{type(self).__name__} has no loss with a teacher")

    def calibrated(self, outputs: Outputs, examples: Examples) -> Task:
        """Raises a TypeError: there is nothing to fit."""
        raise TypeError(f"{type(self).__name__} has nothing to calibrate")

    def fitted(self) -> dict[str, str]:
        """Returns nothing: there is nothing to fit."""
        return {}
