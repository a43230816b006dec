"""A `BertModel` and heads on top of it, as one Keras model.

    model = BertWithHeads(config, ["labels"], labels=("ham", "spam"))
    model({"input_ids": ids, "input_mask": mask})      # int32 [2, 4] each
    # {"logits": [2, 2]}

    BertWithHeads(config, ["masked_lm", "next_sentence"])
    # {"masked_lm_logits": [2, 4, V], "next_sentence_logits": [2, 2]}

Fine-tuning, pretraining and converted checkpoints all have this model.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from modeling.bert import BertModel, Encoded
from modeling.config import BertConfig
from modeling.heads import (
    HEADS,
    POOLED,
    TOKENS,
    ClsHeads,
    SequenceClassifier,
    gather_indexes,
)

MASKED_LM_POSITIONS = "masked_lm_positions"
"""An input beside those of `BertModel`: int32 [B, P], where the head
`masked_lm` predicts; without it, it does everywhere."""


@keras.saving.register_keras_serializable(package="bert")
class BertWithHeads(keras.Model):
    """The encoder and some heads; weights are named as Google's.

    The masked-LM head uses the word embedding table itself, so the tie
    survives saving and loading.

    Attributes:
        bert: the encoder.
        heads: names of rows of `heads.HEADS`.
        labels: names of the classes of the head `labels` or `token_labels`.
        unpad: whether nothing is computed for padding. The answers are the
            same without; then everything is computed as in the original.
    """

    def __init__(
        self,
        config: BertConfig,
        heads: Sequence[str] = (),
        labels: Sequence[str] = (),
        encoder_outputs: bool = False,
        **kwargs: Any,
    ) -> None:
        """Builds the model with random weights.

        Args:
            config: of the encoder.
            heads: names of rows of `heads.HEADS`.
            labels: names of the classes, C in all, for a head that has some.
            encoder_outputs: also return the encoder's own outputs, padding
                computed, as models of converted checkpoints do.
            **kwargs: of `keras.Model`.
        """
        super().__init__(**{"name": "bert_with_heads", **kwargs})
        self.heads = tuple(heads)
        self.labels = tuple(labels)
        self.encoder_outputs = encoder_outputs
        self.unpad = not encoder_outputs
        self.bert = BertModel(config)
        self.cls: Any = None
        if any(HEADS[head].in_cls for head in self.heads):
            self.cls = ClsHeads(config, self.heads)
            self.cls.build()
        self.classifier: Any = None
        if not all(HEADS[head].in_cls for head in self.heads):
            self.classifier = SequenceClassifier(
                len(self.labels), config.hidden_size, name="classifier"
            )
        # In a namespace, since Keras would wrap a bare function.
        self._table = types.SimpleNamespace(make=None)
        self.built = True

    def use_output_table(self, make: Callable[[Any, bool | None], Any]) -> None:
        """Compares masked words with another tensor than the table itself.

        For trainings that want a gradient of their own for it.

        Args:
            make: (inputs, training) → the table [V, E].
        """
        self._table.make = make

    def call(
        self, inputs: Any, training: bool | None = None, used: Any = None
    ) -> dict[str, Any]:
        """Computes what the heads make of the inputs.

        Args:
            inputs: as for `BertModel`, and `masked_lm_positions` if need be;
                further entries are ignored.
            training: whether dropout is on.
            used: int [R], which of the B·P masked positions are wanted;
                None: all.

        Returns:
            `logits` [B, C], or [B, S, C] for `token_labels`;
            `masked_lm_logits` [B, S, V], or with positions [B·P, V] or
            [R, V]; `next_sentence_logits` [B, 2]; `start_logits` and
            `end_logits` [B, S]. What belongs to padding is 0 if nothing is
            computed for it.
        """
        place: Callable[[Any], Any] = _as_it_is
        positions = None
        if isinstance(inputs, dict):
            positions = inputs.get(MASKED_LM_POSITIONS)
        if not self.unpad:
            outputs = self.bert(inputs, training=training)
            tokens = outputs[TOKENS]
            vectors = {POOLED: outputs[POOLED], TOKENS: tokens}
            masked = tokens
            if positions is not None:
                masked = gather_indexes(tokens, positions)
        else:
            encoded = self.bert.encode(
                inputs,
                positions=positions,
                tokens=self._reads_tokens(positions is not None),
                training=training,
            )
            vectors = self._vectors_of(encoded)
            masked = vectors.get(TOKENS)
            if positions is not None:
                masked = encoded.vectors
            place = encoded.rows.spread
        if used is not None:
            masked = ops.take(masked, used, axis=0)
        logits = self._logits(vectors, masked, inputs, training)
        return self._named(vectors, logits, place, positions is not None)

    def pooled_logits(
        self, encoded: Encoded, training: bool | None = None
    ) -> dict[str, Any]:
        """Computes what heads over the pooled output make of it.

        Args:
            encoded: what `BertModel.encode` returned.
            training: whether dropout is on.

        Returns:
            As `call`, for a model of such heads alone.
        """
        vectors = {POOLED: encoded.pooled_output}
        logits = self._logits(vectors, None, None, training)
        return self._named(vectors, logits, _as_it_is, False)

    def _reads_tokens(self, has_positions: bool) -> bool:
        return self.encoder_outputs or any(
            HEADS[head].reads == TOKENS
            and not (head == "masked_lm" and has_positions)
            for head in self.heads
        )

    def _vectors_of(self, encoded: Encoded) -> dict[str, Any]:
        """Returns the vectors that heads read; of tokens, [R, D]."""
        vectors = {}
        if encoded.tokens is not None:
            vectors[TOKENS] = encoded.tokens
        if self.encoder_outputs or any(
            HEADS[head].reads == POOLED for head in self.heads
        ):
            vectors[POOLED] = encoded.pooled_output
        return vectors

    def _logits(
        self,
        vectors: dict[str, Any],
        masked: Any,
        inputs: Any,
        training: bool | None,
    ) -> dict[str, Any]:
        """Returns what each head makes of its vectors, by the head's name."""
        logits = {}
        if self.cls is not None:
            read = {
                head: masked
                if head == "masked_lm"
                else vectors[HEADS[head].reads]
                for head in self.heads
                if HEADS[head].in_cls
            }
            table = self.bert.get_embedding_table()
            if self._table.make is not None:
                table = self._table.make(inputs, training)
            logits = self.cls(read, table)
        for head in self.heads:
            if not HEADS[head].in_cls:
                logits[head] = self.classifier(
                    vectors[HEADS[head].reads], training=training
                )
        return logits

    def _named(
        self,
        vectors: dict[str, Any],
        logits: dict[str, Any],
        place: Callable[[Any], Any],
        has_positions: bool,
    ) -> dict[str, Any]:
        """Names all outputs, those of tokens put where they belong."""
        outputs = {}
        if self.encoder_outputs:
            outputs = {**vectors, TOKENS: place(vectors[TOKENS])}
        for head, values in logits.items():
            at_positions = head == "masked_lm" and has_positions
            if HEADS[head].reads == TOKENS and not at_positions:
                values = place(values)
            names = HEADS[head].outputs
            if len(names) == 1:
                outputs[names[0]] = values
            else:
                for number, name in enumerate(names):
                    outputs[name] = values[..., number]
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same model."""
        return {
            "config": self.bert.config.to_dict(),
            "heads": list(self.heads),
            "labels": list(self.labels),
            "encoder_outputs": self.encoder_outputs,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> BertWithHeads:
        """Makes a model from `get_config`'s mapping, weights random."""
        rest = dict(config)
        return cls(BertConfig.from_dict(rest.pop("config")), **rest)


def _as_it_is(values: Any) -> Any:
    return values
