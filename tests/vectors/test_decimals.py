"""Numbers as text: the fast way beside `json`, and what each must give."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bert_keras3.vectors.decimals import json_lists, plain_json_lists


def read(lists):
    return np.array([json.loads(text) for text in lists])


def test_a_worked_example():
    lists = json_lists(np.array([[0.12345649, -1.5], [2, -0.25]], np.float32))
    assert lists == [b"[ 0.123456,-1.500000]", b"[ 2.000000,-0.250000]"]
    (wide,) = json_lists(np.array([[12.5, -3]], np.float32))
    assert wide == b"[  12.500000,  -3.000000]"


@pytest.mark.parametrize(
    "scale",
    [
        1e-6,  # around the last digit
        1,
        300,  # up to the largest that are looked up
        1e6,  # by way of json
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_to_json(scale, dtype):
    """On more numbers than are converted at once, bit by bit."""
    rng = np.random.default_rng(3)
    values = (rng.normal(size=(600, 96)) * scale).astype(dtype)
    values[0, :4] = 0.0, -0.0, 4e-7, -4e-7
    values[-1, :6] = 9.9999996, -9.9999996, 0.0000005, 0.0000015, 999.5, -7
    fast, plain = read(json_lists(values)), read(plain_json_lists(values))
    np.testing.assert_array_equal(fast, plain)
    np.testing.assert_array_equal(np.signbit(fast), np.signbit(plain))
    np.testing.assert_array_equal(fast, np.round(values.astype(np.float64), 6))


def test_what_is_not_finite_is_written_as_json_does():
    values = np.array([[np.nan, 1], [np.inf, -np.inf], [0, 1]], np.float32)
    assert json_lists(values) == plain_json_lists(values)


def test_no_rows():
    assert json_lists(np.zeros((0, 3), np.float32)) == []
