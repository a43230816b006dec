"""A `BertModel` and heads on top of it, as one Keras model.

Fine-tuning, pretraining and converted checkpoints all have this model.

    >>> import numpy as np
    >>> config = BertConfig(
    ...     vocab_size=5,  # V
    ...     hidden_size=6,  # D
    ...     num_hidden_layers=2,
    ...     num_attention_heads=2,  # N
    ...     intermediate_size=8,  # I
    ... )
    >>> inputs = {  # B=2, S=4
    ...     "input_ids": np.array([[1, 2, 4, 0], [1, 3, 0, 0]]),
    ...     "input_mask": np.array([[1, 1, 1, 0], [1, 1, 0, 0]]),
    ... }
    >>> model = BertWithHeads(config, ["labels"], labels=("ham", "spam"))
    >>> {name: tuple(logits.shape) for name, logits in model(inputs).items()}
    {'logits': (2, 2)}
    >>> model = BertWithHeads(config, ["masked_lm", "next_sentence"])
    >>> {name: tuple(logits.shape) for name, logits in model(inputs).items()}
    {'masked_lm_logits': (2, 4, 5), 'next_sentence_logits': (2, 2)}
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Sequence
from typing import Any

import keras
from keras import ops

from modeling.bert import BertModel, Encoded, Inputs
from modeling.config import BertConfig
from modeling.extra_columns import ExtraColumns
from modeling.heads import (
    HEADS,
    POOLED,
    TOKENS,
    ClsHeads,
    SequenceClassifier,
    gather_indexes,
)
from modeling.shapes import Tensor

MASKED_LM_POSITIONS = "masked_lm_positions"
"""An input beside those of `BertModel`: int32 [B, P], where the head
`masked_lm` predicts; without it, it does everywhere."""


@keras.saving.register_keras_serializable(package="bert")
class BertWithHeads(keras.Model):
    """The encoder and some heads; weights are named as Google's.

    The masked-LM head uses the word embedding table itself, so the two stay
    one weight when the model is saved and loaded.

    Attributes:
        bert: the encoder.
        heads: keys of `heads.HEADS`.
        labels: names of the classes of the head `labels` or `token_labels`.
        unpad: whether padding is left out of the computation. The logits of
            real tokens are the same without; then everything is computed as
            in the original.
    """

    def __init__(
        self,
        config: BertConfig,
        heads: Sequence[str] = (),
        labels: Sequence[str] = (),
        encoder_outputs: bool = False,
        extra_columns: tuple[int, int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Builds the model with random weights.

        Args:
            config: of the encoder.
            heads: keys of `heads.HEADS`.
            labels: names of the classes, C in all, for a head that has some.
            encoder_outputs: also return the encoder's own outputs, padding
                computed, as models of converted checkpoints do.
            extra_columns: the first three sizes of `ExtraColumns`, whose
                vector the head `labels` reads behind the pooled output.
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
        self.extra: Any = None
        width = config.hidden_size
        if extra_columns is not None:
            extra_width = config.intermediate_size
            self.extra = ExtraColumns(*extra_columns, width=extra_width)
            self.extra.build()
            width += extra_width
        self._extra_sizes = extra_columns
        self.classifier: Any = None
        if not all(HEADS[head].in_cls for head in self.heads):
            self.classifier = SequenceClassifier(
                len(self.labels), width, name="classifier"
            )
        # In a namespace, since Keras would wrap a bare function.
        self._table = types.SimpleNamespace(make=None)
        self.built = True

    def use_output_table(
        self, make: Callable[[Inputs, bool | None], Tensor]
    ) -> None:
        """Sets another tensor as the masked-LM head's output weights.

        For trainings that give the word embedding table another gradient
        there.

        Args:
            make: (inputs, training) → the table [V, E].
        """
        self._table.make = make

    def call(
        self,
        inputs: Inputs,
        training: bool | None = None,
        used: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Computes the logits of all heads.

        Args:
            inputs: as for `BertModel`, and `masked_lm_positions` if need be;
                further entries are ignored.
            training: whether dropout is on.
            used: int [U], which of the B·P masked positions are wanted;
                None: all.

        Returns:
            `logits` [B, C], or [B, S, C] for `token_labels`;
            `masked_lm_logits` [B, S, V], or with positions [B·P, V] or
            [U, V]; `next_sentence_logits` [B, 2]; `start_logits` and
            `end_logits` [B, S]. Those of padding are `Head.padding` with
            `unpad`.
        """
        if self.unpad:
            encoded = self.encode(inputs, training=training)
            return self.logits_of(encoded, inputs, training, used)
        positions = _positions(inputs)
        # [B, D] and [B, S, D]
        outputs = self.bert(inputs, training=training)
        tokens = outputs[TOKENS]
        vectors = {POOLED: outputs[POOLED], TOKENS: tokens}
        masked = tokens
        if positions is not None:
            # [B, S, D] -> [B·P, D]
            masked = gather_indexes(tokens, positions)
        if used is not None:
            # [B·P, D] -> [U, D]
            masked = ops.take(masked, used, axis=0)
        logits = self._logits(vectors, masked, inputs, training)
        return self._named(vectors, logits, _unchanged, positions is not None)

    def encode(
        self,
        inputs: Inputs,
        outputs: Collection[str] = (),
        training: bool | None = None,
    ) -> Encoded:
        """Computes what the heads read, and what else is wanted.

        Args:
            inputs: as for `call`.
            outputs: as for `BertModel.encode`.
            training: whether dropout is on.
        """
        positions = _positions(inputs)
        return self.bert.encode(
            inputs,
            positions=positions,
            outputs=(*self._wanted_outputs(positions is not None), *outputs),
            training=training,
            unpad=self.unpad,
        )

    def logits_of(
        self,
        encoded: Encoded,
        inputs: Inputs | None = None,
        training: bool | None = None,
        used: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Computes the logits of all heads from what `encode` returned.

        Args:
            encoded: with what the heads read.
            inputs: that were encoded; None if all heads read the pooled
                output alone.
            training: whether dropout is on.
            used: as for `call`.

        Returns:
            As `call`.
        """
        has_positions = _positions(inputs) is not None
        # [B, D] and [R, D]; at masked positions [B·P, D]
        vectors = self._vectors_of(encoded)
        masked = encoded.vectors if has_positions else vectors.get(TOKENS)
        if used is not None:
            # [B·P, D] -> [U, D]
            masked = ops.take(masked, used, axis=0)
        logits = self._logits(vectors, masked, inputs, training)
        named = self._named(vectors, logits, encoded.layout.pad, has_positions)
        return self._without_padding(named, inputs)

    def _wanted_outputs(self, has_positions: bool) -> tuple[str, ...]:
        """Returns what to compute beside the first token and positions."""
        reads_tokens = self.encoder_outputs or any(
            HEADS[head].reads == TOKENS
            and not (head == "masked_lm" and has_positions)
            for head in self.heads
        )
        return ("tokens",) if reads_tokens else ()

    def _vectors_of(self, encoded: Encoded) -> dict[str, Tensor]:
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
        vectors: dict[str, Tensor],
        masked: Tensor | None,
        inputs: Inputs | None,
        training: bool | None,
    ) -> dict[str, Tensor]:
        """Returns the logits of each head, by the head's name."""
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
                read_by_head = vectors[HEADS[head].reads]
                if self.extra is not None:
                    # [B, D] and [B, I] -> [B, D + I]
                    columns = self.extra(inputs)
                    read_by_head = ops.concatenate(
                        [read_by_head, ops.cast(columns, read_by_head.dtype)],
                        axis=-1,
                    )
                logits[head] = self.classifier(read_by_head, training=training)
        return logits

    def _named(
        self,
        vectors: dict[str, Tensor],
        logits: dict[str, Tensor],
        pad: Callable[[Tensor], Tensor],
        has_positions: bool,
    ) -> dict[str, Tensor]:
        """Names all outputs; those of tokens become [B, S, …]."""
        outputs = {}
        if self.encoder_outputs:
            outputs = {**vectors, TOKENS: pad(vectors[TOKENS])}
        for head, values in logits.items():
            at_positions = head == "masked_lm" and has_positions
            if HEADS[head].reads == TOKENS and not at_positions:
                # [R, C] -> [B, S, C]
                values = pad(values)
            names = HEADS[head].outputs
            if len(names) == 1:
                outputs[names[0]] = values
            else:
                for number, name in enumerate(names):
                    outputs[name] = values[..., number]
        return outputs

    def _without_padding(
        self, outputs: dict[str, Tensor], inputs: Inputs | None
    ) -> dict[str, Tensor]:
        """Sets the logits of padding where a softmax goes over tokens."""
        mask = inputs.get("input_mask") if isinstance(inputs, dict) else None
        if not self.unpad or mask is None:
            return outputs
        for head in self.heads:
            padding = HEADS[head].padding
            for name in HEADS[head].outputs if padding else ():
                outputs[name] = ops.where(
                    ops.cast(mask, "bool"), outputs[name], padding
                )
        return outputs

    def with_config(self, config: BertConfig) -> BertWithHeads:
        """Returns a model with the same heads, and random weights.

        Args:
            config: of its encoder.
        """
        return BertWithHeads(
            config, self.heads, self.labels, extra_columns=self._extra_sizes
        )

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same model."""
        return {
            "config": self.bert.config.to_dict(),
            "heads": list(self.heads),
            "labels": list(self.labels),
            "encoder_outputs": self.encoder_outputs,
            "extra_columns": self._extra_sizes and list(self._extra_sizes),
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> BertWithHeads:
        """Makes a model from `get_config`'s mapping, weights random."""
        rest = dict(config)
        return cls(BertConfig.from_dict(rest.pop("config")), **rest)


def _positions(inputs: Inputs | None) -> Tensor | None:
    """Returns the masked positions [B, P], if the inputs name some."""
    if isinstance(inputs, dict):
        return inputs.get(MASKED_LM_POSITIONS)
    return None


def _unchanged(values: Tensor) -> Tensor:
    return values
