"""Trains a model on records, or goes on with a training that was stopped.

The loop is `training.fit`; what is trained on comes from `supply`, what is
written goes to `run_folder` and `checkpoint_files`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from bert_keras3.optimization import DEFAULT_OPTIMIZER, create_optimizer
from bert_keras3.pretraining import run_folder
from bert_keras3.pretraining.checkpoint_files import (
    GOOGLE,
    CheckpointFiles,
    SavesCheckpoints,
)
from bert_keras3.pretraining.model import BertForPreTraining, loss
from bert_keras3.pretraining.run_folder import RunFolder
from bert_keras3.pretraining.supply import PER_TOKEN, Supply
from bert_keras3.training.callbacks import (
    ProgressBar,
    TensorBoardScalars,
    TrainingLog,
)
from bert_keras3.training.computing import PLAIN, Computing, guarded
from bert_keras3.training.devices import ONE_DEVICE, Devices
from bert_keras3.training.fit import FitResult, FitSettings, fit
from bert_keras3.training.identity import checksum


@dataclasses.dataclass(frozen=True)
class TrainingChoices:
    """How to train, as the flags say it."""

    train_batch_size: int = 32
    learning_rate: float = 5e-5
    num_train_steps: int = 100_000
    num_warmup_steps: int = 10_000
    optimizer: str = DEFAULT_OPTIMIZER
    lazy_embeddings: bool = False
    gradient_accumulation_steps: int = 1
    seed: int = 12345
    eval_steps: int | None = None
    save_checkpoints_steps: int = 1000
    keep_checkpoint_max: int = 5
    checkpoint_format: str = GOOGLE
    with_optimizer: bool = False
    tensorboard: bool = False
    computing: Computing = PLAIN


# What changes no number of a training, so it may change between runs.
_WITHOUT_EFFECT = (
    "eval_steps",
    "save_checkpoints_steps",
    "keep_checkpoint_max",
    "checkpoint_format",
    "with_optimizer",
    "tensorboard",
)


def train(
    model: BertForPreTraining,
    supply: Supply,
    choices: TrainingChoices,
    folder: RunFolder,
    files: CheckpointFiles,
    *,
    identity: Mapping[str, Any],
    evaluate: Callable[[], Mapping[str, float]] | None,
    concurrency: int = 1,
    devices: Devices = ONE_DEVICE,
) -> FitResult:
    """Trains to the last step; the last weights are the result.

    Args:
        model: its first weights assigned.
        supply: what to train on.
        choices: how.
        folder: where state and log are kept.
        files: where weights are written to.
        identity: as `identity_of` makes it.
        evaluate: returns figures of the present weights; None: not meanwhile.
        concurrency: parts of a batch that are computed at the same time.
        devices: in whose scope the model was made.

    Returns:
        How it ended.

    Raises:
        UserError: the folder holds a training with other settings; a record
            does not fit the model.
    """
    with devices.scope():
        optimizer = create_optimizer(
            choices.learning_rate,
            choices.num_train_steps,
            choices.num_warmup_steps,
            name=choices.optimizer,
            lazy_embeddings=choices.lazy_embeddings,
        )
        applied = guarded(optimizer, choices.computing.mixed_precision)

    def save() -> None:
        files.save(model, optimizer)

    callbacks: list[keras.callbacks.Callback] = [
        ProgressBar(),
        TrainingLog(folder / run_folder.LOG),
        SavesCheckpoints(choices.save_checkpoints_steps, save),
    ]
    if choices.tensorboard:
        callbacks.append(TensorBoardScalars(folder / run_folder.TENSORBOARD))
    return fit(
        model,
        loss,
        applied,
        supply.training_batches(
            choices.train_batch_size,
            choices.seed,
            lazily=choices.lazy_embeddings,
        ),
        FitSettings(
            num_train_steps=choices.num_train_steps,
            eval_steps=choices.eval_steps,
            save_steps=choices.save_checkpoints_steps,
            micro_batches=choices.gradient_accumulation_steps,
            concurrency=concurrency,
            jit_compile=choices.computing.jit_compile,
            per_token=PER_TOKEN,
        ),
        state_path=folder / run_folder.STATE,
        identity=identity,
        save_weights=save,
        evaluate=evaluate,
        callbacks=callbacks,
        devices=devices,
    )


def identity_of(
    model: BertForPreTraining, supply: Supply, choices: TrainingChoices
) -> dict[str, Any]:
    """Returns what makes a training what it is.

    Args:
        model: its first weights assigned.
        supply: what to train on.
        choices: how.

    Returns:
        Values that JSON has; sums for what is large.
    """
    numbers = dataclasses.asdict(choices)
    for name in _WITHOUT_EFFECT:
        del numbers[name]
    masking = None
    if supply.masks is not None:
        masking = dataclasses.asdict(supply.masks.settings)
        masking["ngram_weights"] = list(masking["ngram_weights"])
        masking["vocabulary"] = checksum(supply.masks.vocabulary.ids)
    return {
        **numbers,
        "sentence_objective": model.sentence_objective,
        "max_seq_length": supply.max_seq_length,
        "max_predictions_per_seq": supply.max_predictions_per_seq,
        "masking": masking,
        "config": model.bert.config.to_dict(),
        "data": checksum(supply.identity()),
        "first_weights": checksum(
            *(np.asarray(weight) for weight in model.trainable_weights)
        ),
    }
