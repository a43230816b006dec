"""Encoding without padding against the plain way: equal, gradients too."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from modeling import BertConfig, BertModel, BertWithHeads
from modeling.heads import gather_indexes
from modeling.losses import masked_lm_loss, next_sentence_loss
from modeling.unpadding import PaddedLayout, UnpaddedLayout

MASK = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]], np.int32)
POSITIONS = np.array([[0, 3, 5, 0], [1, 1, 4, 0]] * 3, np.int32)


def test_the_matrix_has_real_first_and_empty_sequences_tokens():
    numbers = np.arange(12, dtype=np.float32)[:, None]
    layout = UnpaddedLayout(MASK)
    matrix = layout.unpad(numbers[:, 0].reshape(3, 4))[:, None]
    np.testing.assert_array_equal(matrix[:, 0], [0, 1, 4, 5, 7, 8, 9, 10, 11])
    np.testing.assert_array_equal(layout.positions, [0, 1, 0, 1, 3, 0, 1, 2, 3])
    np.testing.assert_array_equal(
        layout.pad(matrix)[..., 0],
        [[0, 1, 0, 0], [4, 5, 0, 7], [8, 9, 10, 11]],
    )
    wanted = np.array([[1, 0], [3, 0], [0, 2]])
    for one in (layout, PaddedLayout(3, 4)):
        of_all = matrix if one is layout else numbers
        np.testing.assert_array_equal(
            one.gather(of_all, wanted)[:, 0], [1, 0, 7, 4, 8, 10]
        )


def test_wanted_positions_are_in_the_matrix_whatever_the_mask_says():
    numbers = np.arange(12, dtype=np.float32)[:, None]
    wanted = np.array([[3, 1], [0, 2], [0, 0]], np.int32)
    layout = UnpaddedLayout(MASK, wanted)
    matrix = layout.unpad(numbers[:, 0].reshape(3, 4))[:, None]
    np.testing.assert_array_equal(
        matrix[:, 0], [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    )
    np.testing.assert_array_equal(
        layout.gather(matrix, wanted)[:, 0], [3, 1, 4, 6, 8, 8]
    )


@pytest.fixture
def config() -> BertConfig:
    return BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
        type_vocab_size=2,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@pytest.fixture
def model(config) -> BertModel:
    return BertModel(config)


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


@pytest.mark.parametrize("unpad", [True, False])
def test_pooled_output_equals_that_of_the_plain_path(model, inputs, unpad):
    plain = model(inputs)["pooled_output"]
    fast = model.encode(inputs, unpad=unpad).pooled_output
    some_token = inputs["input_mask"].any(1)
    np.testing.assert_allclose(fast[some_token], plain[some_token], atol=1e-6)
    # Scores near -10000 are rounded to 1e-3 in float32.
    np.testing.assert_allclose(fast, plain, atol=1e-2)


def test_without_a_mask_too(model, inputs):
    ids = inputs["input_ids"]
    plain = model(ids)
    np.testing.assert_allclose(
        model.encode(ids).pooled_output, plain["pooled_output"], atol=1e-6
    )
    np.testing.assert_allclose(
        model.encode(ids, outputs=["tokens"]).sequence_output,
        plain["sequence_output"],
        atol=1e-6,
    )
    np.testing.assert_allclose(
        model.encode(ids, positions=POSITIONS).vectors,
        gather_indexes(plain["sequence_output"], POSITIONS),
        atol=1e-6,
    )


@pytest.mark.parametrize("unpad", [True, False])
@pytest.mark.parametrize("training", [False, True])
def test_vectors_at_positions_equal_those_of_the_plain_path(
    model, inputs, training, unpad
):
    inputs["input_mask"][3, 0] = 1
    plain = model(inputs, training=training)
    fast = model.encode(
        inputs, positions=POSITIONS, training=training, unpad=unpad
    )
    # Positions of padding, too.
    np.testing.assert_allclose(
        fast.vectors,
        gather_indexes(plain["sequence_output"], POSITIONS),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        fast.pooled_output, plain["pooled_output"], atol=1e-6
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("labels", ["labels", "token_labels"])
def test_every_head_gives_the_logits_of_the_plain_path(
    config, inputs, labels, training
):
    inputs["input_mask"][3, 0] = 1
    heads = ("masked_lm", "next_sentence", "span", labels)
    model = BertWithHeads(config, heads, "abc", encoder_outputs=True)
    model.classifier.dropout.rate = 0.0
    plain = model(inputs, training=training)
    model.unpad = True
    fast = model(inputs, training=training)
    assert fast.keys() == plain.keys()
    is_token = inputs["input_mask"].astype(bool)
    for name, expected in plain.items():
        logits, expected = fast[name].numpy(), expected.numpy()
        assert logits.shape == expected.shape, name
        if expected.shape[:2] == is_token.shape:
            # A softmax over all tokens leaves padding out.
            is_span = name.startswith(("start", "end"))
            padding, real = (-10000 if is_span else 0), is_token.copy()
            # The pooler reads the first position of every sequence.
            real[:, 0] |= not is_span
            assert (logits[~real] == padding).all(), name
            logits, expected = logits[real], expected[real]
        np.testing.assert_allclose(logits, expected, atol=1e-6, err_msg=name)


def assert_equal_gradients(variables, plain_loss, fast_loss):
    def gradients(loss_of):
        with tf.GradientTape() as tape:
            loss = loss_of()
        return [
            0.0 if gradient is None else tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(loss, variables)
        ]

    for one, other, weight in zip(
        gradients(plain_loss), gradients(fast_loss), variables, strict=True
    ):
        scale = max(1.0, float(np.abs(one).max()))
        np.testing.assert_allclose(
            np.asarray(other) / scale,
            np.asarray(one) / scale,
            atol=1e-5,
            err_msg=weight.path,
        )


@pytest.mark.parametrize(
    "sharing", [{}, {"num_hidden_groups": 2, "embedding_size": 24}]
)
def test_gradients_equal_those_of_the_plain_path(config, inputs, sharing):
    """ALBERT's too, whose layers are run more than once."""
    model = BertModel(BertConfig.from_dict({**config.to_dict(), **sharing}))
    inputs["input_mask"][3, 0] = 1

    def loss(pooled_output):
        return tf.reduce_sum(tf.sin(3.0 * pooled_output))

    assert_equal_gradients(
        model.trainable_variables,
        lambda: loss(model(inputs, training=True)["pooled_output"]),
        lambda: loss(model.encode(inputs, training=True).pooled_output),
    )


def test_gradients_of_pretraining_equal_those_of_the_plain_path(config, inputs):
    inputs["input_mask"][3, 0] = 1
    model = BertWithHeads(config, ["masked_lm", "next_sentence"])
    inputs["masked_lm_positions"] = POSITIONS
    ids = np.arange(24).reshape(6, 4)
    weights = np.array([[1, 1, 1, 0]] * 6, np.float32)

    def loss(unpad):
        model.unpad = unpad
        logits = model(inputs, training=True)
        return masked_lm_loss(
            logits["masked_lm_logits"], ids, weights
        ) + next_sentence_loss(
            logits["next_sentence_logits"], np.array([0, 1, 0, 1, 1, 0])
        )

    assert_equal_gradients(
        model.trainable_variables, lambda: loss(False), lambda: loss(True)
    )


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("span", "end_logits"),
        ("token_labels", "logits"),
        ("masked_lm", "masked_lm_logits"),
    ],
)
def test_gradients_of_heads_for_every_token_equal_those_of_the_plain_path(
    config, inputs, head, name
):
    inputs["input_mask"][3, 0] = 1
    model = BertWithHeads(config, [head], "abc")
    if model.classifier is not None:
        model.classifier.dropout.rate = 0.0

    def loss(unpad):
        model.unpad = unpad
        outputs = model(inputs, training=True)
        of_real = tf.boolean_mask(outputs[name], inputs["input_mask"])
        return tf.reduce_sum(tf.sin(3.0 * of_real))

    assert_equal_gradients(
        model.trainable_variables, lambda: loss(False), lambda: loss(True)
    )


@pytest.mark.parametrize("unpad", [True, False])
def test_layers_and_attention_maps_are_those_of_the_plain_path(
    config, inputs, unpad
):
    model = BertModel(config)
    inputs["input_mask"][3, 0] = 1
    plain = model(inputs)
    encoded = model.encode(inputs, outputs=["layers", "attention"], unpad=unpad)
    real = inputs["input_mask"].astype(bool)
    real[:, 0] = True
    assert len(encoded.layers) == len(encoded.attention) == 3
    for layer, expected in zip(
        encoded.layers, plain["all_encoder_layers"], strict=True
    ):
        np.testing.assert_allclose(
            encoded.layout.pad(layer)[real], expected[real], atol=1e-6
        )
    first = model.encoder.transformer_layers[0].attention.self_attention
    hidden = plain["embedding_output"]
    # [B, S, N·H] -> [B, N, S, H]
    query, key = (
        tf.transpose(tf.reshape(dense(hidden), (6, 12, 4, 8)), (0, 2, 1, 3))
        for dense in (first.query, first.key)
    )
    scores = tf.matmul(query, key, transpose_b=True) / np.sqrt(8.0)
    scores -= 10000.0 * (1 - inputs["input_mask"][:, None, None, :])
    expected = tf.nn.softmax(scores).numpy()
    maps = encoded.attention[0].numpy()
    for batch, head in np.ndindex(6, 4):
        np.testing.assert_allclose(
            maps[batch, head][real[batch]],
            expected[batch, head][real[batch]],
            atol=1e-6,
        )
    if unpad:
        assert not maps.transpose(0, 2, 1, 3)[~real].any()


def test_nothing_is_recorded_unless_attention_is_wanted(model, inputs):
    assert model.encode(inputs, outputs=["tokens"]).attention is None
    assert model.encode(inputs).tokens is None
    assert model.encode(inputs, outputs=["tokens"]).layers is None


def test_an_unknown_output_is_refused(model, inputs):
    with pytest.raises(ValueError, match="no output 'token'; it has tokens"):
        model.encode(inputs, outputs=["token"])


@pytest.mark.slow
def test_dropout_has_the_same_statistics_as_on_the_plain_path(config, inputs):
    """Means and spreads over 300 draws, to five standard errors."""
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.2
    model = BertModel(config)
    inputs = {name: array[:2] for name, array in inputs.items()}
    plain = tf.function(lambda: model(inputs, training=True)["pooled_output"])
    fast = tf.function(
        lambda: model.encode(inputs, training=True).pooled_output
    )
    number = 300
    one = np.array([plain() for _ in range(number)])
    other = np.array([fast() for _ in range(number)])
    spread = one.std(0)
    assert (spread > 0.01).all()
    error = np.sqrt(2 / number)
    assert (np.abs(one.mean(0) - other.mean(0)) < 5 * error * spread).all()
    np.testing.assert_allclose(other.std(0) / spread, 1.0, atol=0.35)
