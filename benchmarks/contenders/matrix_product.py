"""The limit: a plain float32 product, of NumPy and of TensorFlow."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.contender_inputs import Batch, ContenderInputs

PACKAGES = ("numpy", "tensorflow")

SHAPE = (2048, 768, 3072)
FLOPS = 2.0 * SHAPE[0] * SHAPE[1] * SHAPE[2]


def _matrices() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows, inner, columns = SHAPE
    left, right = (
        rng.normal(size=size).astype(np.float32)
        for size in ((rows, inner), (inner, columns))
    )
    return left, right


def of_numpy(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """One product for each batch, whatever is in it."""
    left, right = _matrices()
    return lambda batch: left @ right


def of_tensorflow(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Likewise."""
    left, right = map(tf.constant, _matrices())
    return lambda batch: np.asarray(tf.matmul(left, right))
