"""The rows of each example, where an example has one or several.

rows of examples 0 0 0 1 1 2:  first [0, 3, 5], sizes [3, 2, 1]
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bert_keras3.inputs.feature_store import ranges


@dataclasses.dataclass(frozen=True)
class RowGroups:
    """Rows that belong together.

    Attributes:
        first: int64 [G], index of each group's first row.
        sizes: int64 [G], number of rows of each group.
    """

    first: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, examples: np.ndarray) -> RowGroups:
        """Groups rows by example.

        Args:
            examples: int [R], the example of each row, not decreasing.
        """
        first = np.flatnonzero(np.diff(examples, prepend=-1))
        return cls(first, np.diff(first, append=len(examples)))

    @classmethod
    def alone(cls, number: int) -> RowGroups:
        """Makes a group of each row."""
        return cls(np.arange(number), np.ones(number, np.int64))

    def __len__(self) -> int:
        """Returns the number of groups, G."""
        return len(self.first)

    def places(self, chosen: np.ndarray) -> np.ndarray:
        """Returns where the rows of some groups are among all rows."""
        return ranges(self.first[chosen], self.sizes[chosen])

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of groups [G, …] → of rows [R, …]."""
        return np.repeat(values, self.sizes, axis=0)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Values of rows [R, C] → float64 [G, C]."""
        means: np.ndarray = self.sum(values) / self.sizes[:, None]
        return means

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Values of rows [R, …] → float64 [G, …]."""
        return np.add.reduceat(values.astype(np.float64), self.first)

    def softmax(self, values: np.ndarray) -> np.ndarray:
        """Values of rows [R] → float64 [R], whose sum is 1 in each group."""
        values = values.astype(np.float64)
        powers = np.exp(values - self.spread(self.max(values)))
        shares: np.ndarray = powers / self.spread(self.sum(powers))
        return shares

    def max(self, values: np.ndarray) -> np.ndarray:
        """Values of rows [R, …] → the greatest of each group, [G, …]."""
        return np.maximum.reduceat(values, self.first)
