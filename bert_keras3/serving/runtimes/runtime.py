"""The interface of the libraries that run exported models.

Texts become token ids, and token ids become scores.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import numpy as np

from bert_keras3.serving.description import Description

# The texts of one input as UTF-8: one, or two for a model of pairs.
Row = tuple[bytes, ...]
# `formats.ID_INPUTS`, int32 [N, S] each.
Ids = Mapping[str, np.ndarray]


class Runtime(abc.ABC):
    """An exported model in memory; several threads may use it at a time.

    Attributes:
        description: description of the model.
        concurrency: number of batches that are best computed in parallel.
    """

    description: Description
    concurrency: int = 1

    @abc.abstractmethod
    def token_ids(self, rows: Sequence[Row]) -> Ids:
        """Tokenizes N inputs, and pads them to the longest."""

    @abc.abstractmethod
    def scores(self, ids: Ids) -> np.ndarray:
        """Returns probabilities, float [N, C], or values, float [N]."""

    def scores_of_texts(self, rows: Sequence[Row]) -> np.ndarray:
        """Tokenizes and computes N inputs as one batch."""
        return self.scores(self.token_ids(rows))
