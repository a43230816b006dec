"""Computing several batches, or several parts of a batch, in parallel.

On two cores, two computations side by side are faster than one that uses both
cores: while one waits for memory or runs small operations, the other computes.

A batch is a dict of arrays, rows along the first axis. Two names have a
meaning here: `input_mask` [B, S] is 0 for padding; `example` [B], if present,
numbers the examples that the rows belong to. A batch of three examples, with
three rows, two rows and one row, has `example` 0 0 0 1 1 2.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

Batch = Mapping[str, np.ndarray]

_MASK = "input_mask"
EXAMPLE = "example"

# The number of cores for which two computations in parallel were measured to be
# faster than one.
_CORES_FOR_TWO = 2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def suitable_concurrency() -> int:
    """Returns the fastest number of parallel computations: one or two."""
    return 2 if usable_cores() == _CORES_FOR_TWO else 1


def suitable_threads(concurrency: int) -> int | None:
    """Returns the best value of `TF_NUM_INTRAOP_THREADS`; None: its default.

    That is the number of threads per operation, which must be set before
    TensorFlow is imported. Where each computation has a core to itself, one
    is enough.
    """
    return 1 if concurrency == usable_cores() else None


def in_flight(
    function: Callable[[_Item], _Result], items: Iterable[_Item], number: int
) -> Iterator[_Result]:
    """Yields the function's results in order, computing several in parallel.

    Args:
        function: is called in several threads if `number` is above 1.
        items: are read as they are needed, one ahead.
        number: of parallel calls.
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


def num_examples(batch: Batch) -> int:
    """Returns the number of examples, which have one row or several each."""
    if EXAMPLE in batch:
        return int(batch[EXAMPLE][-1]) + 1
    return len(next(iter(batch.values())))


def consecutive_parts(batch: Batch, number: int) -> list[Batch]:
    """Splits a batch into parts with about equally many examples, in order.

    Args:
        batch: see the head of this file.
        number: of parts; fewer if there are fewer examples.

    Returns:
        The parts, padded as the batch is.
    """
    return [
        _take(batch, rows)
        for rows in _rows_of_parts(
            batch, np.array_split(np.arange(num_examples(batch)), number)
        )
    ]


def split(
    batch: Batch, number: int, per_token: Collection[str] = ()
) -> list[Batch]:
    """Splits a batch into parts with about equally many tokens.

    Examples of similar length are put together, so that each part is padded
    to its own longest row only. The rows of one example stay together.

    Args:
        batch: see the head of this file.
        number: of parts; fewer if there are fewer examples.
        per_token: names of the arrays [B, S, …] with one value per token.
            Without `input_mask` among them the parts have equally many rows,
            and no padding is removed.

    Returns:
        The parts; every example is in exactly one of them.
    """
    size = num_examples(batch)
    number = min(number, size)
    if number <= 1:
        return [batch]
    rows = len(next(iter(batch.values())))
    has_lengths = _MASK in per_token and _MASK in batch
    lengths = _lengths(batch[_MASK]) if has_lengths else np.ones(rows, int)
    longest, tokens = lengths, lengths
    if EXAMPLE in batch:
        first = np.searchsorted(batch[EXAMPLE], np.arange(size))
        longest = np.maximum.reduceat(lengths, first)
        tokens = np.add.reduceat(lengths, first)
    order = np.argsort(longest, kind="stable")
    before = np.cumsum(tokens[order]) - tokens[order]
    part = np.arange(1, number)
    cuts = np.searchsorted(before, tokens.sum() * part / number)
    # At least one example for each later part, however long the rows are.
    cuts = np.minimum(cuts, size - number + part)
    return [
        _take(
            batch, rows, per_token if has_lengths else (), lengths[rows].max()
        )
        for rows in _rows_of_parts(batch, np.split(order, cuts))
    ]


def _lengths(mask: np.ndarray) -> np.ndarray:
    """Mask [B, S] → lengths int [B]; 1 for a row without tokens."""
    is_token = mask != 0
    after = np.argmax(is_token[:, ::-1], axis=1)
    return np.where(is_token.any(1), mask.shape[1] - after, 1)


def _rows_of_parts(
    batch: Batch, parts: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yields the rows of each part that is not empty, given its examples."""
    for examples in parts:
        if not len(examples):
            continue
        if EXAMPLE not in batch:
            yield examples
            continue
        first = np.searchsorted(batch[EXAMPLE], examples, "left")
        behind = np.searchsorted(batch[EXAMPLE], examples, "right")
        yield np.concatenate(
            [np.arange(*ends) for ends in zip(first, behind, strict=True)]
        )


def _take(
    batch: Batch,
    rows: np.ndarray,
    per_token: Collection[str] = (),
    length: int = 0,
) -> Batch:
    """Returns some rows of a batch, arrays per token truncated to `length`."""
    part = {
        name: array[rows, :length] if name in per_token else array[rows]
        for name, array in batch.items()
    }
    if EXAMPLE in batch:
        # Numbered anew: 4 4 2 becomes 0 0 1.
        is_next = np.diff(part[EXAMPLE], prepend=part[EXAMPLE][0]) != 0
        part[EXAMPLE] = np.cumsum(is_next, dtype=batch[EXAMPLE].dtype)
    return part
