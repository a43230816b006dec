"""Examples held out of training, with all their rows."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.finetuning.heldout import hold_out
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, write_feature_store


@pytest.fixture
def store(tmp_path):
    """Of twenty examples number n has n % 3 + 1 rows."""
    rows = (
        (example, {"input_ids": [example], "segment_ids": [0]})
        for example in range(20)
        for _ in range(example % 3 + 1)
    )
    return write_feature_store(tmp_path, INPUT_COLUMNS, rows)


@pytest.mark.parametrize("stratify", [False, True])
def test_all_rows_of_an_example_are_on_one_side(store, stratify):
    labels = np.arange(store.num_examples) % 2
    kept, held_out = hold_out(labels, 0.3, seed=5, stratify=stratify)
    assert len(held_out) == 6
    to_train, to_evaluate = store.rows_of(kept), store.rows_of(held_out)
    both = np.concatenate([to_train, to_evaluate])
    np.testing.assert_array_equal(np.sort(both), np.arange(len(store)))
    sides = [set(store.examples[rows]) for rows in (to_train, to_evaluate)]
    assert sides == [set(kept), set(held_out)]
    if stratify:
        assert labels[held_out].sum() == 3
