"""Word, token-type and position embeddings: ids [B, S] → vectors [B, S, E].

BERT paper, section 3 and figure 2.

    >>> import numpy as np
    >>> input_ids = np.array([[1, 2, 4, 0], [1, 3, 0, 0]])  # B=2, S=4
    >>> segment_ids = np.zeros_like(input_ids)
    >>> words = EmbeddingLookup(vocab_size=5, embedding_size=6)  # V=5, E=6
    >>> vectors = words(input_ids)
    >>> tuple(vectors.shape)
    (2, 4, 6)
    >>> others = EmbeddingPostprocessor(
    ...     6,
    ...     token_types=TableSettings("token_type_embeddings", 2),
    ...     positions=TableSettings("position_embeddings", 16),
    ... )
    >>> tuple(others(vectors, segment_ids).shape)
    (2, 4, 6)
    >>> [tuple(weight.shape) for weight in (*words.weights, *others.weights)]
    [(5, 6), (2, 6), (16, 6), (6,), (6,)]
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from modeling.config import LAYER_NORM_EPSILON
from modeling.keras_layers import (
    Dropout,
    create_initializer,
    make_layer_norm,
)
from modeling.shapes import Shape, Tensor, assert_rank, get_shape_list
from modeling.unpadding import UnpaddedLayout


def look_up(table: Tensor, ids: Tensor, *, use_one_hot: bool) -> Tensor:
    """Returns the table's vector for every id, by gather or by product.

    Both give the same numbers; the product suits small tables and devices
    that are slow at gathering.

    Args:
        table: float [V, E].
        ids: int [...].
        use_one_hot: multiply one-hot vectors with the table.

    Returns:
        float [..., E].
    """
    if use_one_hot:
        # [..., V] x [V, E] -> [..., E]
        one_hot = ops.one_hot(ids, table.shape[0], dtype=table.dtype)
        return ops.matmul(one_hot, table)
    return ops.take(table, ids, axis=0)


_CHANGE: contextvars.ContextVar[Callable[[Tensor], Tensor] | None] = (
    contextvars.ContextVar("changed_word_vectors", default=None)
)


@contextlib.contextmanager
def changed_word_vectors(change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Has other word vectors take the place of those that are looked up.

    For gradients with respect to them, which the model's own way in then has.

    Args:
        change: called in the block with the vectors of each lookup, [B, S, E]
            (or [1, R, E] of R tokens without padding); what it returns is used.
    """
    token = _CHANGE.set(change)
    try:
        yield
    finally:
        _CHANGE.reset(token)


class EmbeddingLookup(keras.layers.Layer):
    """The word embedding table, one weight [V, E] under the name given."""

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        initializer_range: float = 0.02,
        word_embedding_name: str = "word_embeddings",
        use_one_hot_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            vocab_size: V.
            embedding_size: E.
            initializer_range: standard deviation that the table starts with.
            word_embedding_name: name of the weight.
            use_one_hot_embeddings: product instead of gather.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._shape = (vocab_size, embedding_size)
        self._initializer_range = initializer_range
        self._table_name = word_embedding_name
        self._use_one_hot = use_one_hot_embeddings

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the table."""
        self.table = self.add_weight(
            name=self._table_name,
            shape=self._shape,
            initializer=create_initializer(self._initializer_range),
        )

    def call(self, input_ids: Tensor) -> Tensor:
        """Ids [B, S] → [B, S, E]; ids [B, S, M] → [B, S, M·E]."""
        assert_rank(input_ids, (2, 3), "input_ids")
        output = look_up(
            ops.convert_to_tensor(self.table),
            input_ids,
            use_one_hot=self._use_one_hot,
        )
        if len(input_ids.shape) == 3:
            # [B, S, M, E] -> [B, S, M·E]
            batch, length, inputs = get_shape_list(input_ids)
            output = ops.reshape(
                output, (batch, length, inputs * self._shape[1])
            )
        change = _CHANGE.get()
        return output if change is None else change(output)


@dataclasses.dataclass(frozen=True)
class TableSettings:
    """Name of an embedding table's weight, and how many vectors it has.

    A table of positions may be `sinusoidal`: constant, and no weight.
    """

    name: str
    size: int
    sinusoidal: bool = False


def sinusoidal_positions(size: int, width: int) -> np.ndarray:
    """Returns the position vectors of "Attention Is All You Need", 3.5.

    Args:
        size: number of positions, P.
        width: E.

    Returns:
        float32 [P, E]: sin(p / 10000^(2i/E)) in column 2i, the cosine of the
        same in column 2i + 1.
    """
    columns = np.arange(width)
    wavelengths = 10000.0 ** (columns // 2 * 2 / width)
    # [P, 1], [E] -> [P, E]
    angles = np.arange(size)[:, None] / wavelengths
    positions = np.where(columns % 2, np.cos(angles), np.sin(angles))
    return positions.astype(np.float32)


class EmbeddingPostprocessor(keras.layers.Layer):
    """Adds token-type and position vectors, then LayerNorm and dropout."""

    def __init__(
        self,
        width: int,
        token_types: TableSettings | None,
        positions: TableSettings | None,
        initializer_range: float = 0.02,
        dropout_prob: float = 0.1,
        layer_norm_eps: float = LAYER_NORM_EPSILON,
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            width: E.
            token_types: the table of token types; None for none.
            positions: the table of positions; None for none.
            initializer_range: standard deviation that tables start with.
            dropout_prob: dropout rate.
            layer_norm_eps: added to the variance in LayerNorm.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._width = width
        self._token_types = token_types
        self._positions = positions
        self._initializer_range = initializer_range
        self.layer_norm = make_layer_norm("LayerNorm", layer_norm_eps)
        self.dropout = Dropout(dropout_prob)

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the tables that are wanted and the LayerNorm."""
        if self._token_types is not None:
            self.token_type_table = self._add_table(self._token_types)
        if self._positions is not None:
            self.position_table = (
                sinusoidal_positions(self._positions.size, self._width)
                if self._positions.sinusoidal
                else self._add_table(self._positions)
            )
        self.layer_norm.build((None, None, self._width))

    def _add_table(self, table: TableSettings) -> keras.Variable:
        return self.add_weight(
            name=table.name,
            shape=(table.size, self._width),
            initializer=create_initializer(self._initializer_range),
        )

    def call(
        self,
        word_vectors: Tensor,
        token_type_ids: Tensor | None = None,
        layout: UnpaddedLayout | None = None,
        first_position: int | Tensor = 0,
        training: bool | None = None,
    ) -> Tensor:
        """[B, S, E], types [B, S] → [B, S, E]; or [R, E], [R] → [R, E].

        Args:
            word_vectors: float [B, S, E], or [R, E] with `layout`.
            token_type_ids: int32 [B, S] or [R].
            layout: where in [B, S] the R tokens are.
            first_position: position of the first of the S tokens.
            training: whether dropout is on.

        Returns:
            Float, of the shape of `word_vectors`.

        Raises:
            ValueError: S is larger than the position table.
        """
        output = word_vectors
        if self._token_types is not None:
            # The table is small, so the product beats the gather's gradient.
            # [B, S] -> [B, S, E], or [R] -> [R, E]
            output += look_up(
                ops.convert_to_tensor(self.token_type_table),
                token_type_ids,
                use_one_hot=True,
            )
        if self._positions is not None:
            length = (
                layout.length if layout else get_shape_list(word_vectors)[1]
            )
            check_sequence_length(length, self._positions.size)
            # A slice past the table is an error when the length is known
            # only to the running graph, too.
            # [max positions, E] -> [S, E]
            position_vectors = ops.cast(
                ops.slice(
                    ops.convert_to_tensor(self.position_table),
                    (first_position, 0),
                    (length, self._width),
                ),
                output.dtype,
            )
            # [S, E], added to each of [B, S, E]; or [S, E] -> [R, E]
            output += (
                layout.position_vectors(position_vectors)
                if layout
                else position_vectors
            )
        return self.dropout(self.layer_norm(output), training=training)


def check_sequence_length(length: int | Tensor, max_positions: int) -> None:
    """Refuses a length, where it is known, that has no positions.

    Raises:
        ValueError: names both numbers.
    """
    if isinstance(length, int) and length > max_positions:
        raise ValueError(
            f"the sequence has {length} tokens, more than the "
            f"`max_position_embeddings` {max_positions} of the model"
        )
