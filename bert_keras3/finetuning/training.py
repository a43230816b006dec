"""Trains a model on encoded examples and saves the best weights.

The number of steps is the original's: 100 examples in batches of 32 for 3
epochs are int(100 / 32 · 3) = 9 steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.objective import Objective
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import Job, TrainingChoices
from bert_keras3.finetuning.task import EXAMPLE_WEIGHTS, TARGETS, Task
from bert_keras3.inputs.batches import training_batches
from bert_keras3.inputs.feature_store import Column
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training import session
from bert_keras3.training.concurrency import Batch
from bert_keras3.training.session import Plan, Session
from modeling import BertConfig, BertWithHeads


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """One training: model, task, examples and settings."""

    job: Job
    settings: RunSettings
    config: BertConfig
    model: BertWithHeads
    """With its initial weights."""
    task: Task
    objective: Objective
    """With the examples to train on."""
    dev: Examples | None
    """To evaluate on during training; None without --do_eval."""
    best_metric: str
    """The metric by which the best weights are saved."""

    def identity(self) -> dict[str, Any]:
        """Returns the values that identify this training.

        JSON values; large arrays as checksums.
        """
        parts = [self.objective.examples, *filter(None, [self.dev])]
        return {
            **session.identity_of(
                self.job.training, self.model, content_of(parts)
            ),
            "task_name": self.settings.task_name,
            "labels": list(self.settings.labels),
            "max_seq_length": self.settings.max_seq_length,
            "do_lower_case": self.settings.do_lower_case,
            "config": self.config.to_dict(),
            **self.objective.identity,
        }

    def train(
        self,
        identity: Mapping[str, Any],
        evaluate: Callable[[], Mapping[str, float]] | None,
        folder: FinetuningFolder,
        opened: Session,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        """Trains, or resumes an interrupted training.

        Args:
            identity: the result of `identity`.
            evaluate: returns the metrics of the current weights.
            folder: for weights, state and log.
            opened: whose devices the model was created on.
            callbacks: see `session.Plan`.

        Raises:
            UserError: the folder holds a training with other settings.
            StoppedError: a signal arrived; the state is saved.
        """
        training, objective = self.job.training, self.objective
        examples = objective.examples
        num_steps, epoch_ends = steps_of(
            epoch_size(self.task, examples), training
        )

        def batches(step: int) -> Iterator[Batch]:
            return training_batches(
                objective.store,
                examples.rows,
                batch_size=training.train_batch_size,
                seed=training.seed,
                columns=[*objective.columns, *objective.further],
                grouped=self.task.grouped,
            )(step)

        session.train(
            Plan(
                model=objective.model,
                loss=objective.loss,
                batches=batches,
                identity=identity,
                save_weights=lambda optimizer: folder.save_model(self.model),
                num_train_steps=num_steps,
                num_warmup_steps=int(num_steps * training.warmup_proportion),
                per_token=objective.per_token,
                evaluate=evaluate,
                epoch_ends=epoch_ends,
                best_metric=self.best_metric,
                patience=training.early_stopping_patience,
                concurrency=self.job.concurrency,
                callbacks=callbacks,
            ),
            training,
            folder.run,
            opened,
        )


def content_of(parts: Iterable[Examples]) -> list[np.ndarray]:
    """Returns all features of some examples, which tell them from others.

    A cell of an extra column that was edited shows there, as does a text that
    is only evaluated. Arrays that several parts share are returned once.

    Args:
        parts: examples of one file or several, in a fixed order.
    """
    found: dict[int, np.ndarray] = {}
    for part in parts:
        store = part.store
        features = (store.arrays[name] for name in sorted(store.arrays))
        for array in (part.rows, store.offsets, store.examples, *features):
            found.setdefault(id(array), array)
    return list(found.values())


def epoch_size(task: Task, examples: Examples) -> int:
    """Returns the number of examples or rows that an epoch has."""
    return len(examples.rows) if task.epochs_of_rows else len(examples)


def steps_of(
    num_examples: int, training: TrainingChoices
) -> tuple[int, tuple[int, ...]]:
    """Returns the number of steps, and the steps at which an epoch ends.

    Raises:
        UserError: there would be no step.
    """
    in_an_epoch = num_examples / training.train_batch_size
    num_steps = int(in_an_epoch * training.num_train_epochs)
    if num_steps < 1:
        raise UserError(
            f"{num_examples} examples in batches of "
            f"--train_batch_size={training.train_batch_size}, "
            f"--num_train_epochs={training.num_train_epochs} times: that is "
            "not one whole step. Give smaller batches or more epochs."
        )
    ends = (
        int(in_an_epoch * epoch)
        for epoch in range(1, int(training.num_train_epochs) + 1)
    )
    return num_steps, tuple(sorted({end for end in ends if end}))


def with_class_weights(
    examples: Examples, num_labels: int, class_weight: str
) -> Examples:
    """Adds a column with the weight of each example, by its label.

    Examples that have weights of their own get the product.

    Args:
        examples: to train on; their targets are label ids.
        num_labels: C.
        class_weight: see `example_weights`.

    Returns:
        The examples with the column, float32; it is 1 for the other examples
        of their file.
    """
    weights = np.ones(len(examples.store), np.float32)
    given = examples.store.arrays.get(EXAMPLE_WEIGHTS)
    if given is not None:
        weights = np.array(given)
    weights[examples.rows] *= examples.groups.spread(
        example_weights(examples.values(TARGETS), num_labels, class_weight)
    )
    store = examples.store.with_column(
        EXAMPLE_WEIGHTS, Column("float32"), weights
    )
    return dataclasses.replace(examples, store=store)


def example_weights(
    targets: np.ndarray, num_labels: int, class_weight: str
) -> np.ndarray:
    """Returns the weight of each example, by its label.

    "balanced" is N / (number of labels · N of the label), as in scikit-learn:
    of the label ids 0 0 0 1, label 0 weighs 2/3 and label 1 weighs 2.

    Args:
        targets: label ids [N].
        num_labels: C.
        class_weight: "balanced".

    Returns:
        float32 [N].
    """
    from sklearn.utils.class_weight import compute_class_weight

    numbers = np.unique(targets)
    weights = np.ones(num_labels, np.float32)
    weights[numbers] = compute_class_weight(
        class_weight, classes=numbers, y=targets
    )
    return weights[targets]
