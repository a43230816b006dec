"""Equal seeds, equal bits: what has to be set before anything is drawn."""

from __future__ import annotations

import keras
import tensorflow as tf


def make_deterministic(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow and asks for repeatable kernels.

    Two runs on one machine then give the same bits. To be called before a
    model is made.

    Args:
        seed: any whole number from 0 to 2³² − 1.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
