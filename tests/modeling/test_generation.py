"""The searches beside trying everything, and without the cache."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from modeling import BertConfig
from modeling.decoder import EncoderDecoder
from modeling.generation import SearchSettings, generate

BEGIN, END, NEVER = 1, 2, (0, 1)
V = 6


@pytest.fixture(scope="module")
def model():
    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "max_position_embeddings": 16,
    }
    made = EncoderDecoder(BertConfig(V, **sizes), BertConfig(V, **sizes))
    draw = np.random.default_rng(7)
    for weight in made.trainable_weights:
        centre = 1 if weight.path.endswith("gamma") else 0
        weight.assign(draw.normal(centre, 0.5, weight.shape))
    return made


INPUTS = {
    "input_ids": np.array(
        [[1, 3, 4, 2], [1, 5, 2, 0], [1, 4, 2, 0], [1, 3, 3, 2]], np.int32
    ),
    "input_mask": np.array(
        [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]], np.int32
    ),
}


def settings(**more):
    return SearchSettings(BEGIN, END, NEVER, **{"max_length": 4, **more})


def log_probabilities(model, targets):
    """ln P of each token of targets [N, T] of each source, [B, N, T]."""
    batch = len(INPUTS["input_ids"])
    ids = np.insert(targets, 0, BEGIN, axis=1)[:, :-1]
    logits, _ = model.continued(
        np.broadcast_to(ids, (batch, *ids.shape)),
        model.read(INPUTS),
        None,
        0,
    )
    logits = np.asarray(logits, np.float64)
    logits[..., NEVER] = -np.inf
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    places = np.broadcast_to(targets, (batch, *targets.shape))[..., None]
    return np.take_along_axis(logits, places, -1)[..., 0]


def best_of_all(model, length_penalty):
    """Tries every target of up to four tokens; returns ids and scores."""
    every = [
        [*rest, END]
        for length in range(4)
        for rest in itertools.product([3, 4, 5], repeat=length)
    ]
    padded = np.array([one + [END] * (4 - len(one)) for one in every])
    lengths = np.array([len(one) for one in every])
    counted = np.arange(4) < lengths[:, None]
    totals = (log_probabilities(model, padded) * counted).sum(-1)
    scores = totals / ((5 + lengths) / 6) ** length_penalty
    best = scores.argmax(1)
    return padded[best], scores[np.arange(len(best)), best]


@pytest.mark.parametrize("length_penalty", [0.0, 3.0])
def test_a_beam_as_wide_as_everything_finds_the_best(model, length_penalty):
    # Of the 3 + 9 + 27 beginnings no more than 27 are open at a time.
    ids, scores = generate(
        model, INPUTS, settings(beam_size=27, length_penalty=length_penalty)
    )
    expected, best = best_of_all(model, length_penalty)
    width = ids.shape[1]
    np.testing.assert_array_equal(ids, expected[:, :width])
    assert (expected[:, width:] == END).all()
    np.testing.assert_allclose(scores, best, rtol=1e-5)


def test_longer_targets_win_with_a_larger_penalty(model):
    lengths = []
    for length_penalty in (0.0, 3.0):
        ids, _ = best_of_all(model, length_penalty)
        lengths.append((ids != END).sum())
    assert lengths[0] < lengths[1]


def test_greedy_takes_the_most_probable_token_at_each_step(model):
    ids, scores = generate(
        model, INPUTS, settings(max_length=8, length_penalty=0.0)
    )
    ids = np.asarray(ids)
    before = np.insert(ids, 0, BEGIN, axis=1)[:, :-1]
    logits, _ = model.continued(before[:, None], model.read(INPUTS), None, 0)
    logits = np.asarray(logits, np.float64)[:, 0]
    logits[..., NEVER] = -np.inf
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    is_open = before != END
    expected = np.where(is_open, logits.argmax(-1), END)
    expected[:, 7:] = END
    np.testing.assert_array_equal(ids, expected)
    gained = np.take_along_axis(logits, ids[..., None], -1)[..., 0]
    np.testing.assert_allclose(
        scores, np.where(is_open, gained, 0).sum(1), rtol=1e-5
    )


def test_with_and_without_cache_the_same_is_found(model):
    found = []
    for use_cache in (True, False):
        search = settings(beam_size=3, max_length=12, use_cache=use_cache)
        graph = tf.function(
            lambda ids, mask, search=search: generate(
                model, {"input_ids": ids, "input_mask": mask}, search
            ),
            input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2,
            autograph=False,
        )
        found.append(graph(*INPUTS.values()))
    (ids, scores), (plain_ids, plain_scores) = found
    np.testing.assert_array_equal(ids, plain_ids)
    np.testing.assert_allclose(scores, plain_scores, rtol=1e-5)


def test_what_does_not_end_is_ended(model):
    bias = model.decoder.output_bias
    kept = bias.numpy()
    bias.assign(np.where(np.arange(V) == END, -50, kept))
    try:
        for beam_size in (1, 3):
            ids, scores = generate(
                model, INPUTS, settings(beam_size=beam_size, max_length=5)
            )
            assert ids.shape == (4, 5)
            assert np.isin(ids[:, :-1], [3, 4, 5]).all()
            assert (np.asarray(ids)[:, -1] == END).all()
            assert (np.asarray(scores) < -20).all()
    finally:
        bias.assign(kept)
