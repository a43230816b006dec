"""The optimizer and its schedule against the original's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.optimization import (
    AdamWeightDecay,
    WarmupPolynomialDecay,
    create_optimizer,
)
from modeling import BertConfig, BertWithHeads
from modeling.losses import (
    classification_loss,
    masked_lm_loss,
    next_sentence_loss,
)


class _Trained:
    """The reference's small model with the head that it was trained with."""

    def __init__(self, folder, reference, pretraining):
        config = BertConfig.from_json_file(folder / "bert_config.json")
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        self.reference = reference
        self.pretraining = pretraining
        if pretraining:
            self.model = BertWithHeads(config, ["masked_lm", "next_sentence"])
        else:
            self.model = BertWithHeads(config, ["labels"], labels="abc")
            head = self.model.classifier
            head.dropout.rate = 0.0
            head.output_weights.assign(reference["initial/output_weights"])
        # As the original computes it.
        self.model.unpad = False
        reader = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
        for weight in self.weights:
            if reader.has_tensor(weight.path):
                weight.assign(reader.get_tensor(weight.path))

    @property
    def weights(self):
        return self.model.trainable_weights

    def loss(self):
        given = self.reference
        names = ["input_ids", "input_mask", "segment_ids"]
        if self.pretraining:
            names.append("masked_lm_positions")
        logits = self.model(
            {name: given[name] for name in names}, training=True
        )
        if not self.pretraining:
            return classification_loss(logits["logits"], given["labels"])
        return masked_lm_loss(
            logits["masked_lm_logits"],
            given["masked_lm_ids"],
            given["masked_lm_weights"],
        ) + next_sentence_loss(
            logits["next_sentence_logits"], given["next_sentence_labels"]
        )


def _read(reference, name):
    with np.load(reference / "small_bert" / name) as arrays:
        return {key: arrays[key] for key in arrays.files}


def assert_near(ours, kept, tolerance):
    """Of matrices with more than three rows, each seventh row was kept."""
    ours = np.asarray(ours)
    if ours.shape != kept.shape:
        ours = ours[::7]
    np.testing.assert_allclose(ours, kept, atol=tolerance)


@pytest.mark.parametrize("name", ["classification", "pretraining"])
def test_twenty_steps_equal_the_originals(reference, name):
    computed = _read(reference, f"twenty_steps_{name}.npz")
    trained = _Trained(
        reference / "small_bert", computed, pretraining=name == "pretraining"
    )
    init_lr, num_steps, num_warmup_steps = computed["hyper"]
    optimizer = create_optimizer(init_lr, int(num_steps), int(num_warmup_steps))
    optimizer.build(trained.weights)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = trained.loss()
        gradients = tape.gradient(loss, trained.weights)
        norm = tf.linalg.global_norm(gradients)
        rate = tf.identity(optimizer.learning_rate)
        optimizer.apply(gradients, trained.weights)
        return loss, rate, norm

    # The reference has one loss more than steps: that after the last one.
    steps = np.array([step() for _ in range(len(computed["loss"]) - 1)])
    after = trained.loss()
    np.testing.assert_allclose(
        [*steps[:, 0], after], computed["loss"], rtol=1e-5
    )
    np.testing.assert_allclose(
        steps[:, 1], computed["lr"][: len(steps)], rtol=1e-6
    )
    np.testing.assert_allclose(
        steps[:, 2], computed["global_norm"][: len(steps)], rtol=1e-5
    )
    for weight in trained.weights:
        assert_near(weight, computed[f"final/{weight.path}"], 5e-6)
    for slot in ("adam_m", "adam_v"):
        path = "bert/embeddings/word_embeddings"
        ours = next(
            variable
            for variable in optimizer.variables
            if variable.path.endswith(f"word_embeddings_{slot}")
        )
        assert_near(ours, computed[f"final/{path}/{slot}"], 2e-6)


def test_a_word_that_occurs_twice_counts_twice_in_the_norm(reference):
    """The reference tells the two norms apart, so the test above can fail."""
    computed = _read(reference, "twenty_steps_classification.npz")
    ratio = computed["global_norm"] / computed["dense_global_norm"]
    assert np.abs(ratio - 1).max() > 1e-4


def test_one_step_by_hand():
    """m = 0.1·g, v = 0.001·g², so the update is 0.1·g/(√0.001·g + ε)."""
    kernel = keras.Variable([2.0], name="kernel")
    bias = keras.Variable([2.0], name="bias")
    optimizer = AdamWeightDecay(0.1, clip_norm=None)
    optimizer.apply([tf.constant([1.0])] * 2, [kernel, bias])
    update = 0.1 / (np.sqrt(0.001) + 1e-6)
    np.testing.assert_allclose(bias, [2 - 0.1 * update], rtol=1e-6)
    np.testing.assert_allclose(
        kernel, [2 - 0.1 * (update + 0.01 * 2)], rtol=1e-6
    )


def test_gradients_are_clipped_together():
    one, other = (keras.Variable([0.0], name="kernel") for _ in range(2))
    clipped, plain = AdamWeightDecay(1.0), AdamWeightDecay(1.0, clip_norm=None)
    clipped.apply([tf.constant([3.0])], [one])
    plain.apply([tf.constant([1.0])], [other])
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "decayed"),
    [
        ("bert/embeddings/word_embeddings", True),
        ("bert/encoder/layer_0/attention/self/query/kernel", True),
        ("bert/encoder/layer_0/attention/self/query/bias", False),
        ("bert/embeddings/LayerNorm/gamma", False),
        ("output_weights", True),
        ("output_bias", False),
    ],
)
def test_which_weights_are_decayed(path, decayed):
    assert AdamWeightDecay().uses_weight_decay(path) is decayed


def test_the_learning_rate_of_each_step():
    """Warm-up over 2 of 10 steps, then the line through all ten."""
    schedule = WarmupPolynomialDecay(1.0, 10, 2)
    rates = [float(schedule(step)) for step in range(12)]
    np.testing.assert_allclose(
        rates,
        [0, 0.5, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0],
        atol=1e-6,
    )
    without = WarmupPolynomialDecay(1.0, 10, 0)
    assert float(without(0)) == 1.0


def test_the_optimizer_survives_its_config():
    optimizer = create_optimizer(1e-3, 10, 2)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, AdamWeightDecay)
    assert again.exclude_from_weight_decay == (
        "LayerNorm",
        "layer_norm",
        "bias",
    )
    assert float(again.learning_rate) == 0.0


def test_three_numbers_reach_their_goal():
    """`optimization_test.py` of the original: 100 steps on mean squares."""
    weights = keras.Variable([0.1, -0.2, -0.1], name="w")
    goal = tf.constant([0.4, 0.2, -0.5])
    optimizer = AdamWeightDecay(learning_rate=0.2)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(goal - weights.value))
        optimizer.apply(tape.gradient(loss, [weights.value]), [weights])
    np.testing.assert_allclose(weights, goal, rtol=1e-2, atol=1e-2)
