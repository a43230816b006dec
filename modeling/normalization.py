"""LayerNorm and dropout, which always come together in BERT."""

from __future__ import annotations

from typing import Any

import keras

LAYER_NORM_EPSILON = 1e-12


def make_layer_norm(name: str | None = None) -> keras.layers.Layer:
    """Returns a LayerNorm over the last axis, epsilon 1e-12.

    Its weights are `gamma` and `beta`, [width] each.
    """
    return keras.layers.LayerNormalization(
        axis=-1, epsilon=LAYER_NORM_EPSILON, name=name
    )


def layer_norm(input_tensor: Any, name: str | None = None) -> Any:
    """Normalises the last axis with new weights (original: `layer_norm`).

    Args:
        input_tensor: float tensor [..., width].
        name: of the layer that is made.

    Returns:
        A tensor of the same shape.
    """
    return make_layer_norm(name)(input_tensor)


def dropout(input_tensor: Any, dropout_prob: float | None) -> Any:
    """Drops values, always (original: `dropout`).

    There is no training flag: a rate of 0 or None is what turns it off.

    Args:
        input_tensor: float tensor of any shape.
        dropout_prob: the probability of dropping a value, not of keeping it.

    Returns:
        A tensor of the same shape; kept values are scaled by
        1 / (1 − dropout_prob).
    """
    if not dropout_prob:
        return input_tensor
    return keras.layers.Dropout(dropout_prob)(input_tensor, training=True)


def layer_norm_and_dropout(
    input_tensor: Any, dropout_prob: float | None, name: str | None = None
) -> Any:
    """LayerNorm, then dropout (original: `layer_norm_and_dropout`)."""
    return dropout(layer_norm(input_tensor, name), dropout_prob)
