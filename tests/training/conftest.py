"""A model of six weights: y = x·kernel + bias of two numbers each."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from bert_keras3.optimization import create_optimizer
from bert_keras3.training.step import StepSettings, TrainStep
from modeling.embeddings import EmbeddingLookup


class Linear(keras.Model):
    """One layer, and dropout, for the state of its random numbers."""

    def __init__(self, rate=0.0, vocab=4):
        super().__init__()
        self.table = EmbeddingLookup(vocab, 2, name="table")
        self.dense = keras.layers.Dense(2, name="dense")
        self.dropout = keras.layers.Dropout(rate, seed=1)
        self.table.build()
        self.dense.build((None, 2))
        self.dropout.build((None, 2))
        self.built = True

    def call(self, features, training=None):
        words = keras.ops.mean(self.table(features["ids"]), axis=1)
        return self.dense(self.dropout(words, training=training))


def squared_error(model, features, training):
    outputs = model(features, training=training)
    return keras.ops.mean(keras.ops.square(outputs - features["y"]))


@pytest.fixture
def loss():
    return squared_error


@pytest.fixture
def make():
    """A function that makes (model, optimizer, step), always the same."""

    def made(rate=0.0, micro_batches=1, vocab=4, concurrency=1, **choices):
        keras.utils.set_random_seed(0)
        model = Linear(rate, vocab)
        optimizer = create_optimizer(0.1, 20, 0, **choices)
        step = TrainStep(
            model,
            squared_error,
            optimizer,
            StepSettings(micro_batches, concurrency),
        )
        return model, optimizer, step

    return made


@pytest.fixture
def batches():
    """Eight examples of three words; the words repeat, so slices do, too."""

    def from_step(step):
        while True:
            rng = np.random.default_rng(step)
            yield {
                "ids": rng.integers(0, 4, (8, 3)).astype(np.int32),
                "y": rng.normal(size=(8, 2)).astype(np.float32),
            }
            step += 1

    return from_step


@pytest.fixture
def weights_of():
    return lambda model: [weight.numpy() for weight in model.weights]
