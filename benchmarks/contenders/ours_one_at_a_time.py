"""This project with --concurrency=1: all threads for one operation."""

from __future__ import annotations

import os

from bert_keras3.training.concurrency import usable_cores

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(usable_cores()))

from collections.abc import Callable

import numpy as np

from benchmarks.contender_inputs import Batch, ContenderInputs
from benchmarks.contenders import ours

PACKAGES = ours.PACKAGES


def predict(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs."""
    return ours.predict(given)


def train(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps."""
    return ours.train(given, concurrency=1)
