"""Precision, recall and F1 of entities, as seqeval and conlleval count them.

An entity is right if its first token, its last and its type are. Figures are
counted from sets of entities, so that a million tokens take no Python loop;
tests/tagging/test_metrics.py shows that they equal seqeval's. (The library
itself goes through tags one by one, had its last release in 2020, and has no
wheel, so that it could not be installed as everything else here is.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many entities of each of C types there are.

    Attributes:
        right: int [C], predicted ones that are right.
        predicted: int [C].
        true: int [C], of the file.
    """

    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray

    @classmethod
    def of(
        cls, true: np.ndarray, predicted: np.ndarray, num_types: int
    ) -> Counts:
        """Compares entities.

        Args:
            true: int [E, 3] of `schemes.entities_of`.
            predicted: int [P, 3].
            num_types: C.
        """
        right = predicted[are_among(predicted, true)]
        return cls(
            *(
                np.bincount(one[:, 2], minlength=num_types)
                for one in (right, predicted, true)
            )
        )

    def total(self) -> dict[str, float]:
        """Returns precision, recall and f1 over all types (micro)."""
        sums = self.right.sum(), self.predicted.sum(), self.true.sum()
        figures = Counts(*(np.array([one]) for one in sums))._figures()
        return {name: float(values[0]) for name, values in figures.items()}

    def macro_f1(self) -> float:
        """Returns the mean F1 of the types; 0 if there are none."""
        f1 = self._figures()["f1"][(self.true > 0) | (self.predicted > 0)]
        return float(f1.mean()) if len(f1) else 0.0

    def per_type(
        self, types: tuple[str, ...]
    ) -> dict[str, Mapping[str, float]]:
        """Returns {type: precision, recall, f1, support}."""
        figures = self._figures()
        return {
            name: {
                **{what: float(one[n]) for what, one in figures.items()},
                "support": int(self.true[n]),
            }
            for n, name in enumerate(types)
        }

    def _figures(self) -> dict[str, np.ndarray]:
        """Precision, recall and F1, each [C]; what has no entity is 0."""
        precision = self.right / np.maximum(self.predicted, 1)
        recall = self.right / np.maximum(self.true, 1)
        both = precision + recall
        f1 = 2 * precision * recall / np.where(both > 0, both, 1)
        return {"precision": precision, "recall": recall, "f1": f1}


def are_among(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns which rows of an array are rows of another, bool [N].

    Args:
        one: int [N, 3] of entities; each row once.
        other: int [M, 3].
    """
    both = np.concatenate([one, other])
    _, number, counts = np.unique(
        both, axis=0, return_inverse=True, return_counts=True
    )
    return np.asarray(counts[number.reshape(-1)[: len(one)]] > 1)


def confusion_of_types(
    true: np.ndarray, predicted: np.ndarray, num_types: int
) -> np.ndarray:
    """Counts which type entities with the same tokens were given.

    Args:
        true: int [E, 3].
        predicted: int [P, 3].
        num_types: C.

    Returns:
        int64 [C + 1, C + 1]: rows are true types, columns predicted ones; the
        last column is of entities that were not found with these tokens, the
        last row of those predicted where none is.
    """
    matrix = np.zeros((num_types + 1, num_types + 1), np.int64)
    matches = matching(true, predicted)
    of_true = np.append(true[:, 2], num_types)
    of_predicted = np.append(predicted[:, 2], num_types)
    np.add.at(matrix, (of_true[matches[:, 0]], of_predicted[matches[:, 1]]), 1)
    return matrix


def matching(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pairs entities that have the same tokens.

    Returns:
        int64 [R, 2]: numbers of a true and of a predicted entity, −1 where
        there is none; in the order of the tokens.
    """
    tokens = np.concatenate([true[:, :2], predicted[:, :2]])
    order = np.unique(tokens, axis=0, return_inverse=True)[1].reshape(-1)
    pairs = np.full((int(order.max(initial=-1)) + 1, 2), -1, np.int64)
    pairs[order[: len(true)], 0] = np.arange(len(true))
    pairs[order[len(true) :], 1] = np.arange(len(predicted))
    return pairs
