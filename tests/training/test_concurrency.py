"""Splitting a batch into parts, and computing batches in parallel.

That the parts give the result of the whole batch is tested in `test_step` and,
for a BERT, in `test_precision`.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.training import devices
from bert_keras3.training.concurrency import (
    consecutive_parts,
    in_flight,
    num_examples,
    split,
)
from bert_keras3.training.predict import Predictor


def batch_of(lengths, width=None):
    """Rows of ids whose first token is the row's number, from 1 on."""
    width = width or max(lengths)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int32)
    rows = np.arange(1, len(lengths) + 1, dtype=np.int32)[:, None]
    return {
        "input_ids": rows * mask,
        "input_mask": mask,
        "segment_ids": np.zeros_like(mask),
        "targets": rows[:, 0] % 2,
    }


PER_TOKEN = ("input_ids", "input_mask", "segment_ids", "labels")


def test_parts_have_about_as_many_tokens_and_padding_of_their_own():
    """20 tokens: the four short rows, and the long one."""
    batch = batch_of([2, 10, 3, 2, 3], width=12)
    first, second = split(batch, 2, PER_TOKEN)
    assert first["input_ids"].tolist() == [
        [1, 1, 0],
        [4, 4, 0],
        [3, 3, 3],
        [5, 5, 5],
    ]
    assert second["input_ids"].tolist() == [[2] * 10]
    assert first["targets"].tolist() == [1, 0, 1, 1]
    assert second["targets"].tolist() == [0]


@pytest.mark.parametrize("lengths", [[1, 1, 10], [9, 1, 9, 1, 9], [0, 0], [5]])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_row_is_in_one_part_and_no_part_is_empty(lengths, number):
    batch = batch_of(lengths, width=10)
    batch["row"] = np.arange(len(lengths))
    parts = split(batch, number, PER_TOKEN)
    assert len(parts) == min(number, len(lengths))
    assert all(len(part["row"]) for part in parts)
    rows = np.concatenate([part["row"] for part in parts])
    assert sorted(rows) == list(range(len(lengths)))
    for part in parts:
        kept = part["input_mask"]
        assert kept.sum() == batch["input_mask"][part["row"]].sum()


def test_a_hole_in_a_mask_is_no_end():
    batch = batch_of([4, 1])
    batch["input_mask"][0, 1:3] = 0
    _, longer = split(batch, 2, PER_TOKEN)
    assert longer["input_mask"].tolist() == [[1, 0, 0, 1]]


def test_labels_of_tokens_are_cut_with_them_and_labels_of_rows_are_not():
    """Five labels a row, where the shorter rows are two tokens long."""
    batch = batch_of([2, 2, 5])
    batch["labels"] = np.arange(30, dtype=np.int32).reshape(3, 5, 2)
    batch["multi_hot"] = np.arange(15, dtype=np.uint8).reshape(3, 5)
    shorter, longer = split(batch, 2, PER_TOKEN)
    assert shorter["labels"].tolist() == [
        [[0, 1], [2, 3]],
        [[10, 11], [12, 13]],
    ]
    assert longer["labels"].shape == (1, 5, 2)
    assert shorter["multi_hot"].shape == (2, 5)


def of_three_examples():
    """Rows 0 1 2 are one example, row 3 another, rows 4 5 the third."""
    batch = batch_of([4, 1, 4, 2, 3, 1])
    return batch | {"example": np.array([0, 0, 0, 1, 2, 2], np.int32)}


def test_the_rows_of_an_example_stay_together_and_are_numbered_anew():
    """The second and third have 6 tokens, the first 9, its longest row 4."""
    first, second = split(of_three_examples(), 2, PER_TOKEN)
    assert first["input_ids"].tolist() == [[4, 4, 0], [5, 5, 5], [6, 0, 0]]
    assert first["example"].tolist() == [0, 1, 1]
    assert second["input_ids"][:, 0].tolist() == [1, 2, 3]
    assert second["example"].tolist() == [0, 0, 0]


def test_three_parts_of_three_examples_are_the_examples():
    parts = split(of_three_examples(), 5, PER_TOKEN)
    assert [part["input_ids"].shape for part in parts] == [
        (1, 2),
        (2, 3),
        (3, 4),
    ]
    assert [num_examples(part) for part in parts] == [1, 1, 1]


def test_micro_batches_are_whole_examples_in_order():
    first, second = consecutive_parts(of_three_examples(), 2)
    assert first["input_ids"][:, 0].tolist() == [1, 2, 3, 4]
    assert first["example"].tolist() == [0, 0, 0, 1]
    assert second["input_ids"].tolist() == [[5, 5, 5, 0], [6, 0, 0, 0]]
    assert second["example"].tolist() == [0, 0]
    assert second["example"].dtype == np.int32


def test_micro_batches_of_single_rows():
    parts = consecutive_parts(batch_of([1, 2, 3]), 5)
    assert [part["input_ids"].tolist() for part in parts] == [
        [[1, 0, 0]],
        [[2, 2, 0]],
        [[3, 3, 3]],
    ]


@pytest.mark.parametrize("number", range(4))
def test_devices_take_whole_examples(number):
    """Of four devices the first gets none of three examples."""
    batch = of_three_examples()
    features = {name: tf.constant(array) for name, array in batch.items()}
    part, share = devices._shard(features, number, 4)
    assert float(share) == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3][number])
    expected = [[], [1, 2, 3], [4], [5, 6]][number]
    assert part["input_ids"][:, 0].numpy().tolist() == expected
    assert part["example"].numpy().tolist() == [0] * len(expected)


def test_results_come_in_order_and_from_several_threads():
    both = threading.Barrier(2, timeout=30)

    def square(number):
        both.wait()  # passes only if two are here at the same time
        return number * number

    assert list(in_flight(square, range(4), 2)) == [0, 1, 4, 9]


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = in_flight(abs, items(), 2)
    next(results)
    assert len(taken) == 3


def test_a_fault_of_one_reaches_who_asked():
    def fail(number):
        raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match="number 0"):
        list(in_flight(fail, range(3), 2))


def test_a_row_alone_is_one_part(make):
    """After a batch of two, with the same step."""
    _, _, step = make(concurrency=2)
    for rows in (2, 1):
        batch = {
            "ids": np.zeros((rows, 1), np.int32),
            "y": np.zeros((rows, 2), np.float32),
        }
        assert np.isfinite(step(batch)["loss"])


def test_batches_at_the_same_time_are_answered_in_their_order(make):
    model, _, _ = make()
    ids = np.arange(40, dtype=np.int32).reshape(20, 2) % 4
    batches = [
        (np.arange(i, i + 2), {"ids": ids[i : i + 2]}) for i in range(0, 20, 2)
    ]
    expected = Predictor(model)(batches, 20)["logits"]
    found = Predictor(model, concurrency=2)(reversed(batches), 20)["logits"]
    np.testing.assert_array_equal(found, expected)
