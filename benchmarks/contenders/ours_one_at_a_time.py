"""This project with --concurrency=1: all threads for one operation."""

from __future__ import annotations

import os

from bert_keras3.training.concurrency import usable_cores

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(usable_cores()))

from collections.abc import Callable

import numpy as np

from benchmarks.contenders import ours
from benchmarks.material import Batch, Material

PACKAGES = ours.PACKAGES


def predict(material: Material) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs."""
    return ours.predict(material)


def train(material: Material) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps."""
    return ours.train(material, concurrency=1)
