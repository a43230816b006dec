from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_keras3.safekeeping.errors import UserError
from tokenization import packing

CLS, SEP = 101, 102


def pack(a, b=None, length=8):
    return packing.pack(a, b, max_seq_length=length, cls_id=CLS, sep_id=SEP)


def test_one_text():
    assert pack([1, 2]) == ([CLS, 1, 2, SEP], [0, 0, 0, 0], 0)
    assert pack([]) == ([CLS, SEP], [0, 0], 0)
    assert pack(list(range(9)), length=4) == ([CLS, 0, 1, SEP], [0] * 4, 7)


def test_two_texts():
    assert pack([1, 2], [3]) == (
        [CLS, 1, 2, SEP, 3, SEP],
        [0, 0, 0, 0, 1, 1],
        0,
    )


def test_the_longer_text_is_cut():
    packed = pack([1, 2, 3, 4, 5, 6], [7, 8])
    assert packed.input_ids == [CLS, 1, 2, 3, SEP, 7, 8, SEP]
    assert packed.num_dropped == 3
    packed = pack([1], [2, 3, 4, 5, 6, 7])
    assert packed.input_ids == [CLS, 1, SEP, 2, 3, 4, 5, SEP]
    # Both too long: the first gets the odd one.
    packed = pack([1, 1, 1, 1], [2, 2, 2, 2])
    assert packed.input_ids == [CLS, 1, 1, 1, SEP, 2, 2, SEP]


def test_an_empty_second_text_is_none():
    assert pack([1], []) == pack([1])


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50))
def test_truncation_takes_one_by_one(length_a, length_b, max_length):
    a, b = list(range(length_a)), list(range(length_b))
    packing.truncate_seq_pair(a, b, max_length)
    while length_a + length_b > max_length:
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    assert (a, b) == (list(range(length_a)), list(range(length_b)))


def test_truncation_to_less_than_nothing():
    with pytest.raises(ValueError, match="-1"):
        packing.truncate_seq_pair([], [], -1)


@pytest.mark.parametrize(("second", "least"), [(None, 3), ([], 3), ([1], 5)])
def test_no_room(second, least):
    pack([1], second, least)
    with pytest.raises(UserError, match=f"={least - 1} .* at least {least}"):
        pack([1], second, least - 1)


def test_pad():
    padded = packing.pad([pack([5], [6]), pack([])])
    np.testing.assert_array_equal(
        padded["input_ids"], [[CLS, 5, SEP, 6, SEP], [CLS, SEP, 0, 0, 0]]
    )
    np.testing.assert_array_equal(
        padded["input_mask"], [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    )
    np.testing.assert_array_equal(
        padded["segment_ids"], [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    )
    assert {array.dtype for array in padded.values()} == {np.dtype("int32")}


def test_pad_to_a_length():
    assert packing.pad([pack([1])], 6)["input_ids"].shape == (1, 6)
    assert packing.pad([], 6)["input_mask"].shape == (0, 6)
    assert packing.pad([])["segment_ids"].shape == (0, 0)
    with pytest.raises(ValueError, match="3 ids does not fit in 2"):
        packing.pad([pack([1])], 2)
