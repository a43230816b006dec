"""LayerNorm beside Keras' own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from modeling.bert_with_heads import BertWithHeads
from modeling.config import LAYER_NORM_EPSILON, BertConfig
from modeling.keras_layers import LayerNorm, make_layer_norm
from modeling.keras_private import flatten_layers


def norms(width):
    """Ours and Keras', with the same weights."""
    draw = np.random.default_rng(1)
    weights = [draw.normal(1, 0.2, width), draw.normal(0, 0.2, width)]
    both = [
        make_layer_norm(),
        keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON),
    ]
    for norm in both:
        norm.build((None, width))
        norm.set_weights(weights)
    return both


def with_gradients(norm, x, upstream):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = norm(x)
    variables = [x, *(weight.value for weight in norm.trainable_weights)]
    return [y, *tape.gradient(y, variables, upstream)]


@pytest.mark.parametrize("shape", [(50, 64), (2, 25, 64)])
def test_it_computes_what_keras_does(shape):
    draw = np.random.default_rng(2)
    # Away from 0, where a variance in float32 loses most.
    x = draw.normal(3.0, 2.0, shape).astype(np.float32)
    upstream = draw.normal(size=shape).astype(np.float32)
    ours, theirs = norms(shape[-1])
    for value, expected in zip(
        with_gradients(ours, x, upstream),
        with_gradients(theirs, x, upstream),
        strict=True,
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=5e-6)


def test_in_16_bits_it_computes_in_32():
    norm = make_layer_norm()
    norm.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    norm.build((None, 64))
    x = np.random.default_rng(3).normal(100.0, 1.0, (5, 64))
    x = tf.cast(x, tf.bfloat16)
    expected = norms(64)[1]
    expected.set_weights(norm.get_weights())
    assert norm(x).dtype == tf.bfloat16
    np.testing.assert_allclose(
        tf.cast(norm(x), tf.float32),
        expected(tf.cast(x, tf.float32)),
        rtol=2**-8,
        atol=1e-6,
    )


@pytest.mark.parametrize("groups", [None, 1])
def test_every_layer_norm_has_the_configurations_epsilon(groups):
    config = BertConfig(
        11, 8, 2, 2, 12, num_hidden_groups=groups, layer_norm_eps=1e-5
    )
    model = BertWithHeads(config, ["masked_lm"])
    found = [
        layer.epsilon
        for layer in flatten_layers(model)
        if isinstance(layer, LayerNorm)
    ]
    # Of the embeddings, two in each layer, of the head.
    assert found == [1e-5] * (1 + 2 * (groups or 2) + 1)
