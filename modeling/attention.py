"""Multi-headed attention: the softmax, its mask and its dropout.

"Attention Is All You Need", section 3.2. The residual around it is
`encoder`'s.
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
from modeling.initializers import create_initializer
from modeling.normalization import Dropout
from modeling.rows import AllRows, Rows
from modeling.shapes import get_shape_list, reshape_to_matrix

# Added to the score of a position that may not be attended to. Finite, so
# that a row of nothing but padding stays finite.
MASKED_SCORE = -10000.0


def create_attention_mask_from_input_mask(
    from_tensor: Any, to_mask: Any
) -> Any:
    """Spreads a mask of keys over all queries (original: same name).

    Args:
        from_tensor: tensor [B, F, ...]; only its shape matters, since
            queries at padding are computed like all others.
        to_mask: int32 [B, T], 1 where a position may be attended to.

    Returns:
        float32 [B, F, T].
    """
    batch, from_length = get_shape_list(from_tensor, [2, 3])[:2]
    to_length = get_shape_list(to_mask, 2)[1]
    return ops.broadcast_to(key_mask(to_mask), (batch, from_length, to_length))


def key_mask(to_mask: Any) -> Any:
    """[B, T] → float32 [B, 1, T], which broadcasts over the queries."""
    return ops.cast(ops.expand_dims(to_mask, 1), "float32")


_RECORDER: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar(
    "attention_maps", default=None
)


@contextlib.contextmanager
def recorded_attention(wanted: bool = True) -> Iterator[list[Any]]:
    """Collects the attention maps that are computed in the block.

    Args:
        wanted: whether to do so.

    Yields:
        A list that gets float [B, N, F, T] from each attention layer, the
        probabilities before dropout.
    """
    maps: list[Any] = []
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
        """See `attention_layer`; `activations` of query, key, value."""
        super().__init__(**kwargs)
        self._num_heads = num_attention_heads
        self._size_per_head = size_per_head
        width = num_attention_heads * size_per_head
        self.query, self.key, self.value = (
            keras.layers.Dense(
                width,
                activation=activation,
                kernel_initializer=create_initializer(initializer_range),
                name=name,
            )
            for name, activation in zip(
                ("query", "key", "value"), activations, strict=True
            )
        )
        self.dropout = Dropout(attention_probs_dropout_prob)

    def build(self, from_tensor_shape: Any, to_tensor_shape: Any) -> None:
        """Makes the projections for inputs [..., from or to width]."""
        self.query.build((None, from_tensor_shape[-1]))
        self.key.build((None, to_tensor_shape[-1]))
        self.value.build((None, to_tensor_shape[-1]))

    def call(
        self,
        from_tensor: Any,
        to_tensor: Any,
        attention_mask: Any = None,
        *,
        from_rows: Rows,
        to_rows: Rows,
        training: bool | None = None,
    ) -> Any:
        """Attends from every row of one matrix to rows of another.

        Args:
            from_tensor: float [from rows, from width].
            to_tensor: float [to rows, to width].
            attention_mask: [B, F, T] or [B, 1, T], 1 to attend, 0 not to.
            from_rows: tells where in [B, F] the rows of `from_tensor` are.
            to_rows: tells where in [B, T] the rows of `to_tensor` are.
            training: whether probabilities are dropped.

        Returns:
            float [from rows, N·H].
        """
        # [B, N, F, H] and twice [B, N, T, H]
        query = self._split_heads(self.query(from_tensor), from_rows)
        key = self._split_heads(self.key(to_tensor), to_rows)
        value = self._split_heads(self.value(to_tensor), to_rows)
        # [B, N, F, T]
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
        scores *= 1.0 / math.sqrt(float(self._size_per_head))
        if attention_mask is not None:
            mask = ops.cast(ops.expand_dims(attention_mask, 1), scores.dtype)
            scores += (1.0 - mask) * MASKED_SCORE
        probabilities = ops.softmax(scores, axis=-1)
        recorder = _RECORDER.get()
        if recorder is not None:
            recorder.append(probabilities)
        probabilities = self.dropout(probabilities, training=training)
        return from_rows.join_heads(ops.matmul(probabilities, value))

    def _split_heads(self, matrix: Any, rows: Rows) -> Any:
        """[rows, N·H] → [B, N, L, H]."""
        return rows.split_heads(matrix, self._num_heads, self._size_per_head)


class _AttentionOverTensors(keras.layers.Layer):
    """`AttentionLayer` behind the argument ranks of the original."""

    def __init__(
        self,
        attention: AttentionLayer,
        do_return_2d_tensor: bool,
        lengths: tuple[Any, Any, Any],
    ) -> None:
        super().__init__()
        self.attention = attention
        self._do_return_2d_tensor = do_return_2d_tensor
        self._lengths = lengths

    def build(self, from_tensor_shape: Any, to_tensor_shape: Any) -> None:
        self.attention.build(from_tensor_shape, to_tensor_shape)

    def call(
        self,
        from_tensor: Any,
        to_tensor: Any,
        attention_mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        batch, from_length, to_length = self._lengths
        if len(from_tensor.shape) == 3:
            batch, from_length = get_shape_list(from_tensor)[:2]
            to_length = get_shape_list(to_tensor)[1]
        context = self.attention(
            reshape_to_matrix(from_tensor),
            reshape_to_matrix(to_tensor),
            attention_mask,
            from_rows=AllRows(batch, from_length),
            to_rows=AllRows(batch, to_length),
            training=training,
        )
        if self._do_return_2d_tensor:
            return context
        return ops.reshape(context, (batch, from_length, context.shape[-1]))


def attention_layer(
    from_tensor: Any,
    to_tensor: Any,
    attention_mask: Any = None,
    num_attention_heads: int = 1,
    size_per_head: int = 512,
    query_act: Activation | None = None,
    key_act: Activation | None = None,
    value_act: Activation | None = None,
    attention_probs_dropout_prob: float = 0.0,
    initializer_range: float = 0.02,
    do_return_2d_tensor: bool = False,
    batch_size: int | None = None,
    from_seq_length: int | None = None,
    to_seq_length: int | None = None,
) -> Any:
    """Attends with new projections (original: `modeling.attention_layer`).

    Args:
        from_tensor: float [B, F, from width] or [B·F, from width].
        to_tensor: float [B, T, to width] or [B·T, to width], of the same
            rank; the same tensor for self-attention.
        attention_mask: int or float [B, F, T]; 1 to attend, 0 not to.
        num_attention_heads: N.
        size_per_head: H.
        query_act: activation of the query projection, or None.
        key_act: of the key projection.
        value_act: of the value projection.
        attention_probs_dropout_prob: rate; dropout is on whenever above 0.
        initializer_range: standard deviation that kernels start with.
        do_return_2d_tensor: return a matrix.
        batch_size: B, needed for inputs of rank 2.
        from_seq_length: F, likewise.
        to_seq_length: T, likewise.

    Returns:
        float [B, F, N·H], or [B·F, N·H] if `do_return_2d_tensor`.

    Raises:
        ValueError: ranks differ, or a length is missing at rank 2.
    """
    from_rank = len(get_shape_list(from_tensor, [2, 3]))
    to_rank = len(get_shape_list(to_tensor, [2, 3]))
    if from_rank != to_rank:
        raise ValueError(
            f"`from_tensor` has rank {from_rank}, `to_tensor` rank "
            f"{to_rank}: they must be the same"
        )
    lengths = (batch_size, from_seq_length, to_seq_length)
    if from_rank == 2 and None in lengths:
        raise ValueError(
            "`batch_size`, `from_seq_length` and `to_seq_length` are needed "
            f"with tensors of rank 2; they are {lengths}"
        )
    layer = _AttentionOverTensors(
        AttentionLayer(
            num_attention_heads,
            size_per_head,
            attention_probs_dropout_prob or 0.0,
            initializer_range,
            (query_act, key_act, value_act),
        ),
        do_return_2d_tensor,
        lengths,
    )
    return layer(from_tensor, to_tensor, attention_mask, training=True)
