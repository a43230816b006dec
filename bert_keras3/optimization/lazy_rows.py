"""Lazy updates: rows of a table that a batch does not touch stay as they are.

With plain Adam, momentum goes on moving the vector of a rare word for many
steps after its only occurrence, and weight decay pulls at it in every step.
The updates themselves are the optimisers' matter; here is told which rows a
gradient is of.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# The table that `--lazy_embeddings` is about.
WORD_TABLE = ("word_embeddings$",)


def only_rows(table: Any, *ids: Any) -> tf.Tensor:
    """Returns a table whose gradient comes in the rows of a batch alone.

    A gathered table needs none of this. Where the table is also the output
    layer of masked words, every word of the vocabulary is an answer that the
    loss pushes away, so every row has a gradient in every step, and "not in
    the batch" would never be true. Called on the table that goes into that
    product, this drops the gradient of the rows that are neither read nor
    asked for: a word is moved, to or from, by the batches that have it.

    Args:
        table: float [V, D], a variable or a tensor.
        *ids: int tensors of any shape: the words of the input, the words
            asked for.

    Returns:
        float [V, D], the same numbers.
    """
    table = tf.convert_to_tensor(table)
    rows, _ = tf.unique(tf.concat([tf.reshape(some, [-1]) for some in ids], 0))
    return tf.tensor_scatter_nd_update(
        tf.stop_gradient(table), rows[:, tf.newaxis], tf.gather(table, rows)
    )


def require_slices(gradient: Any, path: str) -> tf.IndexedSlices:
    """Returns the gradient if it tells which rows it is of.

    Raises:
        ValueError: it is dense, so every row would be moved in silence.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        raise ValueError(
            f"{path} is to be updated lazily, but its gradient does not come "
            "in slices: gather from it, and hand it to a product through "
            "`optimization.only_rows`"
        )
    return gradient
