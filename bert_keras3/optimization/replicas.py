"""Gradients of one batch that several devices share: their sum.

Which devices these are is `training.distributions`' matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
