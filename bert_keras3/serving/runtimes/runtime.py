"""The interface of the libraries that run exported models.

Texts become token ids, and token ids become named outputs.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import numpy as np

from bert_keras3.finetuning.encoded_examples import Outputs
from bert_keras3.serving.description import Description
from tokenization.tokenizers import Tokenizer

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

    @property
    @abc.abstractmethod
    def tokenizer(self) -> Tokenizer:
        """The tokenizer in Python, for tasks that make rows themselves."""

    @abc.abstractmethod
    def token_ids(self, rows: Sequence[Row]) -> Ids:
        """Tokenizes N inputs, a row each, and pads them to the longest."""

    @abc.abstractmethod
    def outputs(self, ids: Ids) -> Outputs:
        """Computes what `exported_outputs` names, float [N, …] each."""

    def outputs_of_texts(self, rows: Sequence[Row]) -> Outputs:
        """Tokenizes and computes N inputs as one batch."""
        return self.outputs(self.token_ids(rows))
