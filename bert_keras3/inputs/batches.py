"""Which rows make which batch: shuffled to train, by length to predict.

All orders are functions of a seed and a step, so that a training resumes at
any step as if it had never stopped. `FeatureStore.padded` pads a batch.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bert_keras3.inputs.feature_store import FeatureStore
from bert_keras3.inputs.row_groups import RowGroups

EXAMPLE = "example"
"""Column of a batch of whole examples, int32 [R]: the index in the batch of
each row's example; rows of one example follow one another."""


def epoch_order(num_examples: int, epoch: int, seed: int) -> np.ndarray:
    """Returns the order of one epoch, a whole shuffle.

    Args:
        num_examples: N.
        epoch: number of the epoch, from 0.
        seed: random seed of the run.

    Returns:
        int64 [N], every number below N once; the same for the same
        arguments.
    """
    return np.random.default_rng([seed, epoch]).permutation(num_examples)


def _groups(store: FeatureStore, rows: np.ndarray, grouped: bool) -> RowGroups:
    """Returns rows that stay together: each alone, or all of one example."""
    return (
        RowGroups.of(store.examples[rows])
        if grouped
        else RowGroups.alone(len(rows))
    )


def _numbers(groups: RowGroups, chosen: np.ndarray) -> np.ndarray:
    """Returns the column `EXAMPLE` of a batch of some groups."""
    return np.repeat(
        np.arange(len(chosen), dtype=np.int32), groups.sizes[chosen]
    )


def training_batches(
    store: FeatureStore,
    rows: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    columns: Sequence[str] | None = None,
    grouped: bool = False,
) -> Callable[[int], Iterator[dict[str, np.ndarray]]]:
    """Returns a function for `training.fit`: step → batches from there on.

    The batches cut one endless stream, epoch after epoch, each in an order of
    its own; a batch may span two epochs, as in the original.

    Args:
        store: the features.
        rows: int64 [N], rows of the store to train on; those of one example
            follow one another.
        batch_size: examples in a batch.
        seed: random seed of the order.
        columns: names of the columns in a batch; None: all.
        grouped: keep all rows of an example in one batch, and add the column
            `EXAMPLE` to it; else every row is an example.

    Returns:
        A function of the first step.
    """
    groups = _groups(store, rows, grouped)
    order_of = functools.lru_cache(maxsize=2)(
        lambda epoch: epoch_order(len(groups), epoch, seed)
    )

    def from_step(step: int) -> Iterator[dict[str, np.ndarray]]:
        while True:
            first = step * batch_size
            chosen = np.array(
                [
                    order_of(index // len(groups))[index % len(groups)]
                    for index in range(first, first + batch_size)
                ]
            )
            batch = store.padded(rows[groups.places(chosen)], columns)
            if grouped:
                batch[EXAMPLE] = _numbers(groups, chosen)
            yield batch
            step += 1

    return from_step


@dataclasses.dataclass(frozen=True)
class BatchLimit:
    """How large a batch may be where the order of rows is free."""

    examples: int
    """The most examples, if there is no budget of tokens."""
    tokens: int | None = None
    """The most positions, padding included: many short rows or few long ones;
    an example that is longer alone is a batch of its own."""

    def end(self, lengths: np.ndarray, sizes: np.ndarray, first: int) -> int:
        """Returns where the batch ends that begins with an example.

        Args:
            lengths: int [G], of each example's longest row, rising.
            sizes: int [G], rows of each example.
            first: its first example.
        """
        if self.tokens is None:
            return min(first + self.examples, len(lengths))
        positions = lengths[first:] * np.cumsum(sizes[first:])
        return first + max(1, int((positions <= self.tokens).sum()))


def batches_by_length(
    store: FeatureStore,
    rows: np.ndarray,
    limit: BatchLimit,
    columns: Sequence[str] | None = None,
    *,
    grouped: bool = False,
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields every row once, in batches of rows of similar length.

    This saves padding; the positions say to which rows predictions belong.
    The longest come first: a batch too large for the memory fails at once,
    and where several batches are computed in parallel the last are short.

    Args:
        store: the features.
        rows: int64 [N], rows of the store; those of one example follow one
            another.
        limit: maximum size of a batch.
        columns: names of the columns in a batch; None: all.
        grouped: as for `training_batches`.

    Yields:
        (positions, batch): int64 [R] into `rows`, and their features.
    """
    groups = _groups(store, rows, grouped)
    if not len(groups):
        return
    longest = np.maximum.reduceat(store.lengths[rows], groups.first)
    order = np.argsort(longest, kind="stable")
    lengths = store.padded_lengths(longest[order])
    sizes = groups.sizes[order]
    ends = [0]
    while ends[-1] < len(order):
        ends.append(limit.end(lengths, sizes, ends[-1]))
    for first, end in reversed(list(itertools.pairwise(ends))):
        chosen = order[first:end]
        positions = groups.places(chosen)
        batch = store.padded(rows[positions], columns)
        if grouped:
            batch[EXAMPLE] = _numbers(groups, chosen)
        yield positions, batch
