"""The decoder beside a step-by-step implementation in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from modeling import BertConfig
from modeling.attention import recorded_attention
from modeling.decoder import (
    LEARNED,
    POSITIONS,
    EncoderDecoder,
    causal_mask,
)
from modeling.embeddings import sinusoidal_positions
from modeling.losses import label_smoothing_loss, log_likelihood_loss

SIZES = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "hidden_act": "relu",
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "initializer_range": 0.3,
}
# Three sources of 6, 2 and 4 tokens, targets of 3, 5 and 1.
LENGTHS, TARGET_LENGTHS = [6, 2, 4], [3, 5, 1]


def masked(lengths):
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(
        np.int32
    )
    return np.random.default_rng(3).integers(4, 30, mask.shape) * mask, mask


def inputs():
    (ids, mask), (target_ids, target_mask) = map(
        masked, (LENGTHS, TARGET_LENGTHS)
    )
    return {
        "input_ids": ids.astype(np.int32),
        "input_mask": mask,
        "target_ids": target_ids.astype(np.int32),
        "target_mask": target_mask,
    }


def perturbed(model):
    """Gives every weight random values: a forgotten one would show."""
    draw = np.random.default_rng(5)
    for weight in model.trainable_weights:
        centre = 1 if weight.path.endswith("gamma") else 0
        weight.assign(draw.normal(centre, 0.3, weight.shape))
    return model


@pytest.fixture(params=POSITIONS)
def model(request):
    return perturbed(
        EncoderDecoder(
            BertConfig(30, **SIZES), BertConfig(30, **SIZES), request.param
        )
    )


class Reference:
    """The paper's decoder for one target, token by token, in float64."""

    def __init__(self, model, memory):
        self.weights = {
            one.path: np.asarray(one, np.float64)
            for one in model.trainable_weights
        }
        self.memory = memory  # [S, D] of the source's real tokens
        self.table = self.weights["bert/embeddings/word_embeddings"]
        self.positions = self.weights.get(
            "decoder/embeddings/position_embeddings"
        )

    def dense(self, scope, x):
        return (
            x @ self.weights[f"{scope}/kernel"] + self.weights[f"{scope}/bias"]
        )

    def norm(self, scope, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return (
            x * self.weights[f"{scope}/LayerNorm/gamma"]
            + self.weights[f"{scope}/LayerNorm/beta"]
        )

    def attention(self, scope, x, others):
        """One vector [D] to vectors [T, D], with its residual."""
        context = []
        query, keys, values = (
            self.dense(f"{scope}/self/{name}", of)
            for name, of in (("query", x), ("key", others), ("value", others))
        )
        for head in range(3):
            part = slice(4 * head, 4 * head + 4)
            scores = keys[:, part] @ query[part] / math.sqrt(4)
            weights = np.exp(scores - scores.max())
            context.append(weights / weights.sum() @ values[:, part])
        output = self.dense(f"{scope}/output/dense", np.concatenate(context))
        return self.norm(f"{scope}/output", output + x)

    def logits(self, ids):
        """[T] → [T, V]; token i is computed from tokens 0 to i alone."""
        rows = []
        below = [[], []]  # inputs of each layer, of the tokens so far
        for place, one in enumerate(ids):
            if self.positions is None:
                angle = [
                    place / 10000 ** (column // 2 * 2 / 12)
                    for column in range(12)
                ]
                position = np.where(
                    np.arange(12) % 2, np.cos(angle), np.sin(angle)
                )
                x = self.table[one] * math.sqrt(12) + position
            else:
                x = self.table[one] + self.positions[place]
            x = self.norm("decoder/embeddings", x)
            for number, seen in enumerate(below):
                scope = f"decoder/layer_{number}"
                seen.append(x)
                x = self.attention(f"{scope}/attention", x, np.array(seen))
                x = self.attention(f"{scope}/crossattention", x, self.memory)
                inner = np.maximum(
                    self.dense(f"{scope}/intermediate/dense", x), 0
                )
                x = self.norm(
                    f"{scope}/output",
                    self.dense(f"{scope}/output/dense", inner) + x,
                )
            rows.append(self.table @ x + self.weights["decoder/output_bias"])
        return np.array(rows)


def test_the_logits_are_those_of_a_step_by_step_computation(model):
    batch = inputs()
    logits = np.asarray(model(batch))
    memories = np.asarray(
        model.bert({k: batch[k] for k in ("input_ids", "input_mask")})[
            "sequence_output"
        ]
    )
    for row, (length, target) in enumerate(
        zip(LENGTHS, TARGET_LENGTHS, strict=True)
    ):
        reference = Reference(model, memories[row, :length])
        expected = reference.logits(batch["target_ids"][row, :target])
        # Logits reach 20: eight digits after the point are float32's last.
        np.testing.assert_allclose(
            logits[row, :target], expected, rtol=1e-5, atol=1e-5
        )
        assert not logits[row, target:].any()


def test_a_continued_target_is_that_computed_at_once(model):
    batch = inputs()
    whole = np.asarray(model(batch))
    source = model.read(batch)
    past = model.decoder.no_past(3)
    for place in range(5):
        ids = batch["target_ids"][:, None, place : place + 1]
        logits, past = model.continued(ids, source, past, place)
        rows = batch["target_mask"][:, place] == 1
        np.testing.assert_allclose(
            np.asarray(logits)[rows, 0, 0],
            whole[rows, place],
            rtol=1e-5,
            atol=1e-5,
        )


def test_beams_read_one_source_together(model):
    batch = inputs()
    source = model.read(batch)
    ids = np.random.default_rng(8).integers(4, 30, (3, 2, 4))
    together, _ = model.continued(ids, source, None, 0)
    for beam in range(2):
        alone, _ = model.continued(ids[:, beam : beam + 1], source, None, 0)
        np.testing.assert_allclose(
            together[:, beam], alone[:, 0], rtol=1e-5, atol=1e-5
        )


def test_which_tokens_each_one_may_attend_to():
    np.testing.assert_array_equal(
        causal_mask(3, 3)[0], [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    )
    # The last two of three.
    np.testing.assert_array_equal(causal_mask(2, 3)[0], [[1, 1, 0], [1, 1, 1]])


def test_attention_goes_to_earlier_targets_and_real_source_tokens(model):
    with recorded_attention() as maps:
        model(inputs())
    # Of each decoder layer, to the target itself and to the source.
    shapes = [tuple(one.shape) for one in maps]
    assert shapes == [(3, 3, 5, 5), (3, 3, 5, 6)] * 2
    to_itself, to_source = (np.asarray(one) for one in maps[:2])
    assert not np.triu(to_itself[1], 1).any()  # the target of five tokens
    assert not to_source[1, :, :, 2:].any()  # of the source of two
    np.testing.assert_allclose(to_source[1].sum(-1), 1, rtol=1e-6)


def test_each_target_vocabulary_has_its_table():
    sizes = {**SIZES, "hidden_size": 8, "num_attention_heads": 2}
    one = EncoderDecoder(
        BertConfig(30, **SIZES),
        BertConfig(9, **sizes),
        LEARNED,
        shared_embeddings=False,
    )
    paths = {weight.path for weight in one.weights}
    assert "decoder/embeddings/word_embeddings" in paths
    batch = inputs()
    batch["target_ids"] %= 9
    assert tuple(one(batch).shape) == (3, 5, 9)
    with pytest.raises(UserError, match=r"vocab_size.*30.*9"):
        EncoderDecoder(BertConfig(30, **SIZES), BertConfig(9, **SIZES))
    with pytest.raises(UserError, match="relative"):
        EncoderDecoder(
            BertConfig(30, **SIZES), BertConfig(30, **SIZES), "relative"
        )


def test_sinusoids_by_hand():
    # Wavelengths of 2π and of 100·2π for four columns.
    np.testing.assert_allclose(
        sinusoidal_positions(3, 4),
        [
            [0, 1, 0, 1],
            [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)],
            [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)],
        ],
        rtol=1e-6,
    )


def test_smoothed_labels_are_one_hot_labels_mixed_with_all():
    draw = np.random.default_rng(1)
    logits = tf.constant(draw.normal(0, 3, (4, 5)), tf.float32)
    labels = tf.constant([0, 4, 2, 2])
    upstream = tf.constant([1.0, 0.5, -2.0, 0.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        ours = label_smoothing_loss(logits, labels, 0.1)
        mixed = 0.9 * tf.one_hot(labels, 5) + 0.1 / 5
        plain = tf.nn.softmax_cross_entropy_with_logits(mixed, logits)
    np.testing.assert_allclose(ours, plain, rtol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(ours, logits, upstream),
        tape.gradient(plain, logits, upstream),
        atol=1e-7,
    )
    np.testing.assert_allclose(
        label_smoothing_loss(logits, labels, 0.0),
        log_likelihood_loss(logits, labels),
        rtol=1e-6,
    )
