"""ALBERT's layers, which share their weights in groups: [R, D] → [R, D].

Lan et al. 2019, section 3.1. They compute what `encoder.TransformerLayer`
does, under the variable names of Google's ALBERT.

    >>> import numpy as np
    >>> from modeling.unpadding import PaddedLayout
    >>> settings = LayerSettings(
    ...     hidden_size=6,  # D
    ...     num_attention_heads=2,  # N
    ...     intermediate_size=8,  # I
    ...     intermediate_act_fn=None,
    ...     hidden_dropout_prob=0.0,
    ...     attention_probs_dropout_prob=0.0,
    ...     initializer_range=0.02,
    ... )
    >>> stack = grouped_layers(
    ...     num_hidden_layers=4,
    ...     num_hidden_groups=2,
    ...     inner_group_num=1,
    ...     settings=settings,
    ... )
    >>> first, second, third, fourth = stack.order
    >>> first is second, second is third, third is fourth
    (True, False, True)
    >>> x = np.ones((8, 6), "float32")  # [R, D] with R = B·S = 2·4
    >>> tuple(first(x, layout=PaddedLayout(2, 4)).shape)
    (8, 6)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from modeling.encoder import LayerSettings, Stack
from modeling.keras_layers import Dropout
from modeling.shapes import Shape, Tensor
from modeling.unpadding import TokenLayout


class _Projection(keras.layers.Layer):
    """A dense layer in a scope of its own, [R, width] → [R, D]."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.projection()

    def build(self, input_shape: Shape) -> None:
        self.dense.build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        return self.dense(x)


class _Attention(keras.layers.Layer):
    """Attention of a sequence to itself, projected; no residual."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.self_attention = settings.attention()
        self.output_layer = _Projection(settings, name="output")

    def build(self, input_shape: Shape) -> None:
        self.self_attention.build(input_shape, input_shape)
        self.output_layer.build(input_shape)

    def call(
        self,
        queries: Tensor,
        x: Tensor,
        attention_mask: Tensor | None,
        *,
        query_layout: TokenLayout,
        layout: TokenLayout,
        training: bool | None = None,
    ) -> Tensor:
        return self.output_layer(
            self.self_attention(
                queries,
                x,
                attention_mask,
                from_layout=query_layout,
                to_layout=layout,
                training=training,
            )
        )


class _FeedForward(keras.layers.Layer):
    """Both layers of the feed-forward part: Google's scopes nest them."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.inner()
        self.output_layer = _Projection(settings, name="output")

    def build(self, input_shape: Shape) -> None:
        self.dense.build(input_shape)
        self.output_layer.build((None, self.dense.units))

    def call(self, x: Tensor) -> Tensor:
        return self.output_layer(self.dense(x))


class Scope(keras.layers.Layer):
    """A part of the weights' paths, around layers that are run one by one."""

    def __init__(self, name: str, parts: Sequence[keras.layers.Layer]) -> None:
        """Takes the name and what stands in it."""
        super().__init__(name=name)
        self.parts = list(parts)

    def build(self, input_shape: Shape) -> None:
        """Makes all parts for the same input."""
        for part in self.parts:
            part.build(input_shape)


class SharedLayer(keras.layers.Layer):
    """One of ALBERT's layers (original: `attention_ffn_block`)."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = _Attention(settings, name="attention_1")
        self.attention_norm = settings.norm()
        self.feed_forward = Scope(
            "ffn_1", [_FeedForward(settings, name="intermediate")]
        )
        self.feed_forward_norm = settings.norm("LayerNorm_1")
        self.dropout = Dropout(settings.hidden_dropout_prob)

    def build(self, input_shape: Shape) -> None:
        """Makes the parts for inputs [R, D]."""
        for part in (
            self.attention,
            self.attention_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            part.build(input_shape)

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
        context = self.attention(
            queries,
            x,
            attention_mask,
            query_layout=query_layout,
            layout=layout,
            training=training,
        )
        attended = self.attention_norm(
            self.dropout(context, training=training) + queries
        )
        # [Q, D] -> [Q, I] -> [Q, D]
        (feed_forward,) = self.feed_forward.parts
        output = self.dropout(feed_forward(attended), training=training)
        return self.feed_forward_norm(output + attended)


def grouped_layers(
    num_hidden_layers: int,
    num_hidden_groups: int,
    inner_group_num: int,
    settings: LayerSettings,
) -> Stack:
    """Makes the layers of every group and says when each is run.

    Args:
        num_hidden_layers: how often a group is run, counted over all groups.
        num_hidden_groups: how many there are; each serves as many layers in
            succession.
        inner_group_num: layers of a group, run one after another.
        settings: of every layer.

    Returns:
        The layers at `transformer/group_N/inner_group_N`.
    """
    # In floating point, as the original divides.
    turns = [
        int(layer / num_hidden_layers * num_hidden_groups)
        for layer in range(num_hidden_layers)
    ]
    groups = {
        number: Scope(
            f"group_{number}",
            [
                SharedLayer(settings, name=f"inner_group_{i}")
                for i in range(inner_group_num)
            ],
        )
        for number in sorted(set(turns))
    }
    order = [layer for number in turns for layer in groups[number].parts]
    return Stack([Scope("transformer", list(groups.values()))], order)
