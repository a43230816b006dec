"""What is masked, how often, and by what."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_keras3.pretraining_data import masking
from bert_keras3.pretraining_data.masking import Inputs, Vocabulary
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.pretraining_data.words import ENTITY, WORD
from bert_keras3.safekeeping.errors import UserError

CLS, SEP, MASK = 2, 3, 4
VOCABULARY = Vocabulary(CLS, SEP, MASK, np.arange(1000, dtype=np.int32))
BOTH = WORD | ENTITY


def inputs(rows: int, starts: list[int]) -> Inputs:
    """Returns equal rows `[CLS] … [SEP]`, of ids from 100 on, and padding."""
    length = len(starts) + 2
    ids = np.zeros((rows, length + 3), np.int32)
    ids[:, 0], ids[:, length - 1] = CLS, SEP
    ids[:, 1 : length - 1] = np.arange(100, 100 + len(starts))
    maskable = ids >= 100
    begins = np.zeros(ids.shape, np.uint8)
    begins[:, 1 : length - 1] = starts
    return Inputs(ids, maskable, begins, np.full(rows, length))


def mask(rows: int, starts: list[int], how: MaskingSettings) -> masking.Masked:
    keys = np.arange(rows, dtype=np.uint64)
    return masking.mask(inputs(rows, starts), keys, how, VOCABULARY)


def chosen_sets(found: masking.Masked) -> list[set[int]]:
    return [
        set(row[present > 0].tolist())
        for row, present in zip(found.positions, found.weights, strict=True)
    ]


@pytest.mark.parametrize("strategy", masking.STRATEGIES)
def test_fifteen_percent_and_80_10_10(strategy: str) -> None:
    # Words of one to three pieces, 98 tokens: 1100 rows are 107,800 of them.
    starts = [BOTH, BOTH, 0, WORD, 0, 0, BOTH] * 14
    rows = 1100
    how = MaskingSettings(strategy, 0.15, 20)
    found = mask(rows, starts, how)
    ids = inputs(rows, starts).input_ids
    number = int(found.weights.sum())
    share = number / (rows * 100)
    assert 0.145 < share <= 0.15
    present = found.weights > 0
    where = np.nonzero(present)[0], found.positions[present]
    new, old = found.input_ids[where], found.labels[present]
    np.testing.assert_array_equal(old, ids[where])
    masked = new == MASK
    kept = new == old
    # Four standard deviations of a share are about 0.013 here.
    assert abs(masked.mean() - 0.8) < 0.013
    assert abs(kept.mean() - 0.1) < 0.01
    others = new[~masked & ~kept]
    assert abs(len(others) / number - 0.1) < 0.01
    # Any entry of the vocabulary, each as likely as another.
    assert abs(others.mean() - 500) < 35
    assert len(np.unique(others)) > 600
    # Nothing else has changed.
    unchanged = found.input_ids.copy()
    unchanged[where] = old
    np.testing.assert_array_equal(unchanged, ids)


def test_predictions_are_sorted_and_padded_with_zeros() -> None:
    found = mask(50, [BOTH] * 20, MaskingSettings("token", 0.15, 6))
    assert found.weights.tolist() == [[1, 1, 1, 0, 0, 0]] * 50
    assert (np.diff(found.positions[:, :3]) > 0).all()
    assert not found.positions[:, 3:].any()
    assert not found.labels[:, 3:].any()
    np.testing.assert_array_equal(
        found.labels[:, :3], found.positions[:, :3] + 99
    )


def test_every_token_is_as_likely() -> None:
    found = mask(4000, [BOTH] * 18, MaskingSettings("token", 0.15, 20))
    counts = np.bincount(found.positions[found.weights > 0], minlength=23)
    # 3 of 18 tokens in 4000 rows: 667 each, 24 a standard deviation.
    assert np.abs(counts[1:19] - 667).max() < 110
    assert not counts[19:].any()


def test_whole_words() -> None:
    starts = [BOTH, 0, BOTH, BOTH, 0, 0]
    for chosen in chosen_sets(
        mask(200, starts, MaskingSettings("whole_word", 0.5, 4))
    ):
        assert chosen in (
            {1, 2, 3},
            {3, 4, 5, 6},
        )


def test_entities() -> None:
    # The second word goes on with the entity that the first begins.
    starts = [BOTH, WORD, 0, BOTH]
    found = chosen_sets(mask(200, starts, MaskingSettings("entity", 0.5, 3)))
    assert set(map(frozenset, found)) == {
        frozenset({1, 2, 3}),
        frozenset({4}),
    }


def test_ngrams_have_the_lengths_asked_for() -> None:
    rows, words = 3000, 200
    starts = np.full((rows, words), BOTH, np.uint8)
    begins = masking._ngrams(
        starts,
        np.arange(rows, dtype=np.uint64),
        MaskingSettings("ngram"),
    )
    lengths: collections.Counter[int] = collections.Counter()
    for row in begins:
        # The last is cut off by the end.
        lengths.update(np.diff(np.flatnonzero(row)).tolist())
    total = sum(lengths.values())
    assert set(lengths) == {1, 2, 3, 4}
    for length, share in zip((1, 2, 3, 4), (0.4, 0.3, 0.2, 0.1), strict=True):
        assert abs(lengths[length] / total - share) < 0.01


def test_ngrams_are_of_words() -> None:
    starts = [BOTH, 0, BOTH, BOTH, 0, BOTH, BOTH, 0]
    how = MaskingSettings("ngram", 0.5, 8, ngram_weights=(0, 1))
    found = chosen_sets(mask(100, starts, how))
    # Pairs of the five words; up to five tokens are wanted.
    assert set(map(frozenset, found)) == {
        frozenset({1, 2, 3, 7, 8}),
        frozenset({4, 5, 6, 7, 8}),
    }


def test_units_do_not_reach_across_a_separator() -> None:
    ids = np.array([[CLS, 100, 101, SEP, 102, 103, SEP]], np.int32)
    starts = np.array([[0, BOTH, 0, 0, 0, BOTH, 0]], np.uint8)
    found = {
        frozenset(chosen)
        for key in range(100)
        for chosen in chosen_sets(
            masking.mask(
                Inputs(ids, ids >= 100, starts, np.array([7])),
                np.array([key], np.uint64),
                MaskingSettings("whole_word", 0.3, 2),
                VOCABULARY,
            )
        )
    }
    # What begins B is a word by itself, even if it is cut off from its head.
    assert found == {frozenset({1, 2}), frozenset({4, 5})}


def test_masks_depend_on_the_key_alone() -> None:
    starts = [BOTH, BOTH, 0] * 10
    how = MaskingSettings("whole_word", 0.15, 5)
    whole = mask(10, starts, how)
    again = masking.mask(
        inputs(2, starts),
        np.array([4, 5], np.uint64),
        how,
        VOCABULARY,
    )
    np.testing.assert_array_equal(again.input_ids, whole.input_ids[4:6])
    np.testing.assert_array_equal(again.positions, whole.positions[4:6])
    assert len({tuple(row) for row in whole.positions.tolist()}) > 5


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 8).flatmap(
        lambda width: st.lists(
            st.tuples(
                st.lists(st.integers(1, 6), min_size=width, max_size=width),
                st.integers(0, 12),
            ),
            min_size=1,
            max_size=4,
        )
    )
)
def test_fitting_is_what_a_loop_does(
    cases: list[tuple[list[int], int]],
) -> None:
    expected = []
    for sizes, left in cases:
        row = []
        for size in sizes:
            row.append(size <= left)
            left -= size if size <= left else 0
        expected.append(row)
    found = masking.fit_in_order(
        np.array([sizes for sizes, _ in cases]),
        np.array([room for _, room in cases]),
    )
    assert found.tolist() == expected


def test_number_to_predict_is_rounded_as_python_does() -> None:
    how = MaskingSettings(masked_lm_prob=0.15, max_predictions_per_seq=20)
    lengths = np.arange(3, 513)
    assert masking.number_to_predict(lengths, how).tolist() == [
        min(20, max(1, round(length * 0.15))) for length in lengths.tolist()
    ]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (MaskingSettings(masked_lm_prob=0.0), "--masked_lm_prob=0.0"),
        (MaskingSettings(masked_lm_prob=1.5), "--masked_lm_prob=1.5"),
        (
            MaskingSettings(max_predictions_per_seq=65),
            "--max_predictions_per_seq=65 does not fit .*=64; .* here 10",
        ),
        (MaskingSettings(max_predictions_per_seq=0), "=0 does not fit"),
        (MaskingSettings(ngram_weights=(0.0, 0.0)), "--ngram_weights=0.0,0.0"),
        (MaskingSettings(ngram_weights=(1.0, -1.0)), "--ngram_weights"),
    ],
)
def test_numbers_out_of_range(how: MaskingSettings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        masking.check_settings(how, 64)
