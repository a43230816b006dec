"""What is computed at the same time: parts of a batch, batches of a file.

While one waits for memory, or for its small operations, the other computes:
on two cores that is faster than both cores for one operation after the other.
What is computed is decided in `step` and `predict`; the numbers stay the same.

A batch is a dict of arrays with its rows along the first axis. Which of them
are [B, S, …], a value for each token, is declared by whoever makes the
batches. Two names have a meaning here: `input_mask` says which tokens are
none, and `example`, if it is there, which rows make one example, 0 0 0 1 1 2.
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
_EXAMPLE = "example"

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


def num_examples(batch: Batch) -> int:
    """Returns how many examples a batch has: its rows, or groups of rows."""
    if _EXAMPLE in batch:
        return int(batch[_EXAMPLE][-1]) + 1
    return len(next(iter(batch.values())))


def consecutive_parts(batch: Batch, number: int) -> list[Batch]:
    """Cuts a batch into parts of about equally many examples, in order.

    Args:
        batch: see above.
        number: how many parts; fewer come back if there are fewer examples.

    Returns:
        The parts, as long as the batch.
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
    """Cuts a batch into parts of about equally many tokens.

    Examples of similar length come together, so that each part is padded to
    its own longest row only. The rows of an example stay together.

    Args:
        batch: see above.
        number: how many parts; fewer come back if there are fewer examples.
        per_token: names of the arrays with a value for each token. Without
            `input_mask` among them parts have equally many rows, and nothing
            is cut off.

    Returns:
        The parts; every example is in one of them.
    """
    size = num_examples(batch)
    number = min(number, size)
    if number <= 1:
        return [batch]
    rows = len(next(iter(batch.values())))
    has_lengths = _MASK in per_token and _MASK in batch
    lengths = _lengths(batch[_MASK]) if has_lengths else np.ones(rows, int)
    longest, tokens = lengths, lengths
    if _EXAMPLE in batch:
        first = np.searchsorted(batch[_EXAMPLE], np.arange(size))
        longest = np.maximum.reduceat(lengths, first)
        tokens = np.add.reduceat(lengths, first)
    order = np.argsort(longest, kind="stable")
    before = np.cumsum(tokens[order]) - tokens[order]
    part = np.arange(1, number)
    cuts = np.searchsorted(before, tokens.sum() * part / number)
    # Leaves one to each of the later parts, however long the last rows are.
    cuts = np.minimum(cuts, size - number + part)
    return [
        _take(
            batch, rows, per_token if has_lengths else (), lengths[rows].max()
        )
        for rows in _rows_of_parts(batch, np.split(order, cuts))
    ]


def _lengths(mask: np.ndarray) -> np.ndarray:
    """[B, S] → int [B], up to the last token; 1 where there is none."""
    is_token = mask != 0
    after = np.argmax(is_token[:, ::-1], axis=1)
    return np.where(is_token.any(1), mask.shape[1] - after, 1)


def _rows_of_parts(
    batch: Batch, parts: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yields the rows of each part that has any, given its examples."""
    for examples in parts:
        if not len(examples):
            continue
        if _EXAMPLE not in batch:
            yield examples
            continue
        first = np.searchsorted(batch[_EXAMPLE], examples, "left")
        behind = np.searchsorted(batch[_EXAMPLE], examples, "right")
        yield np.concatenate(
            [np.arange(*ends) for ends in zip(first, behind, strict=True)]
        )


def _take(
    batch: Batch,
    rows: np.ndarray,
    per_token: Collection[str] = (),
    length: int = 0,
) -> Batch:
    """Returns some rows, arrays per token cut to a length."""
    part = {
        name: array[rows, :length] if name in per_token else array[rows]
        for name, array in batch.items()
    }
    if _EXAMPLE in batch:
        # Numbered anew: 4 4 2 becomes 0 0 1.
        is_next = np.diff(part[_EXAMPLE], prepend=part[_EXAMPLE][0]) != 0
        part[_EXAMPLE] = np.cumsum(is_next, dtype=batch[_EXAMPLE].dtype)
    return part
