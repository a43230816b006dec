"""A transformer layer and the stack of them: [B, S, D] → [B, S, D].

A layer is a post-LN block as in "Attention Is All You Need", section 3.1, over
the tokens of a batch, [R, D] → [R, D]. The stack is BERT's
`num_hidden_layers` of them, or ALBERT's, of which some share their weights
(`layer_groups`).

    >>> import numpy as np
    >>> settings = LayerSettings(
    ...     hidden_size=6,  # D
    ...     num_attention_heads=2,  # N
    ...     intermediate_size=8,  # I
    ...     intermediate_act_fn=None,
    ...     hidden_dropout_prob=0.1,
    ...     attention_probs_dropout_prob=0.1,
    ...     initializer_range=0.02,
    ... )
    >>> encoder = TransformerEncoder(separate_layers(3, settings), 6)
    >>> x = np.ones((2, 4, 6), "float32")  # B=2, S=4
    >>> mask = np.array([[[1, 1, 1, 0]], [[1, 1, 0, 0]]])  # [B, 1, S]
    >>> [tuple(layer.shape) for layer in encoder(x, mask)]
    [(2, 4, 6), (2, 4, 6), (2, 4, 6)]
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from modeling.activations import Activation
from modeling.attention import AttentionLayer
from modeling.config import LAYER_NORM_EPSILON
from modeling.keras_layers import (
    Dropout,
    make_dense,
    make_layer_norm,
)
from modeling.keras_private import flatten_layers
from modeling.shapes import (
    Shape,
    Tensor,
    get_shape_list,
    reshape_from_matrix,
    reshape_to_matrix,
)
from modeling.unpadding import PaddedLayout, TokenLayout


@dataclasses.dataclass(frozen=True)
class LayerSettings:
    """What a layer is made of, BERT's or ALBERT's.

    Attributes:
        hidden_size: D.
        num_attention_heads: N, which divides D.
        intermediate_size: I.
        intermediate_act_fn: activation of the feed-forward part's inner
            layer, or None.
        hidden_dropout_prob: dropout rate of what is added to a residual.
        attention_probs_dropout_prob: dropout rate of the attention
            probabilities.
        initializer_range: standard deviation that kernels start with.
        layer_norm_eps: added to the variance in LayerNorm.
    """

    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    intermediate_act_fn: Activation | None
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    initializer_range: float
    layer_norm_eps: float = LAYER_NORM_EPSILON

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
        return make_dense(
            self.intermediate_size,
            self.initializer_range,
            self.intermediate_act_fn,
        )

    def projection(self) -> keras.layers.Dense:
        """Makes a layer `dense`, [R, width] → [R, D]."""
        return make_dense(self.hidden_size, self.initializer_range)

    def norm(self, name: str = "LayerNorm") -> keras.layers.Layer:
        """Makes a LayerNorm, [R, D] → [R, D]."""
        return make_layer_norm(name, self.layer_norm_eps)


class ResidualOutput(keras.layers.Layer):
    """LayerNorm(dropout(dense(x)) + residual), [R, width] → [R, D]."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.projection()
        self.dropout = Dropout(settings.hidden_dropout_prob)
        self.layer_norm = settings.norm()

    def build(self, x_shape: Shape, residual_shape: Shape) -> None:
        """Makes the dense layer and the LayerNorm."""
        self.dense.build(x_shape)
        self.layer_norm.build((None, self.dense.units))

    def call(
        self, x: Tensor, residual: Tensor, training: bool | None = None
    ) -> Tensor:
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

    def build(self, input_shape: Shape, to_shape: Shape | None = None) -> None:
        """Makes attention and output for inputs [R, D].

        Args:
            input_shape: of the tokens that attend.
            to_shape: of those that are attended to, where they are others.
        """
        self.self_attention.build(input_shape, to_shape or input_shape)
        self.output_layer.build(input_shape, input_shape)

    def call(
        self,
        x: Tensor,
        attention_mask: Tensor | None = None,
        *,
        layout: TokenLayout,
        queries: Tensor | None = None,
        query_layout: TokenLayout | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """As `TransformerLayer.call`."""
        if query_layout is None:
            queries, query_layout = x, layout
        # [Q, D], [R, D] -> [Q, D]
        context = self.self_attention(
            queries,
            x,
            attention_mask,
            from_layout=query_layout,
            to_layout=layout,
            training=training,
        )
        return self.output_layer(context, queries, training=training)

    def attend(
        self,
        queries: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        *,
        layout: TokenLayout,
        training: bool | None = None,
    ) -> Tensor:
        """Attends to keys made before, [Q, D] → [Q, D].

        Args:
            queries: float [Q, D].
            key: float [B, N, T, H], as `AttentionLayer.keys_and_values` makes.
            value: float [B, N, T, H].
            attention_mask: [B, F, T] or [B, 1, T].
            layout: where in [B, F] the queries are.
            training: whether dropout is on.
        """
        context = self.self_attention.attend(
            queries,
            key,
            value,
            attention_mask,
            from_layout=layout,
            training=training,
        )
        return self.output_layer(context, queries, training=training)


class Intermediate(keras.layers.Layer):
    """The inner layer of the feed-forward part, [R, D] → [R, I]."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.inner()

    def build(self, input_shape: Shape) -> None:
        """Makes the dense layer."""
        self.dense.build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        """[R, D] → [R, I]."""
        return self.dense(x)


class TransformerLayer(keras.layers.Layer):
    """Self-attention and feed-forward part, each with its residual."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = SelfAttention(settings, name="attention")
        self.intermediate = Intermediate(settings, name="intermediate")
        self.output_layer = ResidualOutput(settings, name="output")

    def build(self, input_shape: Shape) -> None:
        """Makes the parts for inputs [R, D]."""
        self.attention.build(input_shape)
        self.intermediate.build(input_shape)
        inner_shape = (None, self.intermediate.dense.units)
        self.output_layer.build(inner_shape, input_shape)

    def call(
        self,
        x: Tensor,
        attention_mask: Tensor | None = None,
        *,
        layout: TokenLayout,
        queries: Tensor | None = None,
        query_layout: TokenLayout | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Computes all tokens, or only some of them.

        Args:
            x: float [R, D].
            attention_mask: as for `AttentionLayer`.
            layout: where in the batch the tokens of x are.
            queries: float [Q, D], the tokens to compute; x by default.
            query_layout: where in the batch those are.
            training: whether dropout is on.

        Returns:
            float [Q, D]; without `queries`, [R, D].
        """
        # [Q, D], [R, D] -> [Q, D]
        attended = self.attention(
            x,
            attention_mask,
            layout=layout,
            queries=queries,
            query_layout=query_layout,
            training=training,
        )
        # [Q, D] -> [Q, I] -> [Q, D]
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
            input_size: E, width of the inputs, D by default; where it is
                another, they are mapped to D first, without an activation.
            initializer_range: standard deviation that this mapping's kernel
                starts with.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._hidden_size = hidden_size
        self._input_size = input_size or hidden_size
        self.embedding_hidden_mapping_in: keras.layers.Dense | None = None
        if self._input_size != hidden_size:
            self.embedding_hidden_mapping_in = make_dense(
                hidden_size,
                initializer_range,
                name="embedding_hidden_mapping_in",
            )
        self.transformer_layers = list(stack.layers)
        self.remat = False
        # In a namespace, since Keras would track the layers a second time.
        self._run = types.SimpleNamespace(order=tuple(stack.order))

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the mapping, if there is one, and all layers."""
        if self.embedding_hidden_mapping_in is not None:
            self.embedding_hidden_mapping_in.build((None, self._input_size))
        for layer in self.transformer_layers:
            layer.build((None, self._hidden_size))

    def _mapped(self, matrix: Tensor) -> Tensor:
        """[R, E] → [R, D]."""
        if self.embedding_hidden_mapping_in is None:
            return matrix
        return self.embedding_hidden_mapping_in(matrix)

    def call(
        self,
        input_tensor: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> list[Tensor]:
        """Runs all layers.

        Args:
            input_tensor: float [B, S, E].
            attention_mask: [B, S, S] or [B, 1, S].
            training: whether dropout is on.

        Returns:
            float [B, S, D] for each layer that was run.
        """
        shape = get_shape_list(input_tensor, expected_rank=3)
        layout = PaddedLayout(shape[0], shape[1])
        # A matrix from end to end, as in the original: only attention needs
        # to know which tokens are of one sequence.
        # [B, S, E] -> [B·S, D]
        matrix = self._mapped(reshape_to_matrix(input_tensor))
        outputs = []
        for layer in self._run.order:
            matrix = self._run_layer(
                layer, matrix, attention_mask, layout, training
            )
            # [B·S, D] -> [B, S, D]
            outputs.append(reshape_from_matrix(matrix, shape))
        return outputs

    def _run_layer(
        self,
        layer: keras.layers.Layer,
        matrix: Tensor,
        attention_mask: Tensor | None,
        layout: TokenLayout,
        training: bool | None,
    ) -> Tensor:
        """Runs one layer on all tokens, [R, D] → [R, D]."""

        def call(x: Tensor) -> Tensor:
            return layer(x, attention_mask, layout=layout, training=training)

        if self.remat and training:
            return _rematerialized(layer, call)(matrix)
        return call(matrix)

    def encode_tokens(
        self,
        matrix: Tensor,
        attention_mask: Tensor | None,
        layout: TokenLayout,
        positions: Tensor | None = None,
        training: bool | None = None,
    ) -> list[Tensor]:
        """Runs all layers on a matrix of tokens, the last one on some alone.

        The same numbers as `call`'s, but no layer works on positions that are
        not in the matrix, and the last one on none but those wanted.

        Args:
            matrix: float [R, E].
            attention_mask: [B, 1, S].
            layout: where in the batch the tokens are.
            positions: int32 [B, P], for which the last layer is computed;
                None for all tokens.
            training: whether dropout is on.

        Returns:
            float [R, D] for each layer that was run; the last is [B·P, D] if
            there are `positions`.
        """
        # The scope that `__call__` would open: the matrix products of exported
        # graphs are recognised by it.
        with keras.name_scope(self.name):
            # [R, E] -> [R, D]
            matrix = self._mapped(matrix)
            *others, last = self._run.order
            outputs = []
            for layer in others:
                # [R, D] -> [R, D]
                matrix = self._run_layer(
                    layer, matrix, attention_mask, layout, training
                )
                outputs.append(matrix)
            queries = query_layout = None
            if positions is not None:
                # [R, D], [B, P] -> [B·P, D]
                queries = layout.gather(matrix, positions)
                query_layout = PaddedLayout(
                    layout.batch, ops.shape(positions)[1]
                )
            # [R, D] -> [R, D], or [R, D], [B·P, D] -> [B·P, D]
            outputs.append(
                last(
                    matrix,
                    attention_mask,
                    layout=layout,
                    queries=queries,
                    query_layout=query_layout,
                    training=training,
                )
            )
            return outputs


def _rematerialized(
    layer: keras.layers.Layer, call: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """Returns a call whose insides are not kept for the backward pass.

    They are computed again there, with the same dropout masks.

    Args:
        layer: what is called, for its random states.
        call: (tensor) → tensor, a call of the layer in which every random
            state is used once.

    Returns:
        (tensor) → tensor, with the same numbers and the same gradients.
    """

    def run(x: Tensor) -> Tensor:
        # Drawn here, so that the graph has these numbers once and not anew
        # whenever the layer is computed.
        drawn = [
            (part.seed_generator.state, part.seed_generator.next())
            for part in flatten_layers(layer)
            if isinstance(part, keras.layers.Dropout) and part.rate > 0
        ]

        def call_again(x: Tensor) -> Tensor:
            with keras.StatelessScope(state_mapping=drawn):
                return call(x)

        return keras.remat(call_again)(x)

    return run
