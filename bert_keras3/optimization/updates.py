"""What the updates of all optimizers are made of: gradients, rows, slots.

Gradients come whole or as slices, which are merged to one a row, and are
summed over devices. Weights and their slots are read and moved whole or in
the rows of a batch (lazy updates); Adam's update of a whole weight has a
faster way to the same numbers, in one pass over memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"
"""Of one weight: whole, or slices of some of its rows."""
Variable: TypeAlias = "keras.Variable | tf.Variable"
"""A weight or a slot: Keras' variable, or TensorFlow's in it."""


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether one of the regular expressions is found in a path."""
    return any(re.search(pattern, path) for pattern in patterns)


def whole_gradient(gradient: Gradient) -> tuple[tf.Tensor, None]:
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


def read(variable: Variable, rows: tf.Tensor | None) -> tf.Tensor:
    """Returns a variable's value, or that of some rows."""
    value = tf.convert_to_tensor(variable)
    return value if rows is None else tf.gather(value, rows)


def placed(value: tf.Tensor, rows: tf.Tensor | None) -> Gradient:
    """Returns a value as `Optimizer.assign` wants it for these rows."""
    return value if rows is None else tf.IndexedSlices(value, rows)


def advance(
    optimizer: keras.optimizers.Optimizer,
    slot: Variable,
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


def unbiased(mean: tf.Tensor, beta: float, step: Variable) -> tf.Tensor:
    """Returns mean / (1 − βᵗ): a mean that started at 0, without that bias.

    Args:
        mean: a running mean after step t.
        beta: β.
        step: steps done before this one, t − 1.
    """
    count = tf.cast(step, mean.dtype) + 1.0
    return mean / (1.0 - tf.pow(tf.cast(beta, mean.dtype), count))


# The table that `--lazy_embeddings` updates lazily.
WORD_EMBEDDINGS = ("word_embeddings$",)


def only_rows(table: Variable | tf.Tensor, *ids: tf.Tensor) -> tf.Tensor:
    """Returns a table whose gradient comes in the rows of a batch alone.

    A gathered table needs none of this. Where the table is also the output
    layer of masked words, the loss lowers the logit of every other word of
    the vocabulary, so every row has a gradient in every step, and "not in
    the batch" would never be true. Called on the table that goes into that
    product, this drops the gradient of the rows of tokens that are neither in
    the input nor labels: a row is updated by the batches that have its token.

    Args:
        table: float [V, D], a variable or a tensor.
        *ids: int tensors of any shape: token ids of the input and of the
            labels.

    Returns:
        float [V, D], the same numbers.
    """
    table = tf.convert_to_tensor(table)
    rows, _ = tf.unique(tf.concat([tf.reshape(some, [-1]) for some in ids], 0))
    return tf.tensor_scatter_nd_update(
        tf.stop_gradient(table), rows[:, tf.newaxis], tf.gather(table, rows)
    )


def require_slices(gradient: Gradient, path: str) -> tf.IndexedSlices:
    """Returns the gradient if it comes as slices, one or more a row.

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


def summed_over_replicas(
    gradients: Sequence[Gradient | None],
) -> list[Gradient | None]:
    """Returns the gradients of the whole batch, on every device the same.

    Slices are put side by side and not merged, so that the norm they are
    clipped by is the one that a single device would find.

    Args:
        gradients: of this device's shard of the batch; tensors, slices, None.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return list(gradients)
    there = [gradient for gradient in gradients if gradient is not None]
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if one is None else next(summed) for one in gradients]


# The fused update is compiled here: TensorFlow's own operation for Adam
# computes 1 − β₂ in float32, which is off by 5e-5. For fewer elements than
# these, the call costs more than the fusion saves.
_MIN_ELEMENTS = 1 << 14


def can_fuse(*variables: Variable) -> bool:
    """Returns whether `fused_update` pays and takes these variables."""
    return not tf.distribute.has_strategy() and all(
        variable.dtype == "float32"
        and variable.shape.num_elements() >= _MIN_ELEMENTS
        for variable in map(_inner, variables)
    )


def fused_update(
    weight: Variable,
    m: Variable,
    v: Variable,
    gradient: tf.Tensor,
    learning_rate: tf.Tensor,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float,
) -> None:
    """Moves a weight and its slots as `AdamWeightDecay` says.

    Args:
        weight: a variable, as the next two, Keras' or TensorFlow's.
        m: the slot of the mean.
        v: the slot of the mean square.
        gradient: of the whole weight.
        learning_rate: float32 scalar.
        beta_1: β₁.
        beta_2: β₂.
        epsilon: ε.
        decay: λ, 0 for none.
    """
    _compiled(
        *map(_inner, (weight, m, v)),
        gradient,
        learning_rate,
        beta_1,
        beta_2,
        epsilon,
        decay,
    )


@tf.function(jit_compile=True, autograph=False)
def _compiled(
    weight: tf.Variable,
    m: tf.Variable,
    v: tf.Variable,
    gradient: tf.Tensor,
    learning_rate: tf.Tensor,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float,
) -> None:
    next_m = beta_1 * m + (1.0 - beta_1) * gradient
    next_v = beta_2 * v + (1.0 - beta_2) * tf.square(gradient)
    step = next_m / (tf.sqrt(next_v) + epsilon)
    if decay:
        step += decay * weight
    m.assign(next_m)
    v.assign(next_v)
    weight.assign_sub(learning_rate * step)


def _inner(variable: Variable) -> tf.Variable:
    return variable.value if isinstance(variable, keras.Variable) else variable
