"""Examples as features on disk, and the outputs of a model for them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.inputs.batches import BatchLimit
    from bert_keras3.inputs.feature_store import FeatureStore
    from bert_keras3.inputs.row_groups import RowGroups
    from tokenization.tokenizers import Tokenizer

Outputs = Mapping[str, np.ndarray]
"""Named outputs of a model, as arrays."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Some examples of a file, encoded.

    Attributes:
        source: the file.
        store: the features of all examples of the file.
        numbers: int64 [E], the numbers of these examples, ascending.
        tokenizer: that made the token ids.
    """

    source: Source
    store: FeatureStore
    numbers: np.ndarray
    tokenizer: Tokenizer

    def __len__(self) -> int:
        """Returns the number of examples, E."""
        return len(self.numbers)

    def with_rows(self) -> Examples:
        """Returns those that have a row; a task may leave some out."""
        has_rows = np.isin(self.numbers, self.store.examples)
        return dataclasses.replace(self, numbers=self.numbers[has_rows])

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """Their rows in the store, int64 [R], ascending."""
        return self.store.rows_of(self.numbers)

    @functools.cached_property
    def groups(self) -> RowGroups:
        """Which of the R rows are of one example."""
        from bert_keras3.inputs.row_groups import RowGroups

        return RowGroups.of(self.store.examples[self.rows])

    def column(self, name: str) -> np.ndarray:
        """Returns a column of the store with one value per row, [R, …]."""
        return np.asarray(self.store.arrays[name][self.rows])

    def values(self, name: str) -> np.ndarray:
        """Returns a column that is one for all rows of an example, [E, …]."""
        return np.asarray(self.store.arrays[name][self.rows[self.groups.first]])

    def outputs(
        self,
        predictor: Callable[..., dict[str, np.ndarray]],
        limit: BatchLimit,
        columns: Sequence[str],
    ) -> Outputs:
        """Computes the model's outputs for the rows, in their order.

        Args:
            predictor: a `training.predict.Predictor`.
            limit: maximum size of a batch.
            columns: the columns of the store that the model reads.

        Returns:
            {name: [R, …] or, per token, [number of tokens, …]}; with
            `FeatureStore.fixed_length` padding is among the tokens.
        """
        from bert_keras3.inputs.batches import batches_by_length

        store, rows = self.store, self.rows
        if not len(rows):
            # As where the contexts of all questions are empty. The names and
            # shapes are the model's: one row is computed, and left out.
            store, rows = store.one_blank_row(), np.zeros(1, np.int64)
        outputs = predictor(
            batches_by_length(store, rows, limit, columns),
            store.output_lengths(rows),
        )
        if not len(self.rows):
            return {name: values[:0] for name, values in outputs.items()}
        return outputs
