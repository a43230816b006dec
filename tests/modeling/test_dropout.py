"""Dropout with 16 random bits for each value."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from modeling.keras_layers import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_it_drops_at_its_dropout_rate_and_keeps_the_mean(rate):
    dropped = Dropout(rate, seed=3)(
        np.ones((999, 301), np.float32), training=True
    ).numpy()
    number = 999 * 301
    error = np.sqrt(rate * (1 - rate) / number)
    is_zero = dropped == 0
    assert abs(is_zero.mean() - rate) < 5 * error + 1 / 65536
    assert abs(dropped.mean() - 1) < 5 * error / (1 - rate)
    # Neighbours, whose bits come from one draw, are independent.
    flat = is_zero.reshape(-1)
    both = (flat[:-1] & flat[1:]).mean()
    assert abs(both - rate**2) < 5 * np.sqrt(rate**2 / number) + 1e-4
    np.testing.assert_allclose(dropped[~is_zero], 1 / (1 - rate), rtol=1e-4)


def test_every_call_drops_others_and_equal_seeds_drop_the_same():
    x = np.ones((7, 11), np.float32)
    one, other = Dropout(0.5, seed=1), Dropout(0.5, seed=1)
    first = one(x, training=True)
    np.testing.assert_array_equal(first, other(x, training=True))
    assert not np.array_equal(first, one(x, training=True))


def test_layers_drop_independently_of_each_other():
    keras.utils.set_random_seed(1)
    x = np.ones((400, 384), np.float32)
    masks = [np.ravel(Dropout(0.1)(x, training=True)) == 0 for _ in range(6)]
    correlations = np.corrcoef(masks)[np.triu_indices(6, 1)]
    assert abs(correlations).max() < 5 / np.sqrt(x.size)


def test_it_does_nothing_outside_of_training_or_at_dropout_rate_0():
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(Dropout(0.5)(x), x)
    np.testing.assert_array_equal(Dropout(0.0)(x, training=True), x)


def test_gradients_pass_where_values_do():
    x = tf.ones((50, 3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Dropout(0.3)(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x), y)
