"""A transformer layer and the stack of them: [B, S, D] → [B, S, D].

A layer is a post-LN block as in "Attention Is All You Need", section 3.1, over
the tokens of a batch, [R, D] → [R, D]; attention itself is in `attention`.
The stack is BERT's `num_hidden_layers` of them, or ALBERT's, of which some
share their weights (`layer_groups`).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from modeling.activations import Activation, gelu
from modeling.attention import AttentionLayer
from modeling.initializers import create_initializer
from modeling.normalization import Dropout, make_layer_norm
from modeling.rematerialization import rematerialized
from modeling.rows import AllRows, Rows
from modeling.shapes import (
    get_shape_list,
    reshape_from_matrix,
    reshape_to_matrix,
)


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


@dataclasses.dataclass(frozen=True)
class Stack:
    """Layers, and when each of them is run.

    Attributes:
        layers: what owns the weights: the layers, or scopes around them.
        order: the layers in the order in which they are run; one may come
            up more than once.
    """

    layers: Sequence[keras.layers.Layer]
    order: Sequence[keras.layers.Layer]


def separate_layers(num_hidden_layers: int, settings: LayerSettings) -> Stack:
    """Makes BERT's layers, `layer_0` and on, of which each is run once."""
    layers = [
        TransformerLayer(settings, name=f"layer_{n}")
        for n in range(num_hidden_layers)
    ]
    return Stack(layers, layers)


class TransformerEncoder(keras.layers.Layer):
    """A stack of transformer layers.

    Attributes:
        remat: whether training keeps only what goes into each layer and
            computes its insides again in the backward pass: the same numbers
            in less memory and more time.
    """

    def __init__(
        self,
        stack: Stack,
        hidden_size: int,
        input_size: int | None = None,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        """Takes the layers.

        Args:
            stack: layers that take and give vectors of the hidden size.
            hidden_size: D.
            input_size: width of the inputs; where it is another than D, they
                are mapped to D first, without an activation.
            initializer_range: standard deviation that this mapping's kernel
                starts with.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._hidden_size = hidden_size
        self._input_size = input_size or hidden_size
        self.embedding_hidden_mapping_in: Any = None
        if self._input_size != hidden_size:
            self.embedding_hidden_mapping_in = keras.layers.Dense(
                hidden_size,
                kernel_initializer=create_initializer(initializer_range),
                name="embedding_hidden_mapping_in",
            )
        self.transformer_layers = list(stack.layers)
        self.remat = False
        # In a namespace, since Keras would track the layers a second time.
        self._run = types.SimpleNamespace(order=tuple(stack.order))

    def build(self, input_shape: Any = None) -> None:
        """Makes the mapping, if there is one, and all layers."""
        if self.embedding_hidden_mapping_in is not None:
            self.embedding_hidden_mapping_in.build((None, self._input_size))
        for layer in self.transformer_layers:
            layer.build((None, self._hidden_size))

    def _mapped(self, matrix: Any) -> Any:
        """[R, input size] → [R, D]."""
        if self.embedding_hidden_mapping_in is None:
            return matrix
        return self.embedding_hidden_mapping_in(matrix)

    def call(
        self,
        input_tensor: Any,
        attention_mask: Any = None,
        training: bool | None = None,
    ) -> list[Any]:
        """Runs all layers.

        Args:
            input_tensor: float [B, S, input size].
            attention_mask: [B, S, S] or [B, 1, S].
            training: whether dropout is on.

        Returns:
            float [B, S, D] for each layer that was run.
        """
        shape = get_shape_list(input_tensor, expected_rank=3)
        rows = AllRows(shape[0], shape[1])
        # A matrix from end to end, as in the original: only attention needs
        # to know which rows belong together.
        matrix = self._mapped(reshape_to_matrix(input_tensor))
        outputs = []
        for layer in self._run.order:
            matrix = self._pass(layer, matrix, attention_mask, rows, training)
            outputs.append(reshape_from_matrix(matrix, shape))
        return outputs

    def _pass(
        self,
        layer: keras.layers.Layer,
        matrix: Any,
        attention_mask: Any,
        rows: Rows,
        training: bool | None,
    ) -> Any:
        """Runs one layer on all rows."""

        def call(x: Any) -> Any:
            return layer(x, attention_mask, rows=rows, training=training)

        if self.remat and training:
            return rematerialized(layer, call)(matrix)
        return call(matrix)

    def encode_rows(
        self,
        matrix: Any,
        attention_mask: Any,
        rows: Rows,
        positions: Any = None,
        training: bool | None = None,
    ) -> list[Any]:
        """Runs all layers on rows, the last one for some positions alone.

        The same numbers as `call`'s, but no layer works on positions without
        a row, and the last one on none but those wanted.

        Args:
            matrix: float [R, input size].
            attention_mask: [B, 1, S].
            rows: where in the batch the rows are.
            positions: int32 [B, P], for which the last layer is computed;
                None for all rows.
            training: whether dropout is on.

        Returns:
            float [R, D] for each layer that was run; the last is [B·P, D] if
            there are `positions`.
        """
        # A scope such as `__call__` would give: graphs that are exported tell
        # their products apart by it.
        with keras.name_scope(self.name):
            matrix = self._mapped(matrix)
            *others, last = self._run.order
            outputs = []
            for layer in others:
                matrix = self._pass(
                    layer, matrix, attention_mask, rows, training
                )
                outputs.append(matrix)
            queries = query_rows = None
            if positions is not None:
                queries = rows.at(matrix, positions)
                query_rows = AllRows(rows.batch, ops.shape(positions)[1])
            outputs.append(
                last(
                    matrix,
                    attention_mask,
                    rows=rows,
                    queries=queries,
                    query_rows=query_rows,
                    training=training,
                )
            )
            return outputs


def transformer_model(
    input_tensor: Any,
    attention_mask: Any = None,
    hidden_size: int = 768,
    num_hidden_layers: int = 12,
    num_attention_heads: int = 12,
    intermediate_size: int = 3072,
    intermediate_act_fn: Activation | None = gelu,
    hidden_dropout_prob: float = 0.1,
    attention_probs_dropout_prob: float = 0.1,
    initializer_range: float = 0.02,
    do_return_all_layers: bool = False,
) -> Any:
    """Runs a new encoder (original: `modeling.transformer_model`).

    Args:
        input_tensor: float [B, S, D].
        attention_mask: [B, S, S]; 1 to attend, 0 not to.
        hidden_size: D.
        num_hidden_layers: number of layers.
        num_attention_heads: N; must divide D.
        intermediate_size: width of the feed-forward part's inner layer.
        intermediate_act_fn: its activation, or None.
        hidden_dropout_prob: rate; dropout is on whenever above 0.
        attention_probs_dropout_prob: likewise, of the probabilities.
        initializer_range: standard deviation that kernels start with.
        do_return_all_layers: return every layer's output.

    Returns:
        float [B, S, D], or a list of them, first layer first.

    Raises:
        ValueError: D is no multiple of N, or the input's width is not D.
    """
    if hidden_size % num_attention_heads:
        raise ValueError(
            f"the hidden size {hidden_size} is not a multiple of the number "
            f"of attention heads {num_attention_heads}"
        )
    width = get_shape_list(input_tensor, expected_rank=3)[2]
    if width != hidden_size:
        raise ValueError(
            f"the input is {width} wide, the hidden size is {hidden_size}: "
            "residuals need them to be the same"
        )
    settings = LayerSettings(
        hidden_size,
        num_attention_heads,
        intermediate_size,
        intermediate_act_fn,
        hidden_dropout_prob or 0.0,
        attention_probs_dropout_prob or 0.0,
        initializer_range,
    )
    encoder = TransformerEncoder(
        separate_layers(num_hidden_layers, settings), hidden_size
    )
    outputs = encoder(input_tensor, attention_mask, training=True)
    return outputs if do_return_all_layers else outputs[-1]
