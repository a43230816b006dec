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


def pack_choices(context, question, choices, length=8):
    rows = packing.pack_choices(
        *(context, question, choices),
        max_seq_length=length,
        cls_id=CLS,
        sep_id=SEP,
    )
    return [row.input_ids for row in rows], [row.num_dropped for row in rows]


@pytest.mark.parametrize(
    ("context", "question", "choices", "rows", "dropped"),
    [
        (
            *([1], [2], [[3], [4, 4]]),
            [[CLS, 1, SEP, 2, 3, SEP], [CLS, 1, SEP, 2, 4, 4, SEP]],
            [0, 0],
        ),
        # The end of the context goes first, though the choice is longer,
        (
            *([1, 2], [3], [[5, 5, 5], [6, 6]]),
            [[CLS, 1, SEP, 3, 5, 5, 5, SEP], [CLS, 1, 2, SEP, 3, 6, 6, SEP]],
            [1, 0],
        ),
        # then that of the question,
        (
            *([1], [2, 3], [[5] * 4, [6]]),
            [[CLS, SEP, 2, 5, 5, 5, 5, SEP], [CLS, 1, SEP, 2, 3, 6, SEP]],
            [2, 0],
        ),
        # then that of the choice,
        (
            *([1], [2], [[5] * 6, [6]]),
            [[CLS, SEP, 5, 5, 5, 5, 5, SEP], [CLS, 1, SEP, 2, 6, SEP]],
            [3, 0],
        ),
        # but its beginning where only the ends of choices differ.
        (
            *([], [], [[5] * 5 + [6], [5] * 5 + [7]]),
            [[CLS, SEP, *[5] * 4, 6, SEP], [CLS, SEP, *[5] * 4, 7, SEP]],
            [1, 1],
        ),
    ],
)
def test_choices_stay_whole(context, question, choices, rows, dropped):
    assert pack_choices(context, question, choices) == (rows, dropped)


def test_choices_that_become_equal():
    choices = [[5, 5, 1, 5, 5], [5, 5, 2, 5, 5]]
    with pytest.raises(ValueError, match="equal when they are cut to 2 tokens"):
        pack_choices([], [], choices, 5)
    # Choices that are equal from the beginning are not made so.
    rows, _ = pack_choices([], [], [[5] * 9, [5] * 9])
    assert rows[0] == rows[1]


@given(
    st.lists(st.integers(1, 3), max_size=9),
    st.lists(st.integers(1, 3), max_size=9),
    st.lists(st.lists(st.integers(1, 3), max_size=6), min_size=2, max_size=4),
    st.integers(5, 20),
)
def test_no_two_choices_become_equal(context, question, choices, length):
    try:
        rows, dropped = pack_choices(context, question, choices, length)
    except ValueError:
        return
    assert max(map(len, rows)) <= length
    for choice, row, number in zip(choices, rows, dropped, strict=True):
        given = len(context) + len(question) + len(choice)
        special = 2 + (row.count(SEP) > 1)
        assert number == given + special - len(row)
    if max(map(len, choices)) <= length - packing.NUM_SPECIAL_PAIR:
        for choice, row in zip(choices, rows, strict=True):
            assert row[len(row) - 1 - len(choice) : -1] == choice


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
