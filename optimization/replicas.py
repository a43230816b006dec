"""Gradients of one batch that several devices share: their sum.

Which devices these are is `training.devices`' matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def summed_over_replicas(gradients: Sequence[Any]) -> list[Any]:
    """Returns the gradients of the whole batch, on every device the same.

    Slices are put side by side and not merged, so that the norm they are
    clipped by is the one that a single device would find.

    Args:
        gradients: of this device's part of the batch; tensors, slices, None.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return list(gradients)
    there = [gradient for gradient in gradients if gradient is not None]
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if one is None else next(summed) for one in gradients]


def with_gradient_of_all(table: Any) -> Any:
    """Returns a table whose gradient is that of all replicas, on the first.

    For the product with a word table that is also gathered from: the tape
    then has both gradients as slices, and those of the product must be summed
    row by row, as a single device would have them, for the norm to be its.

    Args:
        table: float [V, D], a weight or a tensor.

    Returns:
        float [V, D], the same numbers; without replicas the argument.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return table

    @tf.custom_gradient
    def identity(given: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, upstream)
            is_first = tf.equal(context.replica_id_in_sync_group, 0)
            return tf.where(is_first, total, tf.zeros_like(total))

        return tf.identity(given), gradient

    return identity(keras.ops.convert_to_tensor(table))
