"""Losses and figures against the original's, and by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_keras3 import checkpointing
from bert_keras3.inputs import records
from bert_keras3.pretraining.evaluation import example_figures, metrics
from bert_keras3.pretraining.objective import (
    PREDICTIONS_PER_EXAMPLE,
    heads_for,
    loss,
    new_model,
    plain_loss,
)
from modeling import BertConfig
from modeling.losses import NO_PREDICTIONS


def features_of(case: str, arrays):
    ids = arrays[f"{case}/input_ids"]
    # What the original takes where it is called without them, as once here.
    features = {
        "input_ids": ids,
        "input_mask": np.ones_like(ids),
        "segment_ids": np.zeros_like(ids),
    }
    for key in (
        *("input_mask", "segment_ids", "masked_lm_positions"),
        *("masked_lm_ids", "masked_lm_weights", "next_sentence_labels"),
    ):
        if f"{case}/{key}" in arrays:
            features[key] = arrays[f"{case}/{key}"]
    return features


@pytest.fixture(scope="module")
def small_bert(reference):
    """A small model of the original's, and what the original computed."""
    folder = reference / "small_bert"
    config = BertConfig.from_json_file(folder / "bert_config.json")
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = new_model(config)
    checkpointing.load(model, folder / "bert_model.ckpt")
    with np.load(folder / "forward_gelu.npz") as arrays:
        return model, {name: arrays[name] for name in arrays.files}


def as_the_original(model, features):
    """Computes padding, too."""
    model.unpad = False
    try:
        return model(features)
    finally:
        model.unpad = True


CASES = ("s1_pad0", "s7_rand", "s33_none", "s128_pad0")


@pytest.mark.parametrize("case", CASES)
def test_the_losses_are_the_originals(small_bert, case):
    model, arrays = small_bert
    features = features_of(case, arrays)
    np.testing.assert_allclose(
        loss(model, features, False), arrays[f"{case}/total_loss"], rtol=2e-6
    )


@pytest.mark.parametrize("case", CASES)
def test_the_metrics_follow_from_the_originals_log_probabilities(
    small_bert, case
):
    model, arrays = small_bert
    features = features_of(case, arrays)
    figures = np.asarray(example_figures(model, features)["figures"])
    found = metrics(figures, len(figures), "nsp")

    weights = features["masked_lm_weights"].reshape(-1)
    guesses = arrays[f"{case}/masked_lm_log_probs"].argmax(-1)
    right = guesses == features["masked_lm_ids"].reshape(-1)
    judged = arrays[f"{case}/next_sentence_log_probs"].argmax(-1)
    labels = features["next_sentence_labels"][:, 0]
    expected = {
        "loss": arrays[f"{case}/total_loss"],
        "masked_lm_accuracy": (weights * right).sum() / weights.sum(),
        "masked_lm_loss": np.average(
            arrays[f"{case}/masked_lm_example_loss"], weights=weights
        ),
        "next_sentence_accuracy": (judged == labels).mean(),
        "next_sentence_loss": arrays[f"{case}/next_sentence_loss"],
    }
    assert list(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=5e-6, err_msg=name)


@pytest.mark.parametrize("case", ["s7_rand", "s33_none", "s512_rand"])
def test_the_lean_path_answers_as_the_plain_one(small_bert, case):
    """And learns the same: gradients, too, with padding and with holes."""
    model, arrays = small_bert
    features = features_of(case, arrays)
    # Some places are not used.
    features["masked_lm_weights"] = features["masked_lm_weights"].copy()
    features["masked_lm_weights"][0, 2:] = 0
    lean, plain = model(features), as_the_original(model, features)
    assert set(lean) == set(plain)
    for name, logits in lean.items():
        np.testing.assert_allclose(logits, plain[name], atol=2e-5)
    losses, gradients = [], []
    for function in (loss, plain_loss):
        with tf.GradientTape() as tape:
            losses.append(function(model, features, True))
        found = tape.gradient(losses[-1], model.trainable_variables)
        gradients.append([tf.convert_to_tensor(one) for one in found])
    np.testing.assert_allclose(*losses, rtol=1e-6)
    for weight, one, other in zip(
        model.trainable_variables, *gradients, strict=True
    ):
        np.testing.assert_allclose(one, other, atol=2e-6, err_msg=weight.path)


def test_metrics_by_hand():
    """Two batches of two, with 2 and 1, then 1 masked words and an empty row.

    The masked words weigh the same wherever they are; `loss` is the mean of
    the two batches.
    """
    figures = np.array(
        [
            [2, 1, 3.0, 1, 0.5],
            [1, 1, 0.0, 0, 1.5],
            [1, 0, 8.0, 1, 1.0],
            [0, 0, 0.0, 1, 1.0],
        ],
        np.float32,
    )
    found = metrics(figures, 2, "sop")
    assert found == {
        "loss": pytest.approx(((3 / 3 + 1) + (8 + 1)) / 2, rel=1e-4),
        "masked_lm_accuracy": 2 / 4,
        "masked_lm_loss": 11 / 4,
        "sentence_order_accuracy": 3 / 4,
        "sentence_order_loss": 1.0,
    }
    assert set(metrics(figures, 2, "none")) == {
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
    }


@pytest.fixture
def batch(config):
    """Six records with 1 to 4 masked words."""
    rng = np.random.default_rng(0)
    columns = {
        key: np.ones((6, column.length), np.int32)
        for key, column in records.masked_columns(8, 4).items()
    }
    columns["input_ids"] = rng.integers(5, 20, (6, 8)).astype(np.int32)
    columns["segment_ids"] = rng.integers(0, 2, (6, 8)).astype(np.int32)
    columns["masked_lm_positions"] = rng.integers(0, 8, (6, 4)).astype(np.int32)
    columns["masked_lm_ids"] = rng.integers(5, 20, (6, 4)).astype(np.int32)
    columns["masked_lm_weights"] = (
        np.arange(4)[None] <= np.array([0, 3, 1, 2, 0, 3])[:, None]
    ).astype(np.float32)
    columns["next_sentence_labels"] = rng.integers(0, 2, (6, 1)).astype(
        np.int32
    )
    return columns


def test_parts_of_a_batch_add_up_to_its_loss(config, batch):
    """Though they have unequal numbers of masked words."""
    keras.utils.set_random_seed(0)
    model = new_model(config)
    whole = float(loss(model, batch, False))
    words = batch["masked_lm_weights"].sum() + NO_PREDICTIONS
    batch[PREDICTIONS_PER_EXAMPLE] = np.full(6, words / 6, np.float32)
    parts = [
        len(rows)
        / 6
        * float(loss(model, {key: a[rows] for key, a in batch.items()}, False))
        for rows in (np.arange(1), np.arange(1, 6))
    ]
    assert sum(parts) == pytest.approx(whole, rel=1e-6)
    assert float(loss(model, batch, False)) == pytest.approx(whole, rel=1e-6)


def test_without_a_question_about_pairs_the_pooler_stays_as_it_is(
    config, batch
):
    model = new_model(config, heads_for("none"))
    paths = [weight.path for weight in model.weights]
    assert "bert/pooler/dense/kernel" in paths
    assert not any("seq_relationship" in path for path in paths)
    trained = [weight.path for weight in model.trainable_weights]
    assert not any("pooler" in path for path in trained)
    assert set(model(batch)) == {"masked_lm_logits"}


@pytest.mark.parametrize("objective", ["nsp", "none"])
def test_a_saved_model_is_the_same_again(tmp_path, config, batch, objective):
    model = new_model(config, heads_for(objective))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert float(loss(again, batch, False)) == pytest.approx(
        float(loss(model, batch, False)), rel=1e-6
    )
