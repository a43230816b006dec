"""Features on disk and their batches: padded, by number, by length, whole.

Seven rows of five examples, so that the numbers can be checked by eye.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bert_keras3.inputs.batches import (
    BatchLimit,
    batches_by_length,
    epoch_order,
    training_batches,
)
from bert_keras3.inputs.feature_store import (
    INPUT_COLUMNS,
    Column,
    FeatureStore,
    write_feature_store,
)

# (example, token ids); the second of a row's tokens is of segment 1.
ROWS = [
    (0, [1, 1, 1]),
    (1, [2, 2]),
    (1, [3, 3, 3, 3, 3]),
    (1, [4]),
    (2, [5, 5, 5, 5]),
    (4, [6, 6]),
    (4, [7, 7, 7]),
]
LENGTHS = [3, 2, 5, 1, 4, 2, 3]
COLUMNS = {
    **INPUT_COLUMNS,
    "token_labels": Column("int64", per_token=True, padding=-1, stored="uint8"),
    "starts": Column("float32", per_token=True, shape=(2,), padding=0.5),
    "price": Column("float32", shape=(2,)),
}


def row_values(ids):
    return {
        "input_ids": ids,
        "segment_ids": [0, *[1] * (len(ids) - 1)],
        "token_labels": [10 * one for one in ids],
        "starts": [[one, 0.0] for one in ids],
        "price": [ids[0] / 2, 1.0],
    }


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    rows = ((example, row_values(ids)) for example, ids in ROWS)
    return write_feature_store(tmp_path, COLUMNS, rows)


def test_a_batch_is_padded_as_each_column_says(store):
    batch = store.padded([5, 0])
    assert batch["input_ids"].tolist() == [[6, 6, 0], [1, 1, 1]]
    assert batch["input_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["segment_ids"].tolist() == [[0, 1, 0], [0, 1, 1]]
    assert batch["token_labels"].tolist() == [[60, 60, -1], [10, 10, 10]]
    assert batch["starts"].tolist() == [
        [[6, 0], [6, 0], [0.5, 0.5]],
        [[1, 0], [1, 0], [1, 0]],
    ]
    assert batch["price"].tolist() == [[3.0, 1.0], [0.5, 1.0]]
    for name, column in COLUMNS.items():
        assert batch[name].dtype == column.dtype
    assert batch["input_mask"].dtype == np.int32
    assert set(store.padded([1], ["price"])) == {"input_mask", "price"}


def test_columns_lie_on_disk_segment_ids_in_a_byte_each(store, tmp_path):
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    tokens = sum(LENGTHS)
    assert sizes["input_ids.int32"] == 4 * tokens
    assert sizes["segment_ids.uint8"] == tokens
    assert not any(array.flags.owndata for array in store.arrays.values())


def test_what_a_store_knows_of_its_rows(store):
    assert (len(store), store.num_examples) == (7, 5)
    assert store.lengths.tolist() == LENGTHS
    assert store.examples.tolist() == [0, 1, 1, 1, 2, 4, 4]
    assert store.rows_of([4, 1, 3]).tolist() == [5, 6, 1, 2, 3]
    assert store.rows_of([]).tolist() == []
    assert set(store.per_token) == {
        *("input_mask", "input_ids", "segment_ids", "token_labels", "starts"),
    }
    assert store.share_of_padding(10) == pytest.approx(1 - 20 / 70)


def test_a_column_that_comes_later(store):
    more = store.with_column("target", Column("int32"), np.arange(7))
    assert more.padded([2, 6])["target"].tolist() == [2, 6]
    assert "target" not in store.padded([2])
    with pytest.raises(ValueError, match=r"shape \(6,\), and should .* \(7,\)"):
        store.with_column("target", Column("int32"), np.arange(6))
    with pytest.raises(ValueError, match=r"\(20,\)"):
        store.with_column("tags", Column("int32", per_token=True), np.arange(7))


def test_a_store_without_rows(tmp_path):
    empty = write_feature_store(tmp_path, COLUMNS, [])
    assert (len(empty), empty.num_examples) == (0, 0)
    assert list(batches_by_length(empty, np.arange(0), BatchLimit(2))) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, [1]), (0, [1])], "example 0 behind one of 1"),
        ([(0, {"segment_ids": [0, 0]})], "segment_ids has 2 tokens"),
    ],
)
def test_rows_that_are_none(tmp_path, rows, message):
    values = (
        (
            example,
            row_values(given)
            if isinstance(given, list)
            else {**row_values([1]), **given},
        )
        for example, given in rows
    )
    with pytest.raises(ValueError, match=message):
        write_feature_store(tmp_path, COLUMNS, values)


def plainly_padded(rows):
    """The batch of rows of the model, one after the other."""
    length = max(len(ROWS[row][1]) for row in rows)
    batch = {
        name: np.zeros((len(rows), length), np.int32)
        for name in ("input_ids", "input_mask", "segment_ids")
    }
    for place, row in enumerate(rows):
        ids = ROWS[row][1]
        batch["input_ids"][place, : len(ids)] = ids
        batch["input_mask"][place, : len(ids)] = 1
        batch["segment_ids"][place, 1 : len(ids)] = 1
    return batch


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("first_step", [0, 3])
def test_one_row_an_example_in_the_order_of_the_epochs(
    store, first_step, grouped
):
    """Batches of 4 from the rows 0 4 6 5 1 (of other examples each)."""
    rows = np.array([0, 4, 6, 1])
    stream = [
        int(rows[place])
        for epoch in range(10)
        for place in epoch_order(4, epoch, seed=7)
    ]
    batches = training_batches(
        store,
        rows,
        batch_size=3,
        seed=7,
        columns=list(INPUT_COLUMNS),
        grouped=grouped,
    )(first_step)
    for step, batch in zip(range(first_step, 8), batches, strict=False):
        expected = plainly_padded(stream[3 * step : 3 * step + 3])
        if grouped:
            expected["example"] = np.arange(3, dtype=np.int32)
        assert_equal(batch, expected)


def test_an_example_with_three_rows_is_never_torn(store):
    """Of four examples (number 3 has no row) two make a batch."""
    rows_of = {0: [0], 1: [1, 2, 3], 2: [4], 4: [5, 6]}
    batches = training_batches(
        store, np.arange(7), batch_size=2, seed=3, grouped=True
    )(0)
    numbers = list(rows_of)
    for step, batch in zip(range(10), batches, strict=False):
        order = epoch_order(4, step // 2, seed=3)
        two = [rows_of[numbers[i]] for i in order[step % 2 * 2 :][:2]]
        rows = list(itertools.chain(*two))
        assert batch["input_ids"][:, 0].tolist() == [
            ROWS[r][1][0] for r in rows
        ]
        assert batch["example"].tolist() == [0] * len(two[0]) + [1] * len(
            two[1]
        )
        assert batch["example"].dtype == np.int32


def shapes(store, limit, grouped=False):
    rows = np.arange(len(ROWS))
    batches = list(batches_by_length(store, rows, limit, grouped=grouped))
    places = np.concatenate([positions for positions, _ in batches])
    assert sorted(places) == list(rows)
    for positions, batch in batches:
        lengths = batch["input_mask"].sum(1)
        np.testing.assert_array_equal(lengths, np.take(LENGTHS, positions))
    return [batch["input_ids"].shape for _, batch in batches]


def test_batches_hold_so_many_rows_longest_first(store):
    assert shapes(store, BatchLimit(4)) == [(3, 5), (4, 3)]


def test_a_budget_of_tokens_makes_many_short_rows_or_few_long_ones(store):
    assert shapes(store, BatchLimit(1, tokens=8)) == [
        *[(1, 5), (1, 4), (2, 3), (3, 2)],
    ]
    # Each row is wider than the budget: a batch of its own.
    assert shapes(store, BatchLimit(8, tokens=0)) == [
        (1, length) for length in sorted(LENGTHS, reverse=True)
    ]


def test_the_budget_counts_what_lengths_are_rounded_up_to(store):
    store = FeatureStore(
        store.columns, store.arrays, store.offsets, store.examples, 2
    )
    assert shapes(store, BatchLimit(1, tokens=12)) == [(1, 5), (3, 4), (3, 2)]


def test_whole_examples_by_their_longest_row(store):
    """The longest rows of the examples 0 1 2 4 are 3 5 4 3 tokens."""
    assert shapes(store, BatchLimit(2), grouped=True) == [(4, 5), (3, 3)]
    # 3 rows of 3 fit, the row of 4 would be the fourth; 3 rows of 5 do not.
    assert shapes(store, BatchLimit(1, tokens=12), grouped=True) == [
        *[(3, 5), (1, 4), (3, 3)],
    ]
    _, batch = list(
        batches_by_length(store, np.arange(7), BatchLimit(2), grouped=True)
    )[1]
    assert batch["example"].tolist() == [0, 1, 1]
