"""Texts longer than a row: head and tail, windows."""

from __future__ import annotations

import itertools

import pytest

from bert_keras3.safekeeping.errors import UserError
from tokenization.packing import pack, pack_head_tail, pack_windows

IDS = {"cls_id": 101, "sep_id": 102}


def test_head_and_tail_by_hand():
    # Of six tokens that fit, 6 · 128 // 510 = 1 is from the beginning.
    packed = pack_head_tail(range(20), max_seq_length=8, **IDS)
    assert packed.input_ids == [101, 0, 15, 16, 17, 18, 19, 102]
    assert packed.num_dropped == 14
    # As in the paper: 128 and 382 of 510.
    ids = pack_head_tail(range(2000), max_seq_length=512, **IDS).input_ids
    assert ids[1:-1] == [*range(128), *range(2000 - 382, 2000)]


def test_head_and_tail_of_pairs_keep_as_many_tokens_as_truncation():
    for a, b in itertools.product((0, 3, 9, 40), repeat=2):
        texts = range(a), range(100, 100 + b)
        plain = pack(*texts, max_seq_length=16, **IDS)
        packed = pack_head_tail(*texts, max_seq_length=16, **IDS)
        assert packed.segment_ids == plain.segment_ids
        assert packed.num_dropped == plain.num_dropped
        if not plain.num_dropped:
            assert packed == plain


def windows(*texts, stride=None, most=99, max_seq_length=8):
    return pack_windows(
        *texts, stride=stride, most=most, max_seq_length=max_seq_length, **IDS
    )


def test_windows_by_hand():
    """Six tokens a window, of which four are new, as three quarters are."""
    found = windows(list(range(1, 12)))
    assert [row.input_ids for row in found] == [
        [101, 1, 2, 3, 4, 5, 6, 102],
        [101, 5, 6, 7, 8, 9, 10, 102],
        [101, 9, 10, 11, 102],
    ]
    assert windows([]) == [pack([], max_seq_length=8, **IDS)]
    assert windows([1, 2]) == [pack([1, 2], max_seq_length=8, **IDS)]


def test_windows_of_the_longer_text_of_a_pair():
    """The other one is in each window, and takes half of it at most."""
    short, long = [91, 92], list(range(1, 8))
    for texts in ((short, long), (long, short)):
        found = windows(*texts, max_seq_length=9)
        assert len(found) == 2
        for row, part in zip(found, (long[:4], long[3:]), strict=True):
            wanted = [part if text is long else short for text in texts]
            assert row == pack(*wanted, max_seq_length=9, **IDS)
    (row, *_) = windows(list(range(50)), list(range(60, 100)), max_seq_length=9)
    assert row.input_ids == [101, 0, 1, 2, 102, 60, 61, 62, 102]
    assert row.num_dropped == 37


@pytest.mark.parametrize("length", [0, 1, 5, 6, 7, 10, 11, 97])
@pytest.mark.parametrize("stride", [1, 4, 6, None])
def test_every_token_is_in_a_window_and_none_is_superfluous(length, stride):
    ids = list(range(length))
    found = windows(ids, stride=stride)
    assert found[0].num_dropped == 0
    parts = [row.input_ids[1:-1] for row in found]
    assert set(itertools.chain(*parts)) == set(ids)
    for before, after in itertools.pairwise(parts):
        assert not set(after) <= set(before)


def test_no_more_windows_than_wanted():
    """The first and the last are among them; what is in none is counted."""
    found = windows(list(range(60)), stride=6, most=3)
    parts = [row.input_ids[1:-1] for row in found]
    assert parts[0] == [*range(6)]
    assert parts[-1] == [*range(54, 60)]
    assert len(parts) == 3
    assert found[0].num_dropped == 60 - 18


def test_a_stride_that_leaves_gaps_is_refused():
    with pytest.raises(UserError, match="window_stride=7 is more than the 6"):
        windows(list(range(20)), stride=7)
