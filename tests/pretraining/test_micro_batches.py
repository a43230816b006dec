"""A batch in parts: the gradients that are clipped are those of the whole.

The word embedding table is read from and multiplied with, so its gradient has
two sources; most words come up in several parts.
"""

from __future__ import annotations

import copy

import keras
import numpy as np
import pytest

from bert_keras3.inputs import records
from bert_keras3.optimization import create_optimizer
from bert_keras3.pretraining.objective import (
    PREDICTIONS_PER_EXAMPLE,
    TOKENS_TO_UPDATE,
    loss,
    new_model,
)
from bert_keras3.training.step import StepSettings, TrainStep


@pytest.fixture
def batch():
    """Eight records of eight words with 1 to 4 masks, as in a training."""
    rng = np.random.default_rng(0)
    words = rng.integers(5, 20, (8, 8)).astype(np.int32)
    asked = rng.integers(5, 20, (8, 4)).astype(np.int32)
    present = np.arange(4) < rng.integers(1, 5, (8, 1))
    moved = np.union1d(words, asked).astype(np.int32)
    return {
        records.INPUT_IDS: words,
        records.INPUT_MASK: np.ones((8, 8), np.int32),
        records.SEGMENT_IDS: np.zeros((8, 8), np.int32),
        records.MASKED_LM_POSITIONS: np.tile(
            np.arange(4, dtype=np.int32), 8
        ).reshape(8, 4),
        records.MASKED_LM_IDS: asked,
        records.MASKED_LM_WEIGHTS: present.astype(np.float32),
        records.NEXT_SENTENCE_LABELS: rng.integers(0, 2, (8, 1)).astype(
            np.int32
        ),
        PREDICTIONS_PER_EXAMPLE: np.full(8, present.sum() / 8, np.float32),
        TOKENS_TO_UPDATE: np.broadcast_to(moved, (8, len(moved))),
    }


def moments_after_a_step(config, batch, parts, lazily):
    """Returns {path: array}: m is a tenth of the gradient as clipped."""
    keras.utils.set_random_seed(0)
    config = copy.copy(config)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = new_model(config, lazy_embeddings=lazily)
    optimizer = create_optimizer(1e-3, 10, 0, lazy_embeddings=lazily)
    TrainStep(model, loss, optimizer, StepSettings(parts))(batch)
    return {
        slot.path: slot.numpy()
        for slot in optimizer.variables
        if slot.path.endswith("adam_m")
    }


@pytest.mark.slow
@pytest.mark.parametrize("lazily", [False, True])
def test_three_parts_are_clipped_as_the_whole(config, batch, lazily):
    whole = moments_after_a_step(config, batch, 1, lazily)
    norm = np.sqrt(sum(np.sum((10 * m) ** 2) for m in whole.values()))
    assert norm == pytest.approx(1, rel=1e-5), "nothing was clipped"
    parted = moments_after_a_step(config, batch, 3, lazily)
    for path, m in whole.items():
        np.testing.assert_allclose(
            parted[path], m, rtol=2e-5, atol=1e-8, err_msg=path
        )
