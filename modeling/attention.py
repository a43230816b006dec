"""Multi-headed attention: the softmax, its mask and its dropout.

"Attention Is All You Need", section 3.2. The residual around it is in
`encoder`. Letters in shapes are explained in `modeling/__init__.py`.

    >>> import numpy as np
    >>> from modeling.unpadding import PaddedLayout
    >>> x = np.ones((8, 6), "float32")  # [R, D] with R = B·S = 2·4, D=6
    >>> to_mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])  # [B, T]
    >>> mask = key_mask(to_mask)  # [B, 1, T]
    >>> layout = PaddedLayout(2, 4)
    >>> layer = AttentionLayer(num_attention_heads=2, size_per_head=3)
    >>> with recorded_attention() as maps:
    ...     context = layer(x, x, mask, from_layout=layout, to_layout=layout)
    >>> tuple(context.shape)  # [R, N·H]
    (8, 6)
    >>> tuple(maps[0].shape)  # [B, N, F, T]
    (2, 2, 4, 4)
    >>> print(np.asarray(maps[0])[1, 0, 0])  # equal keys, two of them padding
    [0.5 0.5 0.  0. ]
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from modeling.activations import Activation
from modeling.keras_layers import Dropout, make_dense
from modeling.shapes import Shape, Tensor
from modeling.unpadding import TokenLayout

# Added to the score of a position that may not be attended to. Finite, so
# that the scores of a sequence of nothing but padding stay finite.
MASKED_SCORE = -10000.0


def key_mask(to_mask: Tensor) -> Tensor:
    """[B, T] → float32 [B, 1, T], which broadcasts over the queries."""
    return ops.cast(ops.expand_dims(to_mask, 1), "float32")


_RECORDER: contextvars.ContextVar[list[Tensor] | None] = contextvars.ContextVar(
    "attention_maps", default=None
)


@contextlib.contextmanager
def recorded_attention(wanted: bool = True) -> Iterator[list[Tensor]]:
    """Collects the attention maps that are computed in the block.

    Args:
        wanted: whether to do so.

    Yields:
        A list that gets float [B, N, F, T] from each attention layer, the
        probabilities before dropout.
    """
    maps: list[Tensor] = []
    token = _RECORDER.set(maps if wanted else None)
    try:
        yield maps
    finally:
        _RECORDER.reset(token)


class AttentionLayer(keras.layers.Layer):
    """Query, key and value projections and what is computed from them."""

    def __init__(
        self,
        num_attention_heads: int,
        size_per_head: int,
        attention_probs_dropout_prob: float = 0.0,
        initializer_range: float = 0.02,
        activations: tuple[Activation | None, ...] = (None, None, None),
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            num_attention_heads: N.
            size_per_head: H.
            attention_probs_dropout_prob: dropout rate of the probabilities.
            initializer_range: standard deviation that kernels start with.
            activations: of the query, key and value projections.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._num_heads = num_attention_heads
        self._size_per_head = size_per_head
        width = num_attention_heads * size_per_head
        self.query, self.key, self.value = (
            make_dense(width, initializer_range, activation, name)
            for name, activation in zip(
                ("query", "key", "value"), activations, strict=True
            )
        )
        self.dropout = Dropout(attention_probs_dropout_prob)

    def build(self, from_tensor_shape: Shape, to_tensor_shape: Shape) -> None:
        """Makes the projections for inputs [..., from or to width]."""
        self.query.build((None, from_tensor_shape[-1]))
        self.key.build((None, to_tensor_shape[-1]))
        self.value.build((None, to_tensor_shape[-1]))

    def call(
        self,
        from_tensor: Tensor,
        to_tensor: Tensor,
        attention_mask: Tensor | None = None,
        *,
        from_layout: TokenLayout,
        to_layout: TokenLayout,
        training: bool | None = None,
    ) -> Tensor:
        """Attends from every token of one matrix to the tokens of another.

        Args:
            from_tensor: float [Q, from width].
            to_tensor: float [R, to width].
            attention_mask: [B, F, T] or [B, 1, T], 1 to attend, 0 not to.
            from_layout: where in [B, F] the tokens of `from_tensor` are.
            to_layout: where in [B, T] the tokens of `to_tensor` are.
            training: whether probabilities are dropped.

        Returns:
            float [Q, N·H].
        """
        key, value = self.keys_and_values(to_tensor, to_layout)
        return self.attend(
            from_tensor,
            key,
            value,
            attention_mask,
            from_layout=from_layout,
            training=training,
        )

    def keys_and_values(
        self, to_tensor: Tensor, to_layout: TokenLayout
    ) -> tuple[Tensor, Tensor]:
        """Projects the tokens that are attended to.

        Args:
            to_tensor: float [R, to width].
            to_layout: where in [B, T] its tokens are.

        Returns:
            Keys and values, float [B, N, T, H] each.
        """
        # [R, to width] -> [R, N·H] -> [B, N, T, H]
        return (
            self._split_heads(self.key(to_tensor), to_layout),
            self._split_heads(self.value(to_tensor), to_layout),
        )

    def attend(
        self,
        from_tensor: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        *,
        from_layout: TokenLayout,
        training: bool | None = None,
    ) -> Tensor:
        """Attends from every token of a matrix to keys made before.

        Args:
            from_tensor: float [Q, from width].
            key: float [B, N, T, H].
            value: float [B, N, T, H].
            attention_mask: as for `call`.
            from_layout: where in [B, F] the tokens of `from_tensor` are.
            training: whether probabilities are dropped.

        Returns:
            float [Q, N·H].
        """
        # [Q, from width] -> [Q, N·H] -> [B, N, F, H]
        query = self._split_heads(self.query(from_tensor), from_layout)
        # [B, N, F, H] x [B, N, T, H] -> [B, N, F, T]
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
        scores *= 1.0 / math.sqrt(float(self._size_per_head))
        if attention_mask is not None:
            # [B, F, T] -> [B, 1, F, T]
            mask = ops.cast(ops.expand_dims(attention_mask, 1), scores.dtype)
            scores += (1.0 - mask) * MASKED_SCORE
        # [B, N, F, T]
        probabilities = ops.softmax(scores, axis=-1)
        recorder = _RECORDER.get()
        if recorder is not None:
            recorder.append(probabilities)
        probabilities = self.dropout(probabilities, training=training)
        # [B, N, F, T] x [B, N, T, H] -> [B, N, F, H] -> [Q, N·H]
        return from_layout.join_heads(ops.matmul(probabilities, value))

    def _split_heads(self, matrix: Tensor, layout: TokenLayout) -> Tensor:
        """[Q, N·H] → [B, N, F, H], or [R, N·H] → [B, N, T, H]."""
        return layout.split_heads(matrix, self._num_heads, self._size_per_head)
