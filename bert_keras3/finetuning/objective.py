"""What a training minimizes, on which rows; and what it may learn from beside.

Without a teacher it is the loss of the task on the labelled examples. `Guide`
is what a job asks of a teacher, which `distillation` is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.task import EXAMPLE_WEIGHTS, Task, Tensors
from bert_keras3.inputs.feature_store import Column, FeatureStore
from modeling import BertWithHeads
from modeling.shapes import Tensor

if TYPE_CHECKING:
    import keras

    from bert_keras3.checkpointing import Checkpoint
    from bert_keras3.finetuning.dataset import Dataset, Source
    from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
    from bert_keras3.finetuning.settings import Job
    from bert_keras3.training.session import Session
    from bert_keras3.training.step import LossFunction


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a training minimizes."""

    model: keras.Model
    """What is trained: the model, or something around it."""
    loss: LossFunction
    """Of `model`."""
    examples: Examples
    """To train on."""
    columns: tuple[str, ...]
    """The columns of a batch."""
    further: Mapping[str, Column] = dataclasses.field(default_factory=dict)
    """Those that the store has once it is `complete`."""
    complete: Callable[[], FeatureStore] | None = None
    """Returns the store of the examples with the further columns; called when
    the first batch is wanted."""
    identity: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What identifies the training beside the data and the settings."""

    @property
    def store(self) -> FeatureStore:
        """The features that batches are made of."""
        return self.examples.store if self.complete is None else self.complete()

    @property
    def per_token(self) -> tuple[str, ...]:
        """Names of the columns with one value per token, with the mask."""
        return (
            *self.examples.store.per_token,
            *(name for name, one in self.further.items() if one.per_token),
        )


def columns_of(task: Task, examples: Examples) -> tuple[str, ...]:
    """Returns the columns that the loss of a task reads."""
    weights = {EXAMPLE_WEIGHTS} & examples.store.columns.keys()
    return (*task.inputs, *task.targets, *weights)


def objective_of(
    task: Task, model: BertWithHeads, examples: Examples
) -> Objective:
    """Returns the objective of a training without a teacher.

    Args:
        task: with its labels.
        model: to train.
        examples: to train on.
    """

    def loss(model: BertWithHeads, features: Tensors, training: bool) -> Tensor:
        return task.loss(model(features, training=training), features)

    return Objective(model, loss, examples, columns_of(task, examples))


class Guide(Protocol):
    """What a job asks of a teacher, in this order."""

    def start(self, checkpoint: Checkpoint) -> Checkpoint:
        """Returns what the model starts from.

        Args:
            checkpoint: that of the job's flags.

        Raises:
            UserError: teacher and model do not fit together.
        """

    def task(self, dataset: Dataset) -> Task:
        """Returns the task of the teacher, with its labels.

        Raises:
            UserError: it was trained for nothing that the data set is for.
        """

    def unlabelled(self, settings: RunSettings) -> Source | None:
        """Opens examples to train on that have no labels, if there are some.

        Args:
            settings: how the labelled ones were read.
        """

    def objective(
        self,
        session: Session,
        folder: FinetuningFolder,
        job: Job,
        task: Task,
        model: BertWithHeads,
        examples: Examples,
        unlabelled: Examples | None,
    ) -> Objective:
        """Returns what the training minimizes.

        Args:
            session: whose devices the model was created on.
            folder: of the training; a search has several.
            job: its settings.
            task: with its labels.
            model: to train, with its initial weights.
            examples: with labels.
            unlabelled: without.
        """
