"""Chance that depends on nothing but numbers: seed, document, repetition.

SplitMix64 (Steele, Lea and Flood, 2014) as a function of a counter, so that
any worker can draw any part of any stream; what is drawn is decided in
`segments`, `masking` and `shards`.
"""

from __future__ import annotations

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_WORD = 0xFFFFFFFFFFFFFFFF
_ROUNDS = 4


def key(*numbers: int) -> int:
    """Returns a 64-bit key for a tuple of integers, each below 2 to the 64."""
    state = len(numbers)
    for number in numbers:
        state = state * _GOLDEN + number & _WORD
        state = (state ^ state >> 30) * _FIRST & _WORD
        state = (state ^ state >> 27) * _SECOND & _WORD
        state ^= state >> 31
    return state


def _mix(values: np.ndarray) -> np.ndarray:
    """The last step of SplitMix64, a bijection of 64-bit numbers."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    return values ^ (values >> np.uint64(31))


def subkeys(keys: np.ndarray, salt: int) -> np.ndarray:
    """Returns a key for another purpose for each key, uint64 like `keys`."""
    return _mix(keys ^ np.uint64(key(salt)))


def bits(keys: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` random 64-bit numbers for each key.

    Args:
        keys: uint64 [N].
        count: C.

    Returns:
        uint64 [N, C].
    """
    counters = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    return _mix(keys[:, None] + counters)


def uniforms(keys: np.ndarray, count: int) -> np.ndarray:
    """Returns numbers in [0, 1), float64 [N, C]; see `bits`."""
    return (bits(keys, count) >> np.uint64(11)) * 2.0**-53


def permuted(indexes: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Returns where a random permutation of `size` things puts some of them.

    A Feistel network over the next power of four, walked until it comes back
    into the range (Black and Rogaway, 2002): no table of `size` is made.

    Args:
        indexes: int64 [N], each below `size`.
        size: of the permutation.
        seed: tells permutations apart.

    Returns:
        int64 [N], each below `size`.
    """
    half = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
    low = np.uint64((1 << int(half)) - 1)
    keys = [np.uint64(key(seed, number)) for number in range(_ROUNDS)]
    places = indexes.astype(np.uint64)
    outside = np.ones(len(places), bool)
    while outside.any():
        left, right = places[outside] >> half, places[outside] & low
        for round_key in keys:
            left, right = right, left ^ (_mix(right ^ round_key) & low)
        places[outside] = left << half | right
        outside = places >= size
    return places.astype(np.int64)
