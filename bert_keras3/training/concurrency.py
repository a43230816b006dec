"""What is computed at the same time: parts of a batch, batches of a file.

While one waits for memory, or for its small operations, the other computes:
on two cores that is faster than both cores for one operation after the other.
Who computes is `step` and `predict`; the numbers stay the same.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

Batch = Mapping[str, np.ndarray]

_MASK = "input_mask"
# What has a column for each position.
_BY_POSITION = ("input_ids", _MASK, "segment_ids")

# Where two at a time were measured, and found to pay.
_CORES_FOR_TWO = 2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def suitable_concurrency() -> int:
    """Returns how many computations at a time suit the cores: one or two."""
    return 2 if usable_cores() == _CORES_FOR_TWO else 1


def suitable_threads(concurrency: int) -> int | None:
    """Returns how many threads should share an operation; None: all.

    TensorFlow's threads, as many as cores, serve all computations: where each
    has a core to itself one is enough, and others only get in its way.
    (`TF_NUM_INTRAOP_THREADS`, which has to be set before TensorFlow is
    imported.)
    """
    return 1 if concurrency == usable_cores() else None


def in_flight(
    function: Callable[[_Item], _Result], items: Iterable[_Item], number: int
) -> Iterator[_Result]:
    """Yields a function's results in order, computing some at the same time.

    Args:
        function: is called by several threads if `number` is above 1.
        items: are taken as they are needed, one beyond those under way.
        number: of calls at a time.
    """
    if number == 1:
        yield from map(function, items)
        return
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        waiting: collections.deque[concurrent.futures.Future[_Result]]
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > number:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def split(batch: Batch, number: int) -> list[Batch]:
    """Cuts a batch into parts of about equally many tokens.

    Rows of similar length come together, so that each part is padded to its
    own longest row only.

    Args:
        batch: arrays with examples along the first axis. `input_mask`
            [B, S] tells lengths; without it the parts have equally many
            rows.
        number: how many parts; fewer come back if there are fewer rows.

    Returns:
        The parts; every row is in one of them.
    """
    size = len(next(iter(batch.values())))
    number = min(number, size)
    if number <= 1:
        return [batch]
    lengths = _lengths(batch[_MASK]) if _MASK in batch else np.ones(size, int)
    order = np.argsort(lengths, kind="stable")
    before = np.cumsum(lengths[order]) - lengths[order]
    part = np.arange(1, number)
    cuts = np.searchsorted(before, lengths.sum() * part / number)
    # Leaves a row to each of the later parts, however long the last rows are.
    cuts = np.minimum(cuts, size - number + part)
    return [
        _cut(batch, rows, lengths[rows[-1]]) for rows in np.split(order, cuts)
    ]


def _lengths(mask: np.ndarray) -> np.ndarray:
    """[B, S] → int [B], up to the last token; 1 where there is none."""
    is_token = mask != 0
    after = np.argmax(is_token[:, ::-1], axis=1)
    return np.where(is_token.any(1), mask.shape[1] - after, 1)


def _cut(batch: Batch, rows: np.ndarray, length: int) -> Batch:
    return {
        name: array[rows, :length]
        if _MASK in batch and name in _BY_POSITION
        else array[rows]
        for name, array in batch.items()
    }
