"""The other half of the Transformer: target ids [B, T] → logits [B, T, V].

"Attention Is All You Need" (Vaswani et al. 2017), section 3.1, from the layers
of the encoder: a decoder layer is a `TransformerLayer` with a second attention
between its two parts, to the encoder's vectors of the source.

    >>> import numpy as np
    >>> sizes = dict(
    ...     hidden_size=6,  # D
    ...     num_hidden_layers=2,
    ...     num_attention_heads=2,  # N
    ...     intermediate_size=8,  # I
    ... )
    >>> model = EncoderDecoder(BertConfig(5, **sizes), BertConfig(5, **sizes))
    >>> inputs = {  # B=2, S=4, T=3
    ...     "input_ids": np.array([[1, 2, 4, 0], [1, 3, 0, 0]]),
    ...     "input_mask": np.array([[1, 1, 1, 0], [1, 1, 0, 0]]),
    ...     "target_ids": np.array([[1, 2, 4], [1, 3, 0]]),
    ...     "target_mask": np.array([[1, 1, 1], [1, 1, 0]]),
    ... }
    >>> tuple(model(inputs).shape)  # V=5
    (2, 3, 5)

One target token at a time, nothing computed twice:

    >>> source = model.read(inputs)
    >>> past = model.decoder.no_past(2)
    >>> for position, ids in enumerate(([[1], [1]], [[2], [3]])):
    ...     logits, past = model.continued(
    ...         np.array(ids)[:, None], source, past, position
    ...     )
    >>> tuple(logits.shape)  # [B, beams, tokens, V]
    (2, 1, 1, 5)
    >>> tuple(past[0][0].shape)  # keys of a layer, [B, N, positions, H]
    (2, 2, 2, 3)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
from keras import ops

from bert_keras3.safekeeping.errors import UserError
from modeling.activations import get_activation
from modeling.attention import key_mask
from modeling.bert import BertModel
from modeling.config import BertConfig
from modeling.embeddings import (
    EmbeddingLookup,
    EmbeddingPostprocessor,
    TableSettings,
)
from modeling.encoder import (
    Intermediate,
    LayerSettings,
    ResidualOutput,
    SelfAttention,
)
from modeling.heads import linear
from modeling.shapes import Shape, Tensor, reshape_to_matrix
from modeling.unpadding import PaddedLayout, TokenLayout, UnpaddedLayout

KeysAndValues: TypeAlias = "tuple[Tensor, Tensor]"
"""Of one attention, float [B, N, T, H] each."""

SINUSOIDAL = "sinusoidal"
LEARNED = "learned"
POSITIONS = (SINUSOIDAL, LEARNED)
"""Kinds of position vectors that a decoder may have."""


def causal_mask(queries: int | Tensor, keys: int | Tensor) -> Tensor:
    """Returns which keys come no later than each query.

    Args:
        queries: F; they are the last F of the positions of the keys.
        keys: T, at least F.

    Returns:
        float32 [1, F, T], 1 to attend, 0 not to; for F=2 and T=3
        [[[1, 1, 0], [1, 1, 1]]].
    """
    position = ops.arange(queries) + (keys - queries)
    allowed = ops.arange(keys)[None, :] <= position[:, None]
    return ops.cast(allowed, "float32")[None]


@dataclasses.dataclass(frozen=True)
class Source:
    """The texts that a decoder reads, computed once.

    Attributes:
        keys: of every decoder layer, its keys and values, [B, N, S, H] each.
        mask: [B, 1, S], 0 for padding; None if there is none.
    """

    keys: Sequence[KeysAndValues]
    mask: Tensor | None


class DecoderLayer(keras.layers.Layer):
    """Masked self-attention, attention to the source, feed-forward part."""

    def __init__(
        self, settings: LayerSettings, source_size: int, **kwargs: Any
    ) -> None:
        """Makes the layer.

        Args:
            settings: of the layer.
            source_size: width of the encoder's vectors.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._source_size = source_size
        self.attention = SelfAttention(settings, name="attention")
        self.cross_attention = SelfAttention(settings, name="crossattention")
        self.intermediate = Intermediate(settings, name="intermediate")
        self.output_layer = ResidualOutput(settings, name="output")

    def build(self, input_shape: Shape) -> None:
        """Makes the parts for inputs [R, D]."""
        self.attention.build(input_shape)
        self.cross_attention.build(input_shape, (None, self._source_size))
        self.intermediate.build(input_shape)
        inner_shape = (None, self.intermediate.dense.units)
        self.output_layer.build(inner_shape, input_shape)

    def call(
        self,
        x: Tensor,
        *,
        keys: KeysAndValues,
        attention_mask: Tensor | None,
        source_mask: Tensor | None,
        layout: TokenLayout,
        past: KeysAndValues | None = None,
        beams: TokenLayout | None = None,
        training: bool | None = None,
    ) -> tuple[Tensor, KeysAndValues]:
        """Computes the tokens of a matrix.

        Args:
            x: float [R, D].
            keys: of the source, [B, N, S, H] each.
            attention_mask: [1, F, T] or [B, F, T], which target tokens may be
                attended to; None: all.
            source_mask: [B, 1, S], which source tokens may be; None: all.
            layout: where in [B, F] the tokens of x are.
            past: keys and values of the tokens before those of x,
                [B, N, T - F, H] each.
            beams: where the tokens of x are if all those of the beams of one
                source are taken for one sequence; None: there are no beams.
            training: whether dropout is on.

        Returns:
            float [R, D], and keys and values with those of x behind `past`,
            [B, N, T, H] each.
        """
        # [R, D] -> [B, N, F, H]
        present = self.attention.self_attention.keys_and_values(x, layout)
        if past is not None:
            # [B, N, T - F, H], [B, N, F, H] -> [B, N, T, H]
            present = tuple(
                ops.concatenate([before, new], axis=2)
                for before, new in zip(past, present, strict=True)
            )
        x = self.attention.attend(
            x, *present, attention_mask, layout=layout, training=training
        )
        x = self.cross_attention.attend(
            x, *keys, source_mask, layout=beams or layout, training=training
        )
        # [R, D] -> [R, I] -> [R, D]
        return (
            self.output_layer(self.intermediate(x), x, training=training),
            present,
        )


class Decoder(keras.layers.Layer):
    """The embeddings of the target, the layers, and the bias of the output."""

    def __init__(
        self,
        config: BertConfig,
        source_size: int,
        positions: str = SINUSOIDAL,
        *,
        own_table: bool = False,
        **kwargs: Any,
    ) -> None:
        """Makes the layers.

        Args:
            config: of the decoder.
            source_size: width of the encoder's vectors.
            positions: one of `POSITIONS`.
            own_table: whether it has a word embedding table of its own.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._config = config
        # Section 3.4: the vectors of words are as large as those of positions.
        self._scale = (
            math.sqrt(config.hidden_size) if positions == SINUSOIDAL else 1.0
        )
        self.word_embeddings: EmbeddingLookup | None = None
        if own_table:
            self.word_embeddings = EmbeddingLookup(
                config.vocab_size,
                config.hidden_size,
                config.initializer_range,
                name="embeddings",
            )
        self.embedding_postprocessor = EmbeddingPostprocessor(
            config.hidden_size,
            None,
            TableSettings(
                "position_embeddings",
                config.max_position_embeddings,
                sinusoidal=positions == SINUSOIDAL,
            ),
            config.initializer_range,
            config.hidden_dropout_prob,
            config.layer_norm_eps,
            name="embeddings",
        )
        settings = LayerSettings(
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            get_activation(config.hidden_act),
            config.hidden_dropout_prob,
            config.attention_probs_dropout_prob,
            config.initializer_range,
            config.layer_norm_eps,
        )
        self.decoder_layers = [
            DecoderLayer(settings, source_size, name=f"layer_{n}")
            for n in range(config.num_hidden_layers)
        ]

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes all weights; their shapes follow from the configuration."""
        if self.word_embeddings is not None:
            self.word_embeddings.build()
        self.embedding_postprocessor.build()
        for layer in self.decoder_layers:
            layer.build((None, self._config.hidden_size))
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(self._config.vocab_size,),
            initializer="zeros",
        )

    def source_keys(
        self, vectors: Tensor, layout: TokenLayout
    ) -> list[KeysAndValues]:
        """Projects the encoder's vectors for every layer.

        Args:
            vectors: float [R, source width].
            layout: where in [B, S] they are.

        Returns:
            Keys and values of each layer, [B, N, S, H] each.
        """
        return [
            layer.cross_attention.self_attention.keys_and_values(
                vectors, layout
            )
            for layer in self.decoder_layers
        ]

    def no_past(self, rows: int | Tensor) -> list[KeysAndValues]:
        """Returns keys and values of no token, for each layer.

        Args:
            rows: B, number of sequences.
        """
        heads = self._config.num_attention_heads
        shape = (rows, heads, 0, self._config.hidden_size // heads)
        empty = ops.zeros(shape, self.compute_dtype)
        return [(empty, empty) for _ in self.decoder_layers]

    def call(
        self,
        word_vectors: Tensor,
        *,
        source: Source,
        attention_mask: Tensor | None,
        layout: TokenLayout,
        past: Sequence[KeysAndValues] | None = None,
        first_position: int | Tensor = 0,
        beams: TokenLayout | None = None,
        training: bool | None = None,
    ) -> tuple[Tensor, list[KeysAndValues]]:
        """Computes target tokens.

        Args:
            word_vectors: float [R, D] of an `UnpaddedLayout`, else [B, F, D].
            source: what is read.
            attention_mask: as for `DecoderLayer`.
            layout: where in [B, F] the tokens are.
            past: of every layer, as for `DecoderLayer`.
            first_position: position of the first of the F tokens.
            beams: as for `DecoderLayer`.
            training: whether dropout is on.

        Returns:
            float [R, D], and of every layer its keys and values.
        """
        x = self.embedding_postprocessor(
            word_vectors * self._scale,
            layout=layout if isinstance(layout, UnpaddedLayout) else None,
            first_position=first_position,
            training=training,
        )
        # [B, F, D] -> [R, D]
        x = reshape_to_matrix(x)
        present = []
        for number, layer in enumerate(self.decoder_layers):
            x, keys = layer(
                x,
                keys=source.keys[number],
                attention_mask=attention_mask,
                source_mask=source.mask,
                layout=layout,
                past=None if past is None else past[number],
                beams=beams,
                training=training,
            )
            present.append(keys)
        return x, present


class EncoderDecoder(keras.Model):
    """A `BertModel` and a decoder that reads what it computes.

    The output weights are the word embedding table of the decoder, which by
    default is the encoder's too (section 3.4).

    Attributes:
        bert: the encoder.
        decoder: the decoder.
        positions: kind of the decoder's position vectors.
    """

    def __init__(
        self,
        config: BertConfig,
        decoder_config: BertConfig,
        positions: str = SINUSOIDAL,
        *,
        shared_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        """Builds the model with random weights.

        Args:
            config: of the encoder.
            decoder_config: of the decoder; `type_vocab_size` has no effect.
            positions: one of `POSITIONS`, of the decoder.
            shared_embeddings: whether both have one vocabulary and one word
                embedding table.
            **kwargs: of `keras.Model`.

        Raises:
            UserError: a configuration is impossible, or they do not fit.
        """
        super().__init__(**{"name": "encoder_decoder", **kwargs})
        decoder_config.validate()
        if positions not in POSITIONS:
            raise UserError(
                f"there are no {positions!r} positions; a decoder has "
                f"{' or '.join(POSITIONS)} ones"
            )
        self.bert = BertModel(config)
        if shared_embeddings:
            _check_sharing(config, decoder_config)
        self.positions = positions
        self.decoder_config = decoder_config
        self.shared_embeddings = shared_embeddings
        self.decoder = Decoder(
            decoder_config,
            config.hidden_size,
            positions,
            own_table=not shared_embeddings,
            name="decoder",
        )
        self.decoder.build()
        self.built = True

    def call(
        self, inputs: Mapping[str, Tensor], training: bool | None = None
    ) -> Tensor:
        """Computes the logits of the token behind each target token.

        Args:
            inputs: `input_ids` and, if need be, `input_mask` and
                `segment_ids`, int32 [B, S] each; `target_ids` and
                `target_mask`, int32 [B, T].
            training: whether dropout is on.

        Returns:
            float [B, T, V]; 0 at padding.
        """
        logits, layout = self.token_logits(inputs, training)
        return layout.pad(logits)

    def token_logits(
        self, inputs: Mapping[str, Tensor], training: bool | None = None
    ) -> tuple[Tensor, UnpaddedLayout]:
        """Computes the same without padding.

        Args:
            inputs: as for `call`.
            training: whether dropout is on.

        Returns:
            float [R, V], and where in [B, T] the R target tokens are.
        """
        layout = UnpaddedLayout(inputs["target_mask"])
        # [B, T] -> [R] -> [1, R, D] -> [R, D]
        ids = layout.unpad(inputs["target_ids"])
        words = ops.squeeze(self._words(ops.expand_dims(ids, 0)), 0)
        # Padding stands behind the tokens, where none of them looks.
        vectors, _ = self.decoder(
            words,
            source=self.read(inputs, training),
            attention_mask=causal_mask(layout.length, layout.length),
            layout=layout,
            training=training,
        )
        return self._logits(vectors), layout

    def read(
        self, inputs: Mapping[str, Tensor], training: bool | None = None
    ) -> Source:
        """Computes of a source what the decoder attends to.

        Args:
            inputs: as for `call`, without the target.
            training: whether dropout is on.
        """
        names = ("input_ids", "input_mask", "segment_ids")
        encoded = self.bert.encode(
            {name: inputs[name] for name in names if name in inputs},
            outputs=["tokens"],
            training=training,
        )
        mask = inputs.get("input_mask")
        return Source(
            self.decoder.source_keys(encoded.tokens, encoded.layout),
            None if mask is None else key_mask(mask),
        )

    def continued(
        self,
        ids: Tensor,
        source: Source,
        past: Sequence[KeysAndValues] | None,
        first_position: int | Tensor,
    ) -> tuple[Tensor, list[KeysAndValues]]:
        """Computes the logits behind further target tokens.

        All beams of a source attend to its one set of keys.

        Args:
            ids: int32 [B, K, F], the next F tokens of K beams.
            source: of B texts.
            past: keys and values of the tokens before, of every layer,
                [B·K, N, T - F, H] each; None: there are none.
            first_position: T - F, number of tokens before.

        Returns:
            float [B, K, F, V], and the keys and values [B·K, N, T, H].
        """
        batch, beams, number = ops.shape(ids)
        # [B, K, F] -> [B·K, F] -> [B·K, F, D]
        words = self._words(ops.reshape(ids, (batch * beams, number)))
        vectors, present = self.decoder(
            words,
            source=source,
            attention_mask=causal_mask(number, first_position + number),
            layout=PaddedLayout(batch * beams, number),
            past=past,
            first_position=first_position,
            beams=PaddedLayout(batch, beams * number),
        )
        # [B·K·F, D] -> [B·K·F, V] -> [B, K, F, V]
        logits = self._logits(vectors)
        shape = (batch, beams, number, logits.shape[-1])
        return ops.reshape(logits, shape), present

    def _words(self, ids: Tensor) -> Tensor:
        """[B, T] → [B, T, D]."""
        table = self.decoder.word_embeddings or self.bert.word_embeddings
        return table(ids)

    def _logits(self, vectors: Tensor) -> Tensor:
        """[R, D] → [R, V]."""
        table = self.decoder.word_embeddings or self.bert.word_embeddings
        weights = ops.cast(ops.convert_to_tensor(table.table), vectors.dtype)
        bias = ops.cast(
            ops.convert_to_tensor(self.decoder.output_bias), vectors.dtype
        )
        return linear(vectors, weights, bias)


def _check_sharing(config: BertConfig, decoder_config: BertConfig) -> None:
    """Checks that one word embedding table fits encoder and decoder.

    Raises:
        UserError: names the sizes that differ.
    """
    for name, theirs, ours in (
        ("vocab_size", config.vocab_size, decoder_config.vocab_size),
        ("hidden_size", config.embedding_width, decoder_config.hidden_size),
    ):
        if theirs != ours:
            raise UserError(
                f"encoder and decoder cannot share word embeddings: `{name}` "
                f"is {theirs} in the encoder and {ours} in the decoder"
            )
