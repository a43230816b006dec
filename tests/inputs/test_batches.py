"""Batches of similar length, by number and by a budget of tokens."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.token_store import TokenStore

LENGTHS = [3, 9, 2, 5, 4, 2]


@pytest.fixture
def store() -> TokenStore:
    offsets = np.cumsum([0, *LENGTHS])
    ids = np.arange(offsets[-1], dtype=np.int32) + 1
    return TokenStore(ids, offsets, np.asarray(LENGTHS, np.int32))


def shapes(store, limit):
    rows = np.arange(len(LENGTHS))
    batches = list(batches_by_length(store, rows, limit))
    places = np.concatenate([positions for positions, _ in batches])
    assert sorted(places) == list(rows)
    for positions, batch in batches:
        lengths = batch["input_mask"].sum(1)
        np.testing.assert_array_equal(lengths, np.take(LENGTHS, positions))
    return [batch["input_ids"].shape for _, batch in batches]


def test_batches_hold_so_many_rows_longest_first(store):
    assert shapes(store, BatchLimit(4)) == [(2, 9), (4, 4)]


def test_a_budget_of_tokens_makes_many_short_rows_or_few_long_ones(store):
    assert shapes(store, BatchLimit(1, tokens=10)) == [(1, 9), (2, 5), (3, 3)]
    # Each row is wider than the budget: a batch of its own.
    assert shapes(store, BatchLimit(8, tokens=1)) == [
        (1, length) for length in sorted(LENGTHS, reverse=True)
    ]


def test_the_budget_counts_what_lengths_are_rounded_up_to(store):
    store = TokenStore(store.input_ids, store.offsets, store.first_lengths, 4)
    assert shapes(store, BatchLimit(1, tokens=16)) == [(1, 9), (1, 8), (4, 4)]


def test_the_share_of_padding(store):
    assert store.share_of_padding(10) == pytest.approx(1 - 25 / 60)
