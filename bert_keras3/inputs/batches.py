"""Which rows make which batch: shuffled for training, by length for answers.

All orders are functions of a seed and a step, so that a training can go on
at any step as if it had never stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from bert_keras3.inputs.token_store import TokenStore


def epoch_order(num_examples: int, epoch: int, seed: int) -> np.ndarray:
    """Returns the order of one pass over the data, a whole shuffle.

    Args:
        num_examples: N.
        epoch: number of the pass, from 0.
        seed: of the run.

    Returns:
        int64 [N], every number below N once; the same for the same
        arguments.
    """
    return np.random.default_rng([seed, epoch]).permutation(num_examples)


def training_batches(
    store: TokenStore,
    rows: np.ndarray,
    features: Mapping[str, np.ndarray],
    *,
    batch_size: int,
    seed: int,
) -> Callable[[int], Iterator[dict[str, np.ndarray]]]:
    """Returns what `training.fit` asks for: step → batches from there on.

    The batches cut one endless stream, pass after pass, each in an order of
    its own; a batch may span two passes, as in the original.

    Args:
        store: the inputs.
        rows: int64 [N], rows of the store to train on.
        features: more arrays for those rows, [N, …], such as labels.
        batch_size: examples of a batch.
        seed: of the order.

    Returns:
        A function of the first step.
    """
    order_of = functools.lru_cache(maxsize=2)(
        lambda epoch: epoch_order(len(rows), epoch, seed)
    )

    def from_step(step: int) -> Iterator[dict[str, np.ndarray]]:
        while True:
            first = step * batch_size
            chosen = np.array(
                [
                    order_of(index // len(rows))[index % len(rows)]
                    for index in range(first, first + batch_size)
                ]
            )
            batch = store.padded(rows[chosen])
            for name, array in features.items():
                batch[name] = array[chosen]
            yield batch
            step += 1

    return from_step


@dataclasses.dataclass(frozen=True)
class BatchLimit:
    """How large a batch may be where the order of rows is free."""

    examples: int
    """The most rows, if there is no budget of tokens."""
    tokens: int | None = None
    """The most positions, padding counted: many short rows or few long ones;
    a row that is longer alone is a batch of its own."""

    def end(self, lengths: np.ndarray, first: int) -> int:
        """Returns where the batch that begins with a row ends.

        Args:
            lengths: int [N], rising.
            first: its first row.
        """
        if self.tokens is None:
            return min(first + self.examples, len(lengths))
        cells = lengths[first:] * np.arange(1, len(lengths) - first + 1)
        return first + max(1, int((cells <= self.tokens).sum()))


def batches_by_length(
    store: TokenStore, rows: np.ndarray, limit: BatchLimit
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields every row once, in batches of rows of similar length.

    Padding is what is saved; the positions tell where the answers belong.
    The longest come first: what is too large for the memory shows at once,
    and where several batches are computed at a time the last are short.

    Args:
        store: the inputs.
        rows: int64 [N], rows of the store.
        limit: of a batch; the last may be smaller.

    Yields:
        (positions, batch): int64 [B] into `rows`, and the inputs.
    """
    lengths = store.lengths[rows]
    order = np.argsort(lengths, kind="stable")
    lengths = store.padded_lengths(lengths[order])
    ends = [0]
    while ends[-1] < len(order):
        ends.append(limit.end(lengths, ends[-1]))
    for first, end in reversed(list(itertools.pairwise(ends))):
        positions = order[first:end]
        yield positions, store.padded(rows[positions])
