"""Activations whose gradient is computed from their input anew."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from modeling import activations

PAIRS = [
    (activations.gelu, activations.plain_gelu),
    (activations.gelu_erf, activations.plain_gelu_erf),
]


def with_gradient(function, x, upstream):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y, tape.gradient(y, x, upstream)


@pytest.mark.parametrize(("fast", "plain"), PAIRS)
def test_the_gradient_is_that_of_the_steps(fast, plain):
    x = np.linspace(-12, 12, 4001, dtype=np.float32)
    upstream = np.cos(x)
    y, gradient = with_gradient(fast, x, upstream)
    expected, expected_gradient = with_gradient(plain, x, upstream)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(gradient, expected_gradient, atol=2e-6)


@pytest.mark.parametrize(("fast", "plain"), PAIRS)
def test_symbolic_tensors_are_taken(fast, plain):
    given = keras.Input((3,))
    model = keras.Model(given, fast(given))
    x = np.float32([[-1, 0, 2]])
    np.testing.assert_array_equal(model(x), plain(x))


@pytest.mark.parametrize("value", [-200.0, -0.5, 0.0, 30.0, 200.0])
@pytest.mark.parametrize(("fast", "plain"), PAIRS)
def test_far_values_stay_finite_in_16_bits(fast, plain, value):
    y, gradient = with_gradient(fast, np.float16([value]), np.float16([1]))
    assert y == plain(np.float16([value]))
    assert np.isfinite(gradient)
