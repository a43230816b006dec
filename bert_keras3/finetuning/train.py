"""Trains a classifier on encoded data and keeps the best weights.

The loop is `training.fit`; the data comes encoded, the results go to the run
folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.classifier import BertClassifier
from bert_keras3.finetuning.data import Split
from bert_keras3.finetuning.heldout import hold_out
from bert_keras3.finetuning.problem import Problem
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.inputs.batches import (
    BatchLimit,
    batches_by_length,
    training_batches,
)
from bert_keras3.inputs.feature_store import Column, FeatureStore
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training import session
from bert_keras3.training.fit import FitResult
from bert_keras3.training.predict import Predictor
from bert_keras3.training.session import Session
from bert_keras3.training.settings import TrainingSettings


@dataclasses.dataclass(frozen=True)
class TrainingChoices(TrainingSettings):
    """How to train, as the flags say it."""

    num_train_epochs: float = 3.0
    warmup_proportion: float = 0.1
    class_weight: str | None = None
    best_metric: str | None = None
    early_stopping_patience: int | None = None
    lora_rank: int | None = None


@dataclasses.dataclass(frozen=True)
class LabelledRows:
    """Rows of a store with what they should come to.

    Attributes:
        store: the inputs.
        rows: int64 [N], rows of the store.
        targets: [N, …], of those rows.
    """

    store: FeatureStore
    rows: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, split: Split, rows: np.ndarray | None = None) -> LabelledRows:
        """Returns some rows of a file, by default all."""
        if rows is None:
            rows = np.arange(len(split.store))
        return cls(split.store, rows, split.targets[rows])


def split_off_dev(
    split: Split, fraction: float, seed: int
) -> tuple[LabelledRows, LabelledRows]:
    """Holds rows of the training file out to evaluate on.

    Returns:
        (to train on, to evaluate on).

    Raises:
        UserError: there are too few rows.
    """
    stratify = split.problem is not None and split.problem.has_classes
    rows, dev_rows = hold_out(split.targets, fraction, seed, stratify=stratify)
    return LabelledRows.of(split, rows), LabelledRows.of(split, dev_rows)


def train(
    model: BertClassifier,
    problem: Problem,
    data: LabelledRows,
    dev: LabelledRows | None,
    choices: TrainingChoices,
    folder: RunFolder,
    *,
    best_metric: str,
    identity: Mapping[str, Any],
    predictor: Predictor,
    eval_limit: BatchLimit,
    opened: Session,
    concurrency: int = 1,
) -> FitResult:
    """Trains, or goes on with a training that was stopped.

    Args:
        model: its first weights assigned.
        problem: tells the loss and the metrics.
        data: what to train on.
        dev: what to evaluate on meanwhile, if there is anything.
        choices: how.
        folder: where weights, state and log are kept.
        best_metric: what of an evaluation decides which weights are kept.
        identity: as `identity_of` makes it.
        predictor: of the model.
        eval_limit: of a batch of an evaluation.
        concurrency: parts of a batch that are computed at the same time.
        opened: in whose scope the model was made.

    Returns:
        How it ended.

    Raises:
        UserError: there are fewer rows than one batch wants; the folder
            holds a training with other settings.
    """
    num_steps, epoch_ends = steps_of(len(data.rows), choices)
    loss = _loss_function(problem)
    store = _with_column(data, "targets", data.targets)
    if choices.class_weight is not None:
        weights = example_weights(
            data.targets, len(model.labels), choices.class_weight
        )
        store = _with_column(
            dataclasses.replace(data, store=store), "example_weights", weights
        )
    evaluate = None
    if dev is not None:
        evaluate = _evaluation(
            predictor, problem, dev, model.labels, eval_limit
        )
    return session.train(
        session.Plan(
            model,
            loss,
            training_batches(
                store,
                data.rows,
                batch_size=choices.train_batch_size,
                seed=choices.seed,
            ),
            identity,
            lambda optimizer: folder.save_model(model),
            num_steps,
            int(num_steps * choices.warmup_proportion),
            per_token=store.per_token,
            evaluate=evaluate,
            epoch_ends=epoch_ends,
            best_metric=best_metric,
            patience=choices.early_stopping_patience,
            concurrency=concurrency,
        ),
        choices,
        run_folder.training_folder(folder.path),
        opened,
    )


def _with_column(
    data: LabelledRows, name: str, values: np.ndarray
) -> FeatureStore:
    """Returns the store with values [N, …] of the rows to train on."""
    of_all = np.zeros((len(data.store), *values.shape[1:]), values.dtype)
    of_all[data.rows] = values
    column = Column(values.dtype.name, shape=values.shape[1:])
    return data.store.with_column(name, column, of_all)


def identity_of(
    model: BertClassifier,
    data: LabelledRows,
    dev: LabelledRows | None,
    choices: TrainingChoices,
) -> dict[str, Any]:
    """Returns what makes a training what it is, beside its task.

    Args:
        model: its first weights assigned.
        data: what to train on.
        dev: what to evaluate on meanwhile, if there is anything.
        choices: how.

    Returns:
        Values that JSON has; sums for what is large.
    """
    return session.identity_of(
        choices,
        model,
        [
            data.store.arrays["input_ids"],
            data.store.offsets,
            data.rows,
            data.targets,
            *(() if dev is None else (dev.rows, dev.targets)),
        ],
    )


def steps_of(
    num_examples: int, choices: TrainingChoices
) -> tuple[int, tuple[int, ...]]:
    """Returns how many steps there are, and after which a pass ends.

    As in the original: int(examples / batch size · epochs).

    Raises:
        UserError: not even one step comes of it.
    """
    in_a_pass = num_examples / choices.train_batch_size
    num_steps = int(in_a_pass * choices.num_train_epochs)
    if num_steps < 1:
        raise UserError(
            f"{num_examples} examples in batches of "
            f"--train_batch_size={choices.train_batch_size}, "
            f"--num_train_epochs={choices.num_train_epochs} times: that is "
            "not one whole step. Give smaller batches or more epochs."
        )
    ends = (
        int(in_a_pass * epoch)
        for epoch in range(1, int(choices.num_train_epochs) + 1)
    )
    return num_steps, tuple(sorted({end for end in ends if end}))


def example_weights(
    targets: np.ndarray, num_labels: int, class_weight: str
) -> np.ndarray:
    """Returns a weight for each example, by its label.

    "balanced" weighs a label by rows / (labels · rows with this label), as
    scikit-learn does.

    Args:
        targets: label numbers [N].
        num_labels: how many there are, C.
        class_weight: "balanced".

    Returns:
        float32 [N].
    """
    numbers = np.unique(targets)
    weights = np.ones(num_labels, np.float32)
    weights[numbers] = compute_class_weight(
        class_weight, classes=numbers, y=targets
    )
    return weights[targets]


def _loss_function(problem: Problem) -> Any:
    def loss(model: Any, features: Mapping[str, Any], training: bool) -> Any:
        logits = model(features, training=training)
        return problem.loss(
            logits, features["targets"], features.get("example_weights")
        )

    return loss


def _evaluation(
    predictor: Predictor,
    problem: Problem,
    dev: LabelledRows,
    labels: Sequence[str],
    limit: BatchLimit,
) -> Callable[[], Mapping[str, float]]:
    def evaluate() -> Mapping[str, float]:
        logits = predictor(
            batches_by_length(dev.store, dev.rows, limit), len(dev.rows)
        )["logits"]
        return problem.evaluate(logits, dev.targets, labels).scalars

    return evaluate
