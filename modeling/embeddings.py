"""Word, token-type and position vectors: ids [B, S] → vectors [B, S, D].

BERT paper, section 3 and figure 2. What follows them is `encoder`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from modeling.initializers import create_initializer
from modeling.normalization import Dropout, make_layer_norm
from modeling.rows import RealRows
from modeling.shapes import assert_rank, get_shape_list

# Letters in the shape comments of this package:
#   B batch size            S sequence length     D hidden size
#   F from-sequence length  T to-sequence length  N attention heads
#   H size of a head        R rows of a matrix    V vocabulary size
#   P predicted positions of a sequence           C classes
#   E width of the tables, D but in ALBERT


def look_up(table: Any, ids: Any, *, use_one_hot: bool) -> Any:
    """Returns the table's row for every id, by gather or by product.

    Both give the same numbers; the product suits small tables and devices
    that are slow at gathering.

    Args:
        table: float [V, D].
        ids: int [...].
        use_one_hot: multiply one-hot vectors with the table.

    Returns:
        float [..., D].
    """
    if use_one_hot:
        one_hot = ops.one_hot(ids, table.shape[0], dtype=table.dtype)
        return ops.matmul(one_hot, table)
    return ops.take(table, ids, axis=0)


class EmbeddingLookup(keras.layers.Layer):
    """The word embedding table, one weight [V, D] under the name given."""

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        initializer_range: float = 0.02,
        word_embedding_name: str = "word_embeddings",
        use_one_hot_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        """See `embedding_lookup` for the arguments."""
        super().__init__(**kwargs)
        self._shape = (vocab_size, embedding_size)
        self._initializer_range = initializer_range
        self._table_name = word_embedding_name
        self._use_one_hot = use_one_hot_embeddings

    def build(self, input_shape: Any = None) -> None:
        """Makes the table."""
        self.table = self.add_weight(
            name=self._table_name,
            shape=self._shape,
            initializer=create_initializer(self._initializer_range),
        )

    def call(self, input_ids: Any) -> Any:
        """Ids [B, S] → [B, S, D]; ids [B, S, M] → [B, S, M·D]."""
        assert_rank(input_ids, (2, 3), "input_ids")
        output = look_up(
            ops.convert_to_tensor(self.table),
            input_ids,
            use_one_hot=self._use_one_hot,
        )
        if len(input_ids.shape) == 3:
            batch, length, inputs = get_shape_list(input_ids)
            output = ops.reshape(
                output, (batch, length, inputs * self._shape[1])
            )
        return output


class EmbeddingPostprocessor(keras.layers.Layer):
    """Adds token-type and position vectors, then LayerNorm and dropout."""

    def __init__(
        self,
        width: int,
        token_type_vocab_size: int | None = 16,
        token_type_embedding_name: str = "token_type_embeddings",
        max_position_embeddings: int | None = 512,
        position_embedding_name: str = "position_embeddings",
        initializer_range: float = 0.02,
        dropout_prob: float = 0.1,
        **kwargs: Any,
    ) -> None:
        """See `embedding_postprocessor`; None leaves a table out."""
        super().__init__(**kwargs)
        self._width = width
        self._type_vocab_size = token_type_vocab_size
        self._type_table_name = token_type_embedding_name
        self._max_positions = max_position_embeddings
        self._position_table_name = position_embedding_name
        self._initializer_range = initializer_range
        self.layer_norm = make_layer_norm("LayerNorm")
        self.dropout = Dropout(dropout_prob)

    def build(self, input_shape: Any = None) -> None:
        """Makes the tables that are wanted and the LayerNorm."""
        if self._type_vocab_size is not None:
            self.token_type_table = self._add_table(
                self._type_table_name, self._type_vocab_size
            )
        if self._max_positions is not None:
            self.position_table = self._add_table(
                self._position_table_name, self._max_positions
            )
        self.layer_norm.build((None, None, self._width))

    def _add_table(self, name: str, rows: int) -> Any:
        return self.add_weight(
            name=name,
            shape=(rows, self._width),
            initializer=create_initializer(self._initializer_range),
        )

    def call(
        self,
        word_vectors: Any,
        token_type_ids: Any = None,
        rows: RealRows | None = None,
        training: bool | None = None,
    ) -> Any:
        """[B, S, D], types [B, S] → [B, S, D]; or [R, D], [R] → [R, D].

        Args:
            word_vectors: float [B, S, D], or [R, D] with `rows`.
            token_type_ids: int32 [B, S] or [R].
            rows: tells where in [B, S] the rows are.
            training: whether dropout is on.

        Returns:
            Float, of the shape of `word_vectors`.

        Raises:
            ValueError: S is larger than the position table.
        """
        output = word_vectors
        if self._type_vocab_size is not None:
            # The table is small, so the product beats the gather's gradient.
            output += look_up(
                ops.convert_to_tensor(self.token_type_table),
                token_type_ids,
                use_one_hot=True,
            )
        if self._max_positions is not None:
            length = rows.length if rows else get_shape_list(word_vectors)[1]
            check_sequence_length(length, self._max_positions)
            # A slice past the table is an error when the length is known
            # only to the running graph, too.
            position_vectors = ops.slice(
                ops.convert_to_tensor(self.position_table),
                (0, 0),
                (length, self._width),
            )
            output += (
                rows.columns_of(position_vectors) if rows else position_vectors
            )
        return self.dropout(self.layer_norm(output), training=training)


def check_sequence_length(length: Any, max_positions: int) -> None:
    """Refuses a length, where it is known, that has no positions.

    Raises:
        ValueError: names both numbers.
    """
    if isinstance(length, int) and length > max_positions:
        raise ValueError(
            f"the sequence has {length} tokens, more than the "
            f"`max_position_embeddings` {max_positions} of the model"
        )


def embedding_lookup(
    input_ids: Any,
    vocab_size: int,
    embedding_size: int = 128,
    initializer_range: float = 0.02,
    word_embedding_name: str = "word_embeddings",
    use_one_hot_embeddings: bool = False,
) -> tuple[Any, Any]:
    """Looks up ids in a new embedding table (original: `embedding_lookup`).

    Args:
        input_ids: int32 [B, S] or [B, S, M].
        vocab_size: rows of the table, V.
        embedding_size: width of the table, D.
        initializer_range: standard deviation that the table starts with.
        word_embedding_name: name of the weight.
        use_one_hot_embeddings: product instead of gather.

    Returns:
        (vectors, table): float [B, S, D] or [B, S, M·D], and the weight
        [V, D].
    """
    layer = EmbeddingLookup(
        vocab_size,
        embedding_size,
        initializer_range,
        word_embedding_name,
        use_one_hot_embeddings,
    )
    return layer(input_ids), layer.table


def embedding_postprocessor(
    input_tensor: Any,
    use_token_type: bool = False,
    token_type_ids: Any = None,
    token_type_vocab_size: int = 16,
    token_type_embedding_name: str = "token_type_embeddings",
    use_position_embeddings: bool = True,
    position_embedding_name: str = "position_embeddings",
    initializer_range: float = 0.02,
    max_position_embeddings: int = 512,
    dropout_prob: float = 0.1,
) -> Any:
    """Finishes word vectors with new tables (original: same name).

    Args:
        input_tensor: float [B, S, D].
        use_token_type: add a vector for each token's type.
        token_type_ids: int32 [B, S]; needed if `use_token_type`.
        token_type_vocab_size: number of types.
        token_type_embedding_name: name of their table.
        use_position_embeddings: add a vector for each position.
        position_embedding_name: name of their table.
        initializer_range: standard deviation that tables start with.
        max_position_embeddings: rows of the position table.
        dropout_prob: rate; dropout is on whenever it is above 0.

    Returns:
        float [B, S, D].

    Raises:
        ValueError: wrong rank, types missing, or S above
            `max_position_embeddings`.
    """
    shape = get_shape_list(input_tensor, expected_rank=3)
    if use_token_type and token_type_ids is None:
        raise ValueError(
            "`token_type_ids` is needed when `use_token_type` is True"
        )
    if use_position_embeddings:
        check_sequence_length(shape[1], max_position_embeddings)
    layer = EmbeddingPostprocessor(
        shape[2],
        token_type_vocab_size if use_token_type else None,
        token_type_embedding_name,
        max_position_embeddings if use_position_embeddings else None,
        position_embedding_name,
        initializer_range,
        dropout_prob or 0.0,
    )
    types = token_type_ids if use_token_type else None
    return layer(input_tensor, types, training=True)
