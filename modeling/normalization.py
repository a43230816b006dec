"""LayerNorm and dropout, which always come together in BERT."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

LAYER_NORM_EPSILON = 1e-12

# Values of a 16-bit random number.
_DRAWS = 1 << 16


class LayerNorm(keras.layers.LayerNormalization):
    """Keras' LayerNorm with a gradient that keeps its input and no more.

    That of Keras' own keeps several tensors of that size, and takes more
    passes over memory.
    """

    def call(self, inputs: Any) -> Any:
        """Float [..., width] → the same shape, computed in float32 or more."""
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        # Read here: a function with its own gradient may not read weights.
        gamma, beta = (
            ops.reshape(weight, (-1,)) for weight in (self.gamma, self.beta)
        )

        @ops.custom_gradient
        def normalize(x: Any, gamma: Any, beta: Any) -> Any:
            def gradient(*upstream: Any) -> tuple[Any, Any, Any]:
                return _gradients(x, gamma, self.epsilon, upstream[-1])

            output = ops.layer_normalization(
                x, gamma, beta, axis=-1, epsilon=self.epsilon
            )
            return output, gradient

        output = normalize(ops.cast(inputs, dtype), gamma, beta)
        return ops.cast(output, self.compute_dtype)


def _gradients(
    x: Any, gamma: Any, epsilon: float, upstream: Any
) -> tuple[Any, Any, Any]:
    """Returns the gradients of LayerNorm's x [..., width], γ and β [width]."""
    width = gamma.shape[0]
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    inverse = ops.rsqrt(variance + epsilon)
    standard = centred * inverse
    product = upstream * standard
    # Sums as products with a vector: the faster way.
    weights = ops.reshape(gamma * (1.0 / width), (width, 1))
    shift = ops.matmul(upstream, weights)
    slope = ops.matmul(product, weights)
    of_x = (upstream * gamma - (standard * slope + shift)) * inverse
    axes = tuple(range(len(x.shape) - 1))
    return of_x, ops.sum(product, axis=axes), ops.sum(upstream, axis=axes)


def make_layer_norm(name: str | None = None) -> LayerNorm:
    """Returns a LayerNorm over the last axis, epsilon 1e-12.

    Its weights are `gamma` and `beta`, [width] each.
    """
    return LayerNorm(axis=-1, epsilon=LAYER_NORM_EPSILON, name=name)


def layer_norm(input_tensor: Any, name: str | None = None) -> Any:
    """Normalises the last axis with new weights (original: `layer_norm`).

    Args:
        input_tensor: float tensor [..., width].
        name: of the layer that is made.

    Returns:
        A tensor of the same shape.
    """
    return make_layer_norm(name)(input_tensor)


class Dropout(keras.layers.Dropout):
    """Keras' dropout for fewer random bits: 16 for each value.

    The rate is the nearest multiple of 1/65536, and kept values are scaled by
    what it really is, so the mean is exact.

    Attributes:
        compiled: whether XLA compiles the layer. Then it is Keras' own, since
            XLA cannot draw bits for a number of rows that it does not know.
    """

    compiled = False

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Float of any shape → the same shape; drops in training."""
        below = round(self.rate * _DRAWS)
        if (
            not training
            or below in (0, _DRAWS)
            or self.compiled
            or keras.backend.backend() != "tensorflow"
        ):
            return super().call(inputs, training=training)
        # Here, so that other backends can do without it.
        import tensorflow as tf

        inputs = tf.convert_to_tensor(inputs)
        size = tf.size(inputs)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        words = tf.random.stateless_uniform(
            [(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.int32
        )
        draws = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:size]
        is_kept = tf.reshape(draws >= below, tf.shape(inputs))
        scaled = inputs * tf.constant(_DRAWS / (_DRAWS - below), inputs.dtype)
        # Keeps a byte a value for the backward pass; a product keeps four.
        return tf.where(is_kept, scaled, tf.zeros_like(scaled))


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
    return Dropout(dropout_prob)(input_tensor, training=True)


def layer_norm_and_dropout(
    input_tensor: Any, dropout_prob: float | None, name: str | None = None
) -> Any:
    """LayerNorm, then dropout (original: `layer_norm_and_dropout`)."""
    return dropout(layer_norm(input_tensor, name), dropout_prob)
