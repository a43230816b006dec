"""One step: parts of a batch come to the same as the whole."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.optimization import create_optimizer
from bert_keras3.training.step import StepSettings, TrainStep


@pytest.mark.parametrize(
    ("micro_batches", "concurrency"), [(2, 1), (3, 1), (8, 1), (1, 2), (3, 2)]
)
def test_parts_of_a_batch_give_the_update_of_the_whole(
    make, batches, weights_of, micro_batches, concurrency
):
    """One after the other, at the same time, and both.

    Unequal parts too (8 = 3 + 3 + 2), and words that several parts have.

    The gradient is clipped to norm 1, by the norm of the whole batch.
    """
    whole, _, one_step = make()
    parted, _, in_parts = make(
        micro_batches=micro_batches, concurrency=concurrency
    )
    stream = batches(0)
    for _ in range(3):
        batch = next(stream)
        logs, parted_logs = one_step(batch), in_parts(batch)
        assert float(parted_logs["loss"]) == pytest.approx(
            float(logs["loss"]), rel=1e-6
        )
        assert float(parted_logs["learning_rate"]) == float(
            logs["learning_rate"]
        )
    for ours, theirs in zip(weights_of(parted), weights_of(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def loss_of_examples(model, features, training):
    """The squared error of each example's sum of outputs, on average."""
    outputs = model(features, training=training)
    sums = tf.math.segment_sum(outputs, features["example"])
    first = tf.math.segment_min(features["y"], features["example"])
    return tf.reduce_mean(tf.square(sums - first))


@pytest.mark.parametrize(
    ("micro_batches", "concurrency"), [(2, 1), (4, 1), (1, 2), (2, 2)]
)
def test_examples_of_several_rows_count_once_however_parted(
    make, weights_of, micro_batches, concurrency
):
    """Four examples of 3, 1, 2 and 2 rows; each has one target."""
    example = np.array([0, 0, 0, 1, 2, 2, 3, 3], np.int32)
    rng = np.random.default_rng(1)
    batch = {
        "ids": rng.integers(0, 4, (8, 3)).astype(np.int32),
        "y": rng.normal(size=(4, 2)).astype(np.float32)[example],
        "example": example,
    }
    whole, parted = make()[0], make()[0]
    losses = []
    for model, settings in (
        (whole, StepSettings()),
        (parted, StepSettings(micro_batches, concurrency)),
    ):
        optimizer = create_optimizer(0.1, 20, 0)
        step = TrainStep(model, loss_of_examples, optimizer, settings)
        losses.append([float(step(batch)["loss"]) for _ in range(3)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for ours, theirs in zip(weights_of(parted), weights_of(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def loss_without_bias(model, features, training):
    """Depends on the table and the kernel alone."""
    words = tf.reduce_mean(model.table(features["ids"]), axis=1)
    outputs = tf.matmul(words, model.dense.kernel)
    return tf.reduce_mean(tf.square(outputs - features["y"]))


@pytest.mark.parametrize("settings", [(1, 1), (2, 1), (1, 2)])
def test_a_weight_that_the_loss_does_not_depend_on_stays(
    make, batches, settings, recwarn
):
    """Weight decay would be no update of its own; Keras does not warn."""
    warnings.simplefilter("always")
    model = make()[0]
    model.dense.bias.assign([3.0, 4.0])
    kernel = model.dense.kernel.numpy()
    optimizer = create_optimizer(0.1, 20, 0)
    step = TrainStep(
        model, loss_without_bias, optimizer, StepSettings(*settings)
    )
    step(next(batches(0)))
    assert model.dense.bias.numpy().tolist() == [3.0, 4.0]
    assert (model.dense.kernel.numpy() != kernel).all()
    assert not [one for one in recwarn if "Gradients" in str(one.message)]


def test_the_learning_rate_reported_is_that_of_the_step(make, batches):
    """0.1 falls to 0 in 20 steps: 0.1, 0.095, …"""
    _, _, step = make()
    stream = batches(0)
    rates = [float(step(next(stream))["learning_rate"]) for _ in range(3)]
    assert rates == pytest.approx([0.1, 0.095, 0.09])


def test_batches_of_all_lengths_share_one_graph(make):
    _, _, step = make()
    for rows, words in ((1, 1), (3, 5), (2, 2)):
        step(
            {
                "ids": np.zeros((rows, words), np.int32),
                "y": np.zeros((rows, 2), np.float32),
            }
        )
    (graph,) = step._graphs.values()
    assert graph.experimental_get_tracing_count() == 1


def test_dropout_is_on_in_training(make):
    """Of equal rows, some lose what others keep, so the loss is another."""
    batch = {
        "ids": np.zeros((8, 1), np.int32),
        "y": np.zeros((8, 2), np.float32),
    }
    losses = [float(make(rate)[2](batch)["loss"]) for rate in (0.0, 0.0, 0.5)]
    assert losses[0] == losses[1] != losses[2]
