"""Trains a classifier on encoded data and keeps the best weights.

The loop is `training.fit`; the data comes encoded, the results go to the run
folder.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from finetuning import run_folder
from finetuning.classifier import BertClassifier
from finetuning.data import Split
from finetuning.heldout import hold_out
from finetuning.problem import Problem
from finetuning.run_folder import RunFolder
from finetuning.single_label import SINGLE_LABEL
from inputs.batches import batches_by_length, training_batches
from inputs.token_store import TokenStore
from optimization import create_optimizer
from safekeeping.errors import UserError
from training.callbacks import ProgressBar, TensorBoardScalars, TrainingLog
from training.fit import FitResult, FitSettings, fit
from training.predict import Predictor


@dataclasses.dataclass(frozen=True)
class TrainingChoices:
    """How to train, as the flags say it."""

    train_batch_size: int = 32
    learning_rate: float = 5e-5
    num_train_epochs: float = 3.0
    warmup_proportion: float = 0.1
    gradient_accumulation_steps: int = 1
    class_weight: str | None = None
    seed: int = 12345
    eval_steps: int | None = None
    best_metric: str | None = None
    early_stopping_patience: int | None = None
    save_checkpoints_steps: int = 1000
    tensorboard: bool = False


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What is trained on, and what is evaluated on meanwhile.

    Attributes:
        split: the training file.
        rows: int64, its rows that are trained on.
        dev_store: inputs of the rows to evaluate on, if there are any.
        dev_rows: int64, rows of that store.
        dev_targets: targets of those rows.
        held_out: whether they are rows of the training file.
    """

    split: Split
    rows: np.ndarray
    dev_store: TokenStore | None = None
    dev_rows: np.ndarray | None = None
    dev_targets: np.ndarray | None = None
    held_out: bool = False

    def with_dev(self, dev: Split) -> TrainingData:
        """Evaluates on a file of its own."""
        return dataclasses.replace(
            self,
            dev_store=dev.store,
            dev_rows=np.arange(len(dev.store)),
            dev_targets=dev.targets,
        )

    def with_held_out(
        self, fraction: float, seed: int, problem: Problem
    ) -> TrainingData:
        """Evaluates on a part of the training file.

        Raises:
            UserError: there are too few rows.
        """
        targets = self.split.targets
        assert targets is not None  # a training file has labels
        rows, dev_rows = hold_out(
            targets, fraction, seed, stratify=problem is SINGLE_LABEL
        )
        return TrainingData(
            self.split,
            rows,
            self.split.store,
            dev_rows,
            targets[dev_rows],
            held_out=True,
        )


def train(
    model: BertClassifier,
    problem: Problem,
    data: TrainingData,
    choices: TrainingChoices,
    folder: RunFolder,
    *,
    best_metric: str,
    identity: Mapping[str, Any],
    eval_batch_size: int,
) -> FitResult:
    """Trains, or goes on with a training that was stopped.

    Args:
        model: its first weights assigned.
        problem: tells the loss and the metrics.
        data: what to train and to evaluate on.
        choices: how.
        folder: where weights, state and log are kept.
        best_metric: what of an evaluation decides which weights are kept.
        identity: what else, beside data and choices, makes this training
            what it is.
        eval_batch_size: examples of a batch of an evaluation.

    Returns:
        How it ended.

    Raises:
        UserError: there are fewer rows than one batch wants; the folder
            holds a training with other settings.
    """
    num_steps, epoch_ends = steps_of(len(data.rows), choices)
    loss = _loss_function(problem)
    features = {"targets": data.split.targets}
    weights = example_weights(problem, data, choices.class_weight)
    if weights is not None:
        features["example_weights"] = weights
    evaluate = None
    if data.dev_store is not None:
        evaluate = _evaluation(model, problem, data, eval_batch_size)
    callbacks = [ProgressBar(), TrainingLog(folder / run_folder.LOG)]
    if choices.tensorboard:
        callbacks.append(TensorBoardScalars(folder / run_folder.TENSORBOARD))
    return fit(
        model,
        loss,
        create_optimizer(
            choices.learning_rate,
            num_steps,
            int(num_steps * choices.warmup_proportion),
        ),
        training_batches(
            data.split.store,
            data.rows,
            features,
            batch_size=choices.train_batch_size,
            seed=choices.seed,
        ),
        FitSettings(
            num_train_steps=num_steps,
            epoch_ends=epoch_ends,
            eval_steps=choices.eval_steps,
            save_steps=choices.save_checkpoints_steps,
            micro_batches=choices.gradient_accumulation_steps,
            best_metric=best_metric,
            patience=choices.early_stopping_patience,
        ),
        state_path=folder / run_folder.STATE,
        identity={
            **identity,
            **_without_side_effects(choices),
            "best_metric": best_metric,
            "data": _checksum(
                data.split.store.input_ids,
                data.split.store.offsets,
                data.split.targets,
                data.rows,
                data.dev_targets,
            ),
            "first_weights": _checksum(
                *(weight.numpy() for weight in model.trainable_weights)
            ),
        },
        save_weights=lambda: folder.save_model(model),
        evaluate=evaluate,
        callbacks=callbacks,
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
    return num_steps, tuple(end for end in ends if end)


def example_weights(
    problem: Problem, data: TrainingData, class_weight: str | None
) -> np.ndarray | None:
    """Returns a weight for each row of the training file, or None.

    "balanced" weighs a label by rows / (labels · rows with this label), as
    scikit-learn does.

    Raises:
        UserError: the problem has no classes to balance.
    """
    if class_weight is None:
        return None
    if problem is not SINGLE_LABEL:
        raise UserError(
            f"--class_weight={class_weight} is for problems with one label "
            f"an example; this one is {problem.name}"
        )
    targets = data.split.targets
    assert targets is not None  # a training file has labels
    numbers = np.unique(targets[data.rows])
    weights = np.ones(len(data.split.labels), np.float32)
    weights[numbers] = compute_class_weight(
        class_weight, classes=numbers, y=targets[data.rows]
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
    model: BertClassifier,
    problem: Problem,
    data: TrainingData,
    batch_size: int,
) -> Any:
    predictor = Predictor(model)

    def evaluate() -> Mapping[str, float]:
        logits = predictor(
            batches_by_length(data.dev_store, data.dev_rows, batch_size),
            len(data.dev_rows),
        )
        return problem.evaluate(logits, data.dev_targets, model.labels).scalars

    return evaluate


def _without_side_effects(choices: TrainingChoices) -> dict[str, Any]:
    """Leaves out what changes no number, so it may change between runs."""
    fields = dataclasses.asdict(choices)
    for name in ("tensorboard", "save_checkpoints_steps"):
        del fields[name]
    return fields


def _checksum(*arrays: np.ndarray | None) -> int:
    checksum = 0
    for array in arrays:
        if array is not None:
            checksum = zlib.crc32(np.ascontiguousarray(array), checksum)
    return checksum
