"""Reads and moves weights and slots, whole or only in the rows of a batch.

Which numbers move them is the optimisers' matter; which gradients come in
rows is `lazy_rows`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether one of the regular expressions is found in a path."""
    return any(re.search(pattern, path) for pattern in patterns)


def whole_gradient(gradient: Any) -> tuple[tf.Tensor, None]:
    """Returns (the gradient with its slices summed up, no rows).

    Rows that are in no slice have gradient 0: their momentum moves them on.
    """
    return tf.convert_to_tensor(gradient), None


def merged(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns the same gradient with one slice for each row."""
    rows, place = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(
        gradient.values, place, tf.size(rows, tf.int64)
    )
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def read(variable: Any, rows: tf.Tensor | None) -> tf.Tensor:
    """Returns a variable's value, or that of some rows."""
    value = tf.convert_to_tensor(variable)
    return value if rows is None else tf.gather(value, rows)


def placed(value: tf.Tensor, rows: tf.Tensor | None) -> Any:
    """Returns a value as `Optimizer.assign` wants it for these rows."""
    return value if rows is None else tf.IndexedSlices(value, rows)


def advance(
    optimizer: keras.optimizers.Optimizer,
    slot: Any,
    value: tf.Tensor,
    beta: float,
    rows: tf.Tensor | None,
) -> tf.Tensor:
    """Moves a running mean: slot ← β·slot + (1 − β)·value.

    Args:
        optimizer: whose slot it is.
        slot: a variable.
        value: of the whole slot, or of its rows.
        beta: β.
        rows: int [R], or None for all.

    Returns:
        The new value, of the whole slot or of its rows.
    """
    moved = beta * read(slot, rows) + (1.0 - beta) * value
    optimizer.assign(slot, placed(moved, rows))
    return moved


def unbiased(mean: tf.Tensor, beta: float, step: Any) -> tf.Tensor:
    """Returns mean / (1 − βᵗ): a mean that began at 0, set right.

    Args:
        mean: a running mean after step t.
        beta: β.
        step: steps done before this one, t − 1.
    """
    count = tf.cast(step, mean.dtype) + 1.0
    return mean / (1.0 - tf.pow(tf.cast(beta, mean.dtype), count))
