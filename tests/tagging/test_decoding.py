"""Decoding: the best allowed sequence, checked against all sequences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bert_keras3.tagging.decoding import decode
from bert_keras3.tagging.schemes import TagSet


def best_of_all(logits, allowed):
    """Tries every sequence."""
    edge = len(allowed) - 1
    best = max(
        (
            sequence
            for sequence in itertools.product(range(edge), repeat=len(logits))
            if all(
                allowed[pair]
                for pair in itertools.pairwise((edge, *sequence, edge))
            )
        ),
        key=lambda sequence: sum(logits[np.arange(len(logits)), sequence]),
    )
    return list(best)


@pytest.mark.parametrize("has_ends", [False, True])
def test_viterbi_is_the_best_of_all_sequences(has_ends):
    tags = TagSet.of(["X"] if has_ends else ["X", "Y"], has_ends=has_ends)
    rng = np.random.default_rng(0)
    lengths = np.array([1, 4, 0, 2, 5, 1, 3, 0, *[5] * 30])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    logits = rng.normal(size=(offsets[-1], len(tags.names)))
    found = decode(logits, offsets, tags)
    for start, end in itertools.pairwise(offsets):
        wanted = best_of_all(logits[start:end], tags.allowed)
        assert found[start:end].tolist() == wanted


def test_argmax_takes_each_token_by_itself():
    tags = TagSet.of(["X"], has_ends=False)
    logits = np.array([[2, 1.9, 0], [0, 0, 5]])
    offsets = np.array([0, 2])
    assert decode(logits, offsets, tags, "argmax").tolist() == [0, 2]
    assert decode(logits, offsets, tags).tolist() == [1, 2]


@pytest.mark.parametrize(("name", "value"), [("_ROOM", 1), ("_ROUNDS", 1)])
def test_however_many_at_once_and_in_however_many_rounds(
    monkeypatch, name, value
):
    """One round: then whole sentences are decoded, with the same result."""
    tags = TagSet.of(["X", "Y"], has_ends=True)
    rng = np.random.default_rng(1)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 9, 50))])
    logits = rng.normal(size=(offsets[-1], len(tags.names)))
    whole = decode(logits, offsets, tags)
    monkeypatch.setattr(f"bert_keras3.tagging.decoding.{name}", value)
    assert (decode(logits, offsets, tags) == whole).all()
