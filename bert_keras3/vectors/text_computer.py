"""Computes vectors of texts with an encoder in memory.

Token ids are batched by length and nothing is computed for padding; two
batches are computed at a time where that is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, store_in_memory
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.predict import Predictor
from bert_keras3.vectors.pooling import (
    VECTORS,
    Pooling,
    text_vectors,
    token_vectors,
)
from modeling import BertModel
from tokenization.tokenizers import Tokenizer

_INPUTS = ("input_ids", "input_mask", "segment_ids")

# `input_ids` and `segment_ids` of a text, one value a token.
Row = Mapping[str, Sequence[int]]


class TextComputer:
    """An encoder, its tokenizer, and a graph for every pooling used.

    Attributes:
        bert: the encoder with its weights.
        tokenizer: of its vocabulary.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        concurrency: int = 1,
        use_one_hot_embeddings: bool = False,
    ) -> None:
        """Loads the weights.

        Args:
            checkpoint: has weights and a vocabulary.
            concurrency: number of batches computed at the same time.
            use_one_hot_embeddings: as for `BertModel`.

        Raises:
            UserError: there is no vocabulary, it does not fit the model, or a
                weight of the encoder is missing.
        """
        self.tokenizer: Tokenizer = checkpoint.tokenizer()
        self.bert = BertModel(
            checkpoint.config, use_one_hot_embeddings=use_one_hot_embeddings
        )
        self.note = self.encoder(
            checkpoint.config.max_position_embeddings
        ).check(checkpoint.vocab_file, checkpoint.config.vocab_size)
        # No vector of a token depends on the pooler.
        checkpoint.load_into(self.bert, allow_missing=("bert/pooler",))
        self._concurrency = concurrency
        self._predictors: dict[Pooling, Predictor] = {}

    def encoder(self, max_seq_length: int) -> TextEncoder:
        """Returns what makes token ids of texts.

        Raises:
            UserError: the model has not so many positions.
        """
        longest = self.bert.config.max_position_embeddings
        if max_seq_length > longest:
            raise UserError(
                f"--max_seq_length={max_seq_length}: the model has positions "
                f"for {longest} tokens (`max_position_embeddings`); give at "
                "most that"
            )
        return TextEncoder(self.tokenizer, max_seq_length)

    def vectors(
        self,
        rows: Sequence[Row],
        pooling: Pooling,
        batch_size: int,
        on_batch: Callable[[np.ndarray], None] = lambda numbers: None,
    ) -> np.ndarray:
        """Computes the vectors of texts.

        Args:
            rows: N inputs.
            pooling: checked.
            batch_size: texts in a batch.
            on_batch: called with the numbers of the rows of each batch, when
                it is begun.

        Returns:
            Float32 [N, D]; without modes float32 [T, L·D], for the T tokens of
            all texts, one text after the other.
        """
        if not rows:
            width = pooling.width(self.bert.config.hidden_size)
            return np.zeros((0, width), np.float32)
        store = store_in_memory(enumerate(rows), INPUT_COLUMNS)
        batches = batches_by_length(
            store, np.arange(len(rows)), BatchLimit(batch_size), _INPUTS
        )

        def counted() -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
            for numbers, batch in batches:
                on_batch(numbers)
                yield numbers, batch

        return self._predictor(pooling)(counted(), store.lengths)[VECTORS]

    def _predictor(self, pooling: Pooling) -> Predictor:
        if pooling not in self._predictors:
            self._predictors[pooling] = Predictor(
                self.bert,
                _outputs_of(pooling),
                per_token=() if pooling.modes else (VECTORS,),
                concurrency=self._concurrency,
            )
        return self._predictors[pooling]


def _outputs_of(pooling: Pooling) -> Callable[..., Any]:
    def outputs(bert: BertModel, features: Mapping[str, Any]) -> dict[str, Any]:
        inputs = dict(features)
        if pooling.modes:
            return {VECTORS: text_vectors(bert, inputs, pooling)}
        return {VECTORS: token_vectors(bert, inputs, pooling.layers)}

    return outputs
