"""Steps of an optimizer's update: gradients, moving averages, lazy updates.

The gradient of an embedding table comes as slices, one for each token: for the
token ids 7 2 7 three slices with the indices 7, 2, 7. An ordinary update sums
them into a gradient of the whole table. A lazy update merges them into one
slice per row, here 7 and 2, and changes these rows of the table and of its
slots only; `rows` are then the indices [R], otherwise None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import keras
import tensorflow as tf

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"
"""Of one weight: a tensor, or slices of some of its rows."""
Variable: TypeAlias = "keras.Variable | tf.Variable"
"""A weight or a slot, as Keras' variable or the TensorFlow variable in it."""

WORD_EMBEDDINGS = ("word_embeddings$",)
"""Paths of the tables that `--lazy_embeddings` updates lazily."""

# For fewer elements, calling `fused_update` costs more than it saves.
_MIN_ELEMENTS = 1 << 14


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether a path matches one of the regular expressions."""
    return any(re.search(pattern, path) for pattern in patterns)


def summed_over_replicas(
    gradients: Sequence[Gradient | None],
) -> list[Gradient | None]:
    """Returns the gradients of the whole batch: sums over all devices.

    Slices are concatenated and not merged, so that the norm for clipping is
    that of a single device.

    Args:
        gradients: of this device's shard of the batch; None where the loss
            does not depend on the weight.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return list(gradients)
    there = [gradient for gradient in gradients if gradient is not None]
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if one is None else next(summed) for one in gradients]


def whole_gradient(gradient: Gradient) -> tuple[tf.Tensor, None]:
    """Returns (the gradient with its slices summed, None for all rows).

    Rows without a slice have gradient 0; their momentum still moves them.
    """
    return tf.convert_to_tensor(gradient), None


def require_slices(gradient: Gradient, path: str) -> tf.IndexedSlices:
    """Returns the gradient, which must have the form of slices.

    Raises:
        ValueError: it is dense, so every row would be updated.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        raise ValueError(
            f"{path} is to be updated lazily, but its gradient does not come "
            "in slices: gather from it, and hand it to a product through "
            "`optimization.only_rows`"
        )
    return gradient


def merge_slices(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns the same gradient with one slice for each row."""
    rows, place = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(
        gradient.values, place, tf.size(rows, tf.int64)
    )
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def read(variable: Variable, rows: tf.Tensor | None) -> tf.Tensor:
    """Returns the value of a variable, or of some of its rows."""
    value = tf.convert_to_tensor(variable)
    return value if rows is None else tf.gather(value, rows)


def of_rows(value: tf.Tensor, rows: tf.Tensor | None) -> Gradient:
    """Returns a value in the form that `Optimizer.assign` takes for `rows`."""
    return value if rows is None else tf.IndexedSlices(value, rows)


def update_mean(
    optimizer: keras.optimizers.Optimizer,
    slot: Variable,
    value: tf.Tensor,
    beta: float,
    rows: tf.Tensor | None,
) -> tf.Tensor:
    """Updates a moving average: slot ← β·slot + (1 − β)·value.

    Args:
        optimizer: of the slot.
        slot: the moving average.
        value: of the whole slot, or of its `rows`.
        beta: β.
        rows: int [R], or None for all.

    Returns:
        The new value of the whole slot, or of its `rows`.
    """
    moved = beta * read(slot, rows) + (1.0 - beta) * value
    optimizer.assign(slot, of_rows(moved, rows))
    return moved


def bias_corrected(mean: tf.Tensor, beta: float, step: Variable) -> tf.Tensor:
    """Returns mean / (1 − βᵗ), which corrects the start of the mean at 0.

    Args:
        mean: a moving average after step t.
        beta: β.
        step: number of earlier steps, t − 1.
    """
    count = tf.cast(step, mean.dtype) + 1.0
    return mean / (1.0 - tf.pow(tf.cast(beta, mean.dtype), count))


def only_rows(table: Variable | tf.Tensor, *ids: tf.Tensor) -> tf.Tensor:
    """Returns a table that passes gradients to some of its rows only.

    Lazy updates of an embedding table that is also the output layer of the
    masked language model need this: the loss lowers the logits of the whole
    vocabulary, so every row would have a gradient in every step. Applied to
    the table in that matrix product, this drops the gradients of tokens that
    are neither in the input nor among the labels. A table that is only
    gathered from does not need it.

    Args:
        table: float [V, D], a variable or a tensor.
        *ids: int tensors of any shape: token ids of the input and of the
            labels.

    Returns:
        float [V, D], the same values.
    """
    table = tf.convert_to_tensor(table)
    rows, _ = tf.unique(tf.concat([tf.reshape(some, [-1]) for some in ids], 0))
    return tf.tensor_scatter_nd_update(
        tf.stop_gradient(table), rows[:, tf.newaxis], tf.gather(table, rows)
    )


class AdamConstants(NamedTuple):
    """The hyperparameters of an Adam update."""

    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float
    """λ, 0 for none."""


def can_fuse(*variables: Variable) -> bool:
    """Returns whether `fused_update` supports these variables and is faster."""
    return not tf.distribute.has_strategy() and all(
        variable.dtype == "float32"
        and variable.shape.num_elements() >= _MIN_ELEMENTS
        for variable in map(_tf_variable, variables)
    )


def fused_update(
    weight: Variable,
    m: Variable,
    v: Variable,
    gradient: tf.Tensor,
    learning_rate: tf.Tensor,
    constants: AdamConstants,
) -> None:
    """Computes the update of `AdamWeightDecay` in one pass over memory.

    Args:
        weight: to update.
        m: its slot with the mean of the gradients.
        v: its slot with the mean of their squares.
        gradient: of the whole weight.
        learning_rate: float32 scalar.
        constants: β₁, β₂, ε and λ.
    """
    _compiled_update(
        *map(_tf_variable, (weight, m, v)), gradient, learning_rate, constants
    )


# Not TensorFlow's own operation for Adam, which computes 1 − β₂ in float32 and
# is off by 5e-5.
@tf.function(jit_compile=True, autograph=False)
def _compiled_update(
    weight: tf.Variable,
    m: tf.Variable,
    v: tf.Variable,
    gradient: tf.Tensor,
    learning_rate: tf.Tensor,
    constants: AdamConstants,
) -> None:
    beta_1, beta_2, epsilon, weight_decay = constants
    next_m = beta_1 * m + (1.0 - beta_1) * gradient
    next_v = beta_2 * v + (1.0 - beta_2) * tf.square(gradient)
    update = next_m / (tf.sqrt(next_v) + epsilon)
    if weight_decay:
        update += weight_decay * weight
    m.assign(next_m)
    v.assign(next_v)
    weight.assign_sub(learning_rate * update)


def _tf_variable(variable: Variable) -> tf.Variable:
    return variable.value if isinstance(variable, keras.Variable) else variable
