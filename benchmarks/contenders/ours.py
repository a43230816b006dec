"""This project, as its scripts use it."""

from __future__ import annotations

import os

from bert_keras3.training.concurrency import (
    suitable_concurrency,
    suitable_threads,
    usable_cores,
)

# As `commands.entry` sets them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault(
    "TF_NUM_INTRAOP_THREADS",
    str(suitable_threads(suitable_concurrency()) or usable_cores()),
)

from collections.abc import Callable

import numpy as np

from benchmarks.contender_inputs import Batch, ContenderInputs
from bert_keras3 import checkpointing
from bert_keras3.optimization import create_optimizer
from bert_keras3.training.predict import Predictor
from bert_keras3.training.step import StepSettings, TrainStep
from modeling import BertModel, BertWithHeads
from modeling.losses import classification_loss

PACKAGES = ("tensorflow", "keras")


def predict(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs."""
    model = BertModel(checkpointing.bert_config(given.weights))
    checkpointing.load(model, given.weights)
    predictor = Predictor(
        model,
        lambda model, features: {
            "pooled": model.encode(features).pooled_output
        },
    )

    def run(batch: Batch) -> np.ndarray:
        inputs = {name: ids for name, ids in batch.items() if name != "targets"}
        size = len(batch["input_ids"])
        return predictor([(np.arange(size), inputs)], size)["pooled"]

    return run


def train_with_remat(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps that compute layers again in the backward pass."""
    return train(given, remat=True)


def train(
    given: ContenderInputs,
    *,
    remat: bool = False,
    concurrency: int | None = None,
) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps: forward, backward, clipping, update.

    Args:
        given: weights and batches.
        remat: whether layers are computed again in the backward pass.
        concurrency: as in `StepSettings`; by default as the scripts choose.
    """
    model = BertWithHeads(
        checkpointing.bert_config(given.weights), ["labels"], ("no", "yes")
    )
    checkpointing.load(
        model, given.weights, allow_missing=("output_weights", "output_bias")
    )
    model.bert.encoder.remat = remat
    step = TrainStep(
        model,
        lambda model, features, training: classification_loss(
            model(features, training=training)["logits"],
            features["targets"],
        ),
        create_optimizer(1e-5, 1000, 0),
        StepSettings(
            concurrency=concurrency or suitable_concurrency(),
            per_token=("input_ids", "input_mask", "segment_ids"),
        ),
    )
    return lambda batch: np.asarray(step(batch)["loss"])
