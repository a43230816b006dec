"""ALBERT's layers, which share their weights in groups.

Lan et al. 2019, section 3.1. They compute what `TransformerLayer` does, under
the variable names of Google's ALBERT; running them in order is `encoder`'s
matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from modeling.encoder import LayerSettings, Stack
from modeling.normalization import Dropout, make_layer_norm
from modeling.rows import Rows


class _Projection(keras.layers.Layer):
    """A dense layer in a scope of its own, [R, width] → [R, D]."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.projection()

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class _Attention(keras.layers.Layer):
    """Attention of a sequence to itself, projected; no residual."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.self_attention = settings.attention()
        self.output_layer = _Projection(settings, name="output")

    def build(self, input_shape: Any) -> None:
        self.self_attention.build(input_shape, input_shape)
        self.output_layer.build(input_shape)

    def call(
        self,
        queries: Any,
        x: Any,
        attention_mask: Any,
        *,
        query_rows: Rows,
        rows: Rows,
        training: bool | None = None,
    ) -> Any:
        return self.output_layer(
            self.self_attention(
                queries,
                x,
                attention_mask,
                from_rows=query_rows,
                to_rows=rows,
                training=training,
            )
        )


class _FeedForward(keras.layers.Layer):
    """Both layers of the feed-forward part: Google's scopes nest them."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = settings.inner()
        self.output_layer = _Projection(settings, name="output")

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)
        self.output_layer.build((None, self.dense.units))

    def call(self, x: Any) -> Any:
        return self.output_layer(self.dense(x))


class Scope(keras.layers.Layer):
    """A part of the weights' paths, around layers that are run one by one."""

    def __init__(self, name: str, parts: Sequence[keras.layers.Layer]) -> None:
        """Takes the name and what stands in it."""
        super().__init__(name=name)
        self.parts = list(parts)

    def build(self, input_shape: Any) -> None:
        """Makes all parts for the same input."""
        for part in self.parts:
            part.build(input_shape)


class SharedLayer(keras.layers.Layer):
    """One of ALBERT's layers (original: `attention_ffn_block`)."""

    def __init__(self, settings: LayerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = _Attention(settings, name="attention_1")
        self.attention_norm = make_layer_norm("LayerNorm")
        self.feed_forward = Scope(
            "ffn_1", [_FeedForward(settings, name="intermediate")]
        )
        self.feed_forward_norm = make_layer_norm("LayerNorm_1")
        self.dropout = Dropout(settings.hidden_dropout_prob)

    def build(self, input_shape: Any) -> None:
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
        context = self.attention(
            queries,
            x,
            attention_mask,
            query_rows=query_rows,
            rows=rows,
            training=training,
        )
        attended = self.attention_norm(
            self.dropout(context, training=training) + queries
        )
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
