"""One of BERT's transformer layers: rows [R, D] → rows [R, D].

A post-LN block as in "Attention Is All You Need", section 3.1. Attention
itself is in `attention`, the stack of layers in `encoder`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from modeling.activations import Activation
from modeling.attention import AttentionLayer
from modeling.initializers import create_initializer
from modeling.normalization import Dropout, make_layer_norm
from modeling.rows import Rows


@dataclasses.dataclass(frozen=True)
class LayerSettings:
    """What a layer is made of, BERT's or ALBERT's.

    Attributes:
        hidden_size: D.
        num_attention_heads: N, which divides D.
        intermediate_size: I, width of the feed-forward part's inner layer.
        intermediate_act_fn: its activation, or None.
        hidden_dropout_prob: rate of what is added to a residual.
        attention_probs_dropout_prob: rate of the attention probabilities.
        initializer_range: standard deviation that kernels start with.
    """

    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    intermediate_act_fn: Activation | None
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    initializer_range: float

    def attention(self) -> AttentionLayer:
        """Makes the layer `self`, [R, D] → [R, D]."""
        return AttentionLayer(
            self.num_attention_heads,
            self.hidden_size // self.num_attention_heads,
            self.attention_probs_dropout_prob,
            self.initializer_range,
            name="self",
        )

    def inner(self) -> keras.layers.Dense:
        """Makes a layer `dense`, [R, D] → [R, I], with the activation."""
        return self._dense(self.intermediate_size, self.intermediate_act_fn)

    def projection(self) -> keras.layers.Dense:
        """Makes a layer `dense`, [R, width] → [R, D]."""
        return self._dense(self.hidden_size)

    def _dense(
        self, units: int, activation: Activation | None = None
    ) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=create_initializer(self.initializer_range),
            name="dense",
        )


class ResidualOutput(keras.layers.Layer):
    """LayerNorm(dropout(dense(x)) + residual), [R, width] → [R, D]."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.projection()
        self.dropout = Dropout(settings.hidden_dropout_prob)
        self.layer_norm = make_layer_norm("LayerNorm")

    def build(self, x_shape: Any, residual_shape: Any) -> None:
        """Makes the dense layer and the LayerNorm."""
        self.dense.build(x_shape)
        self.layer_norm.build((None, self.dense.units))

    def call(self, x: Any, residual: Any, training: bool | None = None) -> Any:
        """[R, width] and residual [R, D] → [R, D]."""
        output = self.dropout(self.dense(x), training=training)
        return self.layer_norm(output + residual)


class SelfAttention(keras.layers.Layer):
    """Attention of a sequence to itself, projected, plus its residual."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Not `self.self`: the attribute names the scope in saved files.
        self.self_attention = settings.attention()
        self.output_layer = ResidualOutput(settings, name="output")

    def build(self, input_shape: Any) -> None:
        """Makes attention and output for inputs [R, D]."""
        self.self_attention.build(input_shape, input_shape)
        self.output_layer.build(input_shape, input_shape)

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        *,
        rows: Rows,
        queries: Any = None,
        query_rows: Rows | None = None,
        training: bool | None = None,
    ) -> Any:
        """As `TransformerLayer.call`."""
        if query_rows is None:
            queries, query_rows = x, rows
        context = self.self_attention(
            queries,
            x,
            attention_mask,
            from_rows=query_rows,
            to_rows=rows,
            training=training,
        )
        return self.output_layer(context, queries, training=training)


class Intermediate(keras.layers.Layer):
    """The inner layer of the feed-forward part, [R, D] → [R, I]."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.inner()

    def build(self, input_shape: Any) -> None:
        """Makes the dense layer."""
        self.dense.build(input_shape)

    def call(self, x: Any) -> Any:
        """[R, D] → [R, I]."""
        return self.dense(x)


class TransformerLayer(keras.layers.Layer):
    """Self-attention and feed-forward part, each with its residual."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = SelfAttention(settings, name="attention")
        self.intermediate = Intermediate(settings, name="intermediate")
        self.output_layer = ResidualOutput(settings, name="output")

    def build(self, input_shape: Any) -> None:
        """Makes the parts for inputs [R, D]."""
        self.attention.build(input_shape)
        self.intermediate.build(input_shape)
        inner_shape = (None, self.intermediate.dense.units)
        self.output_layer.build(inner_shape, input_shape)

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        *,
        rows: Rows,
        queries: Any = None,
        query_rows: Rows | None = None,
        training: bool | None = None,
    ) -> Any:
        """Computes all rows, or only those that are asked for.

        Args:
            x: float [R, D].
            attention_mask: as for `AttentionLayer`.
            rows: tells where in the batch the rows of x are.
            queries: float [Q, D], the rows to compute; all of x by default.
            query_rows: tells where those are.
            training: whether dropout is on.

        Returns:
            float [R, D], or [Q, D] if there are `queries`.
        """
        attended = self.attention(
            x,
            attention_mask,
            rows=rows,
            queries=queries,
            query_rows=query_rows,
            training=training,
        )
        return self.output_layer(
            self.intermediate(attended), attended, training=training
        )
