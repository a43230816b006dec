"""Writes arrays of numbers as JSON lists, many at a time.

    [[0.12345649, -1.5]] → [b"[ 0.123456,-1.500000]"]

A text of 40 tokens has 61,440 numbers in four layers of a small BERT, and to
write them with `json` takes four times as long as to compute them. Here the
texts of three digits at a time are looked up, for many numbers at once. Numbers
are aligned: JSON allows white space before a number, and zeros behind it.
"""

from __future__ import annotations

import json

import numpy as np

# Digits behind the point, as many as the original leaves.
DIGITS = 6
# As many numbers as stay in the processor's cache from step to step.
_AT_ONCE = 1 << 14
# Whole parts below this are looked up.
_LIMIT = 1000


def _table(texts: list[str]) -> np.ndarray:
    """Returns texts of two or four characters as integers of that size.

    NumPy looks up and copies integers faster than strings.
    """
    return np.frombuffer("".join(texts).encode(), np.dtype(f"u{len(texts[0])}"))


# {width: table}. A sign stands directly before its digits, and what is left
# before it is space.
_WHOLE = {
    width: _table(
        [
            f"{sign}{number}".rjust(width)
            for sign in " -"
            for number in range(10 ** (width - 1))
        ]
    )
    for width in (2, 4)
}
_HIGH = _table([f".{number:03d}" for number in range(1000)])
_LOW = _table([f"{number:03d}," for number in range(1000)])
_END = b"]"


def json_lists(values: np.ndarray) -> list[bytes]:
    """Returns a JSON list for each row, its numbers rounded to six digits.

    Args:
        values: float [N, D], D ≥ 1.

    Returns:
        N lists as bytes. Reading them gives `np.round(values, 6)` in float64,
        the sign of zeros included.
    """
    at_once = max(1, _AT_ONCE // values.shape[1])
    return [
        text
        for start in range(0, len(values), at_once)
        for text in _json_lists(values[start : start + at_once])
    ]


def _json_lists(values: np.ndarray) -> list[bytes]:
    exact = values.astype(np.float64)
    size = np.abs(exact)
    # Numbers that are not finite are not below the limit either.
    if not (size < _LIMIT - 1).all():
        return plain_json_lists(values)
    number = np.rint(size * 10**DIGITS).astype(np.intp)
    whole, fraction = _divided(number, 10**DIGITS)
    high, low = _divided(fraction, 1000)
    width = 2 if whole.max(initial=0) < 10 else 4
    table = _WHOLE[width]
    fields = [("whole", table.dtype), ("high", "u4"), ("low", "u4")]
    text = np.empty(values.shape, fields)
    text["whole"] = table[whole + np.signbit(exact) * (len(table) // 2)]
    text["high"] = _HIGH[high]
    text["low"] = _LOW[low]
    # A bracket stands where the last comma is.
    return [b"[" + memoryview(row.tobytes())[:-1] + _END for row in text]


def _divided(numbers: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """`np.divmod`, which takes twice as long."""
    quotient = numbers // by
    return quotient, numbers - quotient * by


def plain_json_lists(values: np.ndarray) -> list[bytes]:
    """Returns the same numbers by way of `json`, of any size."""
    rounded = np.round(values.astype(np.float64), DIGITS)
    return [json.dumps(row).encode() for row in rounded.tolist()]
