"""Random numbers as a function of a key."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.pretraining_data import random_streams


def test_known_numbers_of_splitmix64() -> None:
    # The first outputs for the seed 1234567, as published with the algorithm.
    found = random_streams.bits(np.array([1234567], np.uint64), 3)[0].tolist()
    assert found == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_equal_keys_draw_what_they_always_drew() -> None:
    keys = [random_streams.key(12345, 7, number) for number in range(2)]
    assert keys[0] == 16260565512587839491
    drawn = random_streams.uniforms(np.array(keys, np.uint64), 3)
    np.testing.assert_allclose(
        drawn, [[0.358, 0.443, 0.105], [0.971, 0.080, 0.990]], atol=6e-4
    )
    found = random_streams.permuted(np.arange(6), 6, 1)
    assert found.tolist() == [0, 1, 4, 5, 2, 3]


def test_keys_differ_by_any_number() -> None:
    keys = {random_streams.key(a, b) for a in range(50) for b in range(50)}
    keys |= {random_streams.key(a) for a in range(50)}
    assert len(keys) == 2550
    assert all(0 <= key < 1 << 64 for key in keys)


def test_uniforms_are_uniform() -> None:
    drawn = random_streams.uniforms(np.arange(1000, dtype=np.uint64), 100)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, 10, (0, 1))[0]
    # Ten thousand are expected in each, give or take a hundred.
    assert np.abs(counts - 10000).max() < 400


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 1000])
def test_permutations(size: int) -> None:
    indexes = np.arange(size)
    first = random_streams.permuted(indexes, size, 7)
    assert sorted(first) == indexes.tolist()
    # A part of it is the same as when it is drawn with the rest.
    part = random_streams.permuted(indexes[size // 2 :], size, 7)
    assert part.tolist() == first[size // 2 :].tolist()


def test_permutations_are_random() -> None:
    size = 1000
    first = random_streams.permuted(np.arange(size), size, 1)
    second = random_streams.permuted(np.arange(size), size, 2)
    assert (first == second).sum() < 10
    assert abs(np.corrcoef(np.arange(size), first)[0, 1]) < 0.15
