"""Heads: the encoder's vectors → logits.

For labels, masked words, the next sentence and spans. The weights are named
as in Google's checkpoints; the losses are in `losses`.

    >>> import numpy as np
    >>> pooled_output = np.ones((2, 6), "float32")  # B=2, D=6
    >>> tuple(SequenceClassifier(3, hidden_size=6)(pooled_output).shape)  # C=3
    (2, 3)
    >>> config = BertConfig(vocab_size=5, hidden_size=6)  # V=5
    >>> vectors = np.ones((4, 6), "float32")  # [B·P, D] with P=2
    >>> table = np.ones((5, 6), "float32")  # the word embedding table, [V, D]
    >>> tuple(MaskedLanguageModel(config)(vectors, table).shape)
    (4, 5)
    >>> tuple(NextSentence(config)(pooled_output).shape)
    (2, 2)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import keras
from keras import ops

from modeling.activations import get_activation
from modeling.config import CLASSIFIER_DROPOUT_PROB, BertConfig
from modeling.keras_layers import (
    Dropout,
    create_initializer,
    make_dense,
    make_layer_norm,
)
from modeling.shapes import (
    Shape,
    Tensor,
    get_shape_list,
    reshape_to_matrix,
)


def gather_indexes(sequence_tensor: Tensor, positions: Tensor) -> Tensor:
    """Takes some positions of each sequence (original: `gather_indexes`).

    Args:
        sequence_tensor: float [B, S, D].
        positions: int32 [B, P], each below S.

    Returns:
        float [B·P, D].
    """
    batch, length, _ = get_shape_list(sequence_tensor, expected_rank=3)
    # [B, P] + [B, 1] -> [B·P]; [B·S, D] -> [B·P, D]
    offsets = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    return ops.take(
        reshape_to_matrix(sequence_tensor),
        ops.reshape(ops.cast(positions, "int32") + offsets, (-1,)),
        axis=0,
    )


def linear(x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """x·weightsᵀ + bias: the original keeps output weights as [C, D]."""
    # [..., D] x [D, C] -> [..., C]
    return ops.matmul(x, ops.transpose(weights)) + bias


class SequenceClassifier(keras.layers.Layer):
    """Logits of a whole sequence: `output_weights` and `output_bias`.

    Original: `create_model` in `run_classifier.py`. The two weights stand at
    the root of the name space, so they are made in the constructor, where no
    scope is open; make the layer outside of other layers' `build`.
    """

    def __init__(
        self, num_labels: int, hidden_size: int, **kwargs: Any
    ) -> None:
        """Makes the weights.

        Args:
            num_labels: number of logits, C.
            hidden_size: width of the pooled output, D.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.dropout = Dropout(CLASSIFIER_DROPOUT_PROB)
        self.output_weights = keras.Variable(
            create_initializer(0.02),
            shape=(num_labels, hidden_size),
            name="output_weights",
        )
        self.output_bias = keras.Variable(
            "zeros", shape=(num_labels,), name="output_bias"
        )

    def call(
        self, pooled_output: Tensor, training: bool | None = None
    ) -> Tensor:
        """Float [B, D] → logits [B, C]."""
        return linear(
            self.dropout(pooled_output, training=training),
            ops.convert_to_tensor(self.output_weights),
            ops.convert_to_tensor(self.output_bias),
        )


class _Transform(keras.layers.Layer):
    """Dense, activation and LayerNorm before masked words are predicted."""

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hidden_size = config.hidden_size
        self.dense = make_dense(
            config.embedding_width,
            config.initializer_range,
            get_activation(config.hidden_act),
        )
        self.layer_norm = make_layer_norm("LayerNorm", config.layer_norm_eps)

    def build(self, input_shape: Shape | None = None) -> None:
        self.dense.build((None, self._hidden_size))
        self.layer_norm.build((None, self.dense.units))

    def call(self, x: Tensor) -> Tensor:
        return self.layer_norm(self.dense(x))


class MaskedLanguageModel(keras.layers.Layer):
    """Logits over the vocabulary; the word embeddings are the output weights.

    Original: `get_masked_lm_output`. The word embedding table is an argument
    of the call, handed over by `BertWithHeads`, so the two stay one weight.
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._vocab_size = config.vocab_size
        self.transform = _Transform(config, name="transform")

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the weights."""
        self.transform.build()
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self._vocab_size,), initializer="zeros"
        )

    def call(self, vectors: Tensor, embedding_table: Tensor) -> Tensor:
        """Float [R, D] and the word embedding table [V, E] → logits [R, V]."""
        return linear(
            self.transform(vectors),
            embedding_table,
            ops.convert_to_tensor(self.output_bias),
        )


class NextSentence(keras.layers.Layer):
    """Two logits: 0 = B follows A, 1 = B is random; ALBERT: A follows B.

    Original: `get_next_sentence_output`; in google-research/albert, under the
    same names, `get_sentence_order_output`.
    """

    def __init__(
        self, config: BertConfig, num_outputs: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._hidden_size = config.hidden_size
        self._num_outputs = num_outputs
        self._initializer_range = config.initializer_range

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the weights."""
        self.output_weights = self.add_weight(
            name="output_weights",
            shape=(self._num_outputs, self._hidden_size),
            initializer=create_initializer(self._initializer_range),
        )
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(self._num_outputs,),
            initializer="zeros",
        )

    def call(self, pooled_output: Tensor) -> Tensor:
        """Float [B, D] → logits [B, 2]."""
        return linear(
            pooled_output,
            ops.convert_to_tensor(self.output_weights),
            ops.convert_to_tensor(self.output_bias),
        )


@dataclasses.dataclass(frozen=True)
class Head:
    """One kind of head: which vectors it reads, and its outputs.

    Attributes:
        reads: `POOLED`, the pooled output [B, D], or `TOKENS`, the vectors
            of all tokens.
        outputs: names of its logits; where there are two, each has one of
            the last axis' two numbers.
        in_cls: whether its weights are in the scope `cls`.
        padding: the logits of padding, where padding is not computed. With
            −10000 a softmax over all tokens leaves it out.
    """

    reads: str
    outputs: tuple[str, ...]
    in_cls: bool = True
    padding: float = 0.0


POOLED = "pooled_output"
TOKENS = "sequence_output"

# In the order in which their weights are made.
HEADS: Mapping[str, Head] = {
    "masked_lm": Head(TOKENS, ("masked_lm_logits",)),
    "next_sentence": Head(POOLED, ("next_sentence_logits",)),
    "span": Head(TOKENS, ("start_logits", "end_logits"), padding=-10000.0),
    "windows": Head(POOLED, ("window_logits",)),
    "labels": Head(POOLED, ("logits",), in_cls=False),
    "token_labels": Head(TOKENS, ("logits",), in_cls=False),
}


class ClsHeads(keras.layers.Layer):
    """The container `cls`: the heads whose weights are in that scope."""

    def __init__(
        self, config: BertConfig, heads: Collection[str], **kwargs: Any
    ) -> None:
        """Makes the layers of some heads.

        Args:
            config: of the encoder.
            heads: keys of `HEADS`; those of other scopes are left out.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**{"name": "cls", **kwargs})
        self.masked_lm: Any = None
        self.next_sentence: Any = None
        self.span: Any = None
        if "masked_lm" in heads:
            self.masked_lm = MaskedLanguageModel(config, name="predictions")
        if "next_sentence" in heads:
            self.next_sentence = NextSentence(config, name="seq_relationship")
        if "span" in heads:
            # Two outputs for each token, made like the two for a sequence.
            self.span = NextSentence(config, name="squad")
        self.windows: Any = None
        if "windows" in heads:
            # How much a window of a long text counts; not in the original.
            self.windows = NextSentence(config, num_outputs=1, name="windows")

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the weights."""
        for head in (
            self.masked_lm,
            self.next_sentence,
            self.span,
            self.windows,
        ):
            if head is not None:
                head.build()

    def call(
        self, vectors: dict[str, Tensor], embedding_table: Tensor
    ) -> dict[str, Tensor]:
        """Vectors that each head reads → its logits.

        Args:
            vectors: by the name of the head: float [R, D] or [B, S, D] for
                `masked_lm` and `span`, [B, D] for `next_sentence` and
                `windows`.
            embedding_table: [V, E].

        Returns:
            By the name of the head: [..., V], [..., 2], or [B] for `windows`.
        """
        logits = {}
        if self.masked_lm is not None:
            # [R, D] x [D, V] -> [R, V]
            logits["masked_lm"] = self.masked_lm(
                vectors["masked_lm"], embedding_table
            )
        if self.next_sentence is not None:
            logits["next_sentence"] = self.next_sentence(
                vectors["next_sentence"]
            )
        if self.span is not None:
            logits["span"] = self.span(vectors["span"])
        if self.windows is not None:
            # [B, D] -> [B, 1] -> [B]
            logits["windows"] = ops.squeeze(
                self.windows(vectors["windows"]), axis=-1
            )
        return logits
