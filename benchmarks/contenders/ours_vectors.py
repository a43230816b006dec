"""Vectors of texts by this project's `Encoder`."""

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
from bert_keras3.serving import Encoder

PACKAGES = ("tensorflow", "keras")


def _encoding(
    given: ContenderInputs, batch_size: int
) -> Callable[[Batch], np.ndarray]:
    encoder = Encoder(given.weights, batch_size=batch_size)
    return lambda batch: encoder.encode(batch["texts"].tolist())


def encode(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """All texts in one call, in batches of 32."""
    return _encoding(given, 32)


def encode_256(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Likewise, in batches of 256."""
    return _encoding(given, 256)
