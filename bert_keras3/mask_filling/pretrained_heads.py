"""A checkpoint's encoder and pretraining heads, and their log-probabilities.

    rows of token ids → batches by length → ln P(piece | the rest of the row)

Padding is not computed, nor the output layer at other positions than the one
of each row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.checkpointing.checkpoint import check_modelled
from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.feature_store import (
    INPUT_COLUMNS,
    Column,
    store_in_memory,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.predict import Predictor
from modeling.bert_with_heads import MASKED_LM_POSITIONS, BertWithHeads
from modeling.shapes import Tensor
from tokenization.packing import Packed

MASKED_LM, NEXT_SENTENCE = "masked_lm", "next_sentence"

# What a head is called in messages, and the beginning of its weights' names.
_NAMES = {
    MASKED_LM: "masked-LM head (cls/predictions/…)",
    NEXT_SENTENCE: "next-sentence head with a pooler (cls/seq_relationship/…)",
}
_POOLER = "bert/pooler/"
_TARGETS = "targets"
_COLUMNS = {
    **INPUT_COLUMNS,
    MASKED_LM_POSITIONS: Column("int32", shape=(1,)),
    _TARGETS: Column("int32", shape=(1,)),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One input of the model, of which one position is predicted.

    Attributes:
        packed: token ids and segment ids.
        position: of the token to predict.
        target: id of the token whose probability is wanted there.
    """

    packed: Packed
    position: int = 0
    target: int = 0


class PretrainedHeads:
    """A model in memory; its graphs are made when they are first needed.

    Attributes:
        model: the encoder and the heads that the checkpoint has.
        source: path of the checkpoint, for messages.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, batch_size: int, concurrency: int
    ) -> None:
        """Loads the weights.

        Args:
            checkpoint: with at least one of the two heads.
            batch_size: the most rows of a batch.
            concurrency: number of batches computed in parallel.

        Raises:
            UserError: it has neither head, or lacks a weight.
        """
        self.source = checkpoint.source
        check_modelled(checkpoint.arrays, self.source, "fill_mask")
        found = checkpoint.heads
        self._heads = tuple(
            head
            for head in (MASKED_LM, NEXT_SENTENCE)
            if head in found and (head == MASKED_LM or "pooler" in found)
        )
        if not self._heads:
            raise self._lacks(" and no ".join(_NAMES.values()), found)
        self._found = found
        self.model = BertWithHeads(checkpoint.config, self._heads)
        checkpoint.load_into(
            self.model, () if NEXT_SENTENCE in self._heads else (_POOLER,)
        )
        self._limit = BatchLimit(batch_size)
        self._all, self._of_target, self._pairs = (
            Predictor(self.model, outputs, concurrency=concurrency)
            for outputs in (_log_probabilities, _of_targets, _of_pairs)
        )

    def require(self, head: str) -> None:
        """Checks that the model has a head.

        Raises:
            UserError: it has not.
        """
        if head not in self._heads:
            raise self._lacks(_NAMES[head], self._found)

    def _lacks(self, what: str, found: Sequence[str]) -> UserError:
        others = [one for one in found if one not in _NAMES]
        has = f" (it has {', '.join(others)})" if others else ""
        return UserError(
            f"{self.source}: has no {what}{has}; give the pretrained "
            "checkpoint that it was made from, as Google and Hugging Face "
            "(BertForPreTraining, BertForMaskedLM) publish them, or train the "
            "heads with run_pretraining"
        )

    def masked(self, rows: Sequence[Row]) -> np.ndarray:
        """Returns ln P of every piece at each row's position, float32 [N, V].

        Raises:
            UserError: there is no masked-LM head.
        """
        self.require(MASKED_LM)
        return self._computed(self._all, rows)

    def of_targets(self, rows: Sequence[Row]) -> np.ndarray:
        """Returns ln P of each row's target at its position, float32 [N].

        Raises:
            UserError: there is no masked-LM head.
        """
        self.require(MASKED_LM)
        return self._computed(self._of_target, rows)

    def pairs(self, rows: Sequence[Row]) -> np.ndarray:
        """Returns ln P of "B follows A" and of "B is random", float32 [N, 2].

        Raises:
            UserError: there is no next-sentence head.
        """
        self.require(NEXT_SENTENCE)
        return self._computed(self._pairs, rows)

    def _computed(
        self, predictor: Predictor, rows: Sequence[Row]
    ) -> np.ndarray:
        store = store_in_memory(
            (
                (
                    number,
                    {
                        "input_ids": row.packed.input_ids,
                        "segment_ids": row.packed.segment_ids,
                        MASKED_LM_POSITIONS: [row.position],
                        _TARGETS: [row.target],
                    },
                )
                for number, row in enumerate(rows)
            ),
            _COLUMNS,
        )
        batches = batches_by_length(store, np.arange(len(rows)), self._limit)
        return predictor(batches, len(rows))[_OUTPUT]


_OUTPUT = "log_probabilities"
_Features = Mapping[str, Tensor]


def _logits(model: Any, features: _Features, head: str) -> Tensor:
    return ops.cast(model(dict(features), training=False)[head], "float32")


def _log_probabilities(model: Any, features: _Features) -> dict[str, Tensor]:
    # [B·1, V]
    logits = _logits(model, features, "masked_lm_logits")
    return {_OUTPUT: ops.log_softmax(logits, axis=-1)}


def _of_targets(model: Any, features: _Features) -> dict[str, Tensor]:
    every = _log_probabilities(model, features)[_OUTPUT]
    # [B, V] -> [B, 1] -> [B]
    chosen = ops.take_along_axis(every, features[_TARGETS], axis=-1)
    return {_OUTPUT: chosen[:, 0]}


def _of_pairs(model: Any, features: _Features) -> dict[str, Tensor]:
    # [B, 2]
    logits = _logits(model, features, "next_sentence_logits")
    return {_OUTPUT: ops.log_softmax(logits, axis=-1)}
