"""The update in one pass over memory equals the one that is written out."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.optimization import AdamWeightDecay, updates

SHAPE = (200, 100)


def gradients():
    """Dense, then as slices with a row that occurs twice."""
    rng = np.random.default_rng(1)
    for _ in range(3):
        yield tf.constant(rng.normal(size=SHAPE), tf.float32)
    yield tf.IndexedSlices(
        tf.constant(rng.normal(size=(3, SHAPE[1])), tf.float32),
        tf.constant([7, 2, 7]),
        tf.constant(SHAPE),
    )


@pytest.mark.parametrize("name", ["kernel", "bias"])
def test_it_equals_the_plain_update(monkeypatch, name):
    start = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)

    def trained():
        weight = keras.Variable(start, name=name)
        optimizer = AdamWeightDecay(0.01)
        optimizer.build([weight])
        for gradient in gradients():
            optimizer.apply([gradient], [weight])
        return [np.asarray(v) for v in (weight, *optimizer.variables[2:])]

    assert updates.can_fuse(tf.Variable(start))
    fast = trained()
    monkeypatch.setattr(updates, "can_fuse", lambda *variables: False)
    for one, other in zip(fast, trained(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_it_is_not_for_small_weights_nor_for_other_numbers():
    assert not updates.can_fuse(tf.Variable(np.zeros(100, np.float32)))
    assert not updates.can_fuse(tf.Variable(np.zeros(SHAPE, np.float16)))
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert not updates.can_fuse(tf.Variable(np.zeros(SHAPE, np.float32)))
