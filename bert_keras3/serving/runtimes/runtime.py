"""What `Predictor` asks of whatever computes an exported model.

Texts to ids and ids to numbers; in which order texts are computed, and what
the numbers say of them, is left to `predictor`.
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
        description: of the model.
        concurrency: how many batches are best computed at the same time.
    """

    description: Description
    concurrency: int = 1

    @abc.abstractmethod
    def ids(self, rows: Sequence[Row]) -> Ids:
        """Tokenizes N inputs, and pads them to the longest of them."""

    @abc.abstractmethod
    def scores(self, ids: Ids) -> np.ndarray:
        """Returns probabilities, float [N, C], or values, float [N]."""

    def answer(self, rows: Sequence[Row]) -> np.ndarray:
        """Does both for N inputs that are computed together."""
        return self.scores(self.ids(rows))
