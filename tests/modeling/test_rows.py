"""The path without padding against the plain one: equal, gradients too."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from modeling import BertConfig, BertModel
from modeling.rows import AllRows, RealRows

MASK = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]], np.int32)


def test_real_rows_are_the_unmasked_the_first_and_those_of_empty_sequences():
    positions = np.arange(12, dtype=np.float32)[:, None]
    rows = RealRows(MASK)
    matrix = rows.from_batch(positions)
    np.testing.assert_array_equal(matrix[:, 0], [0, 1, 4, 5, 7, 8, 9, 10, 11])
    np.testing.assert_array_equal(
        rows.to_batch(matrix)[:, 0], [0, 1, 0, 0, 4, 5, 0, 7, 8, 9, 10, 11]
    )
    np.testing.assert_array_equal(rows.first_tokens(matrix)[:, 0], [0, 4, 8])
    everything = AllRows(3, 4)
    np.testing.assert_array_equal(
        everything.first_tokens(positions)[:, 0], [0, 4, 8]
    )


@pytest.fixture
def model() -> BertModel:
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
        type_vocab_size=2,
        initializer_range=0.1,
    )
    return BertModel(config.without_dropout())


@pytest.fixture
def inputs():
    """Sequences with padding, with holes, without a first token, empty."""
    rng = np.random.default_rng(0)
    mask = (rng.random((6, 12)) < 0.7).astype(np.int32)
    mask[0] = 1
    mask[1, 5:] = 0
    mask[2, 0] = 0
    mask[3] = 0
    return {
        "input_ids": rng.integers(0, 50, (6, 12)).astype(np.int32),
        "input_mask": mask,
        "segment_ids": rng.integers(0, 2, (6, 12)).astype(np.int32),
    }


def test_pooled_output_equals_that_of_the_plain_path(model, inputs):
    plain = model(inputs)["pooled_output"]
    fast = model.pooled_output(inputs)
    some_token = inputs["input_mask"].any(1)
    np.testing.assert_allclose(fast[some_token], plain[some_token], atol=1e-6)
    # Scores near -10000 are rounded to 1e-3 in float32.
    np.testing.assert_allclose(fast, plain, atol=1e-2)


def test_without_a_mask_too(model, inputs):
    ids = inputs["input_ids"]
    np.testing.assert_allclose(
        model.pooled_output(ids), model(ids)["pooled_output"], atol=1e-6
    )


def test_gradients_equal_those_of_the_plain_path(model, inputs):
    inputs["input_mask"][3, 0] = 1

    def gradients(pooled):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(3.0 * pooled(inputs)))
        return [
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(loss, model.trainable_variables)
        ]

    plain = gradients(lambda x: model(x, training=True)["pooled_output"])
    fast = gradients(lambda x: model.pooled_output(x, training=True))
    for one, other, weight in zip(
        plain, fast, model.trainable_variables, strict=True
    ):
        scale = max(1.0, float(np.abs(one).max()))
        np.testing.assert_allclose(
            np.asarray(other) / scale,
            np.asarray(one) / scale,
            atol=1e-5,
            err_msg=weight.path,
        )
