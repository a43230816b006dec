"""Keras' dense layer, LayerNorm and dropout as BERT has them.

>>> import numpy as np
>>> x = np.array([[1.0, 3.0], [5.0, 5.0]], "float32")  # [R, width] = [2, 2]
>>> print(np.round(make_layer_norm()(x)) + 0.0)
[[-1.  1.]
 [ 0.  0.]]
>>> tuple(make_dense(6, initializer_range=0.02)(x).shape)  # D=6
(2, 6)
>>> bool(np.isin(Dropout(0.5)(x, training=True), [0, 2, 6, 10]).all())
True
"""

from __future__ import annotations

import keras
from keras import ops

from modeling.activations import Activation
from modeling.config import LAYER_NORM_EPSILON
from modeling.shapes import Tensor

# Values of a 16-bit random number.
_DRAWS = 1 << 16


def create_initializer(
    initializer_range: float = 0.02,
) -> keras.initializers.Initializer:
    """Returns a truncated normal (original: `create_initializer`).

    A Keras initializer draws the same numbers each time it is called, so
    every weight needs one of its own.

    Args:
        initializer_range: standard deviation before truncation at two of
            them.
    """
    return keras.initializers.TruncatedNormal(stddev=initializer_range)


def make_dense(
    units: int,
    initializer_range: float,
    activation: Activation | str | None = None,
    name: str = "dense",
) -> keras.layers.Dense:
    """Returns a dense layer, [R, width] → [R, units].

    Its weights are `kernel` [width, units], which starts as a truncated
    normal, and `bias` [units], which starts at 0.

    Args:
        units: width of the output.
        initializer_range: standard deviation that the kernel starts with.
        activation: a function, its name in Keras, or None.
        name: of the layer.
    """
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=create_initializer(initializer_range),
        name=name,
    )


class LayerNorm(keras.layers.LayerNormalization):
    """Keras' LayerNorm with a gradient that keeps its input and no more.

    Keras' own gradient keeps several tensors of that size and reads and
    writes memory more often.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Float [..., width] → the same shape, computed in float32 or more."""
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        # Read here: a function with its own gradient may not read weights.
        gamma, beta = (
            ops.reshape(weight, (-1,)) for weight in (self.gamma, self.beta)
        )

        @ops.custom_gradient
        def normalize(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
            def gradient(*upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                return _gradients(x, gamma, self.epsilon, upstream[-1])

            output = ops.layer_normalization(
                x, gamma, beta, axis=-1, epsilon=self.epsilon
            )
            return output, gradient

        output = normalize(ops.cast(inputs, dtype), gamma, beta)
        return ops.cast(output, self.compute_dtype)


def _gradients(
    x: Tensor, gamma: Tensor, epsilon: float, upstream: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
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


def make_layer_norm(
    name: str | None = None, epsilon: float = LAYER_NORM_EPSILON
) -> LayerNorm:
    """Returns a LayerNorm over the last axis.

    Its weights are `gamma` and `beta`, [width] each.

    Args:
        name: of the layer.
        epsilon: added to the variance.
    """
    return LayerNorm(axis=-1, epsilon=epsilon, name=name)


class Dropout(keras.layers.Dropout):
    """Keras' dropout for fewer random bits: 16 for each value.

    The dropout rate is rounded to a multiple of 1/65536, and kept values are
    scaled for the rounded rate, so the mean is exact.

    Attributes:
        compiled: whether XLA compiles the layer. Then it is Keras' own, since
            XLA cannot draw bits for a number of tokens that it does not know.
    """

    compiled = False

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
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
        # Keeps one byte of each value for the backward pass; a product, four.
        return tf.where(is_kept, scaled, tf.zeros_like(scaled))
