"""The original's functions that make their own weights: one call, one layer.

Code written for the original finds them here under its names and signatures.
The model itself is made of the layers that they wrap.

    >>> import numpy as np
    >>> input_ids = np.array([[1, 2, 4, 0], [1, 3, 0, 0]])  # B=2, S=4
    >>> input_mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    >>> vectors, table = embedding_lookup(input_ids, 5, embedding_size=6)
    >>> vectors = embedding_postprocessor(vectors, dropout_prob=0.0)
    >>> tuple(vectors.shape), tuple(table.shape)  # [B, S, E], [V, E]
    ((2, 4, 6), (5, 6))
    >>> mask = create_attention_mask_from_input_mask(input_ids, input_mask)
    >>> tuple(mask.shape)  # [B, F, T]
    (2, 4, 4)
    >>> output = transformer_model(
    ...     vectors,
    ...     mask,
    ...     hidden_size=6,
    ...     num_hidden_layers=2,
    ...     num_attention_heads=2,
    ...     intermediate_size=8,
    ... )
    >>> tuple(output.shape)
    (2, 4, 6)
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from modeling.activations import Activation, gelu
from modeling.attention import AttentionLayer, key_mask
from modeling.embeddings import (
    EmbeddingLookup,
    EmbeddingPostprocessor,
    TableSettings,
    check_sequence_length,
)
from modeling.encoder import (
    LayerSettings,
    TransformerEncoder,
    separate_layers,
)
from modeling.keras_layers import Dropout, make_layer_norm
from modeling.shapes import Shape, Tensor, get_shape_list, reshape_to_matrix
from modeling.unpadding import PaddedLayout


def embedding_lookup(
    input_ids: Tensor,
    vocab_size: int,
    embedding_size: int = 128,
    initializer_range: float = 0.02,
    word_embedding_name: str = "word_embeddings",
    use_one_hot_embeddings: bool = False,
) -> tuple[Tensor, Tensor]:
    """Looks up token ids in a new table (original: `embedding_lookup`).

    Args:
        input_ids: int32 [B, S] or [B, S, M].
        vocab_size: V.
        embedding_size: E, width of the table.
        initializer_range: standard deviation that the table starts with.
        word_embedding_name: name of the weight.
        use_one_hot_embeddings: product instead of gather.

    Returns:
        (vectors, table): float [B, S, E] or [B, S, M·E], and the weight
        [V, E].
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
    input_tensor: Tensor,
    use_token_type: bool = False,
    token_type_ids: Tensor | None = None,
    token_type_vocab_size: int = 16,
    token_type_embedding_name: str = "token_type_embeddings",
    use_position_embeddings: bool = True,
    position_embedding_name: str = "position_embeddings",
    initializer_range: float = 0.02,
    max_position_embeddings: int = 512,
    dropout_prob: float = 0.1,
) -> Tensor:
    """Finishes word vectors with new tables (original: same name).

    Args:
        input_tensor: float [B, S, E].
        use_token_type: add a vector for each token's type.
        token_type_ids: int32 [B, S]; needed if `use_token_type`.
        token_type_vocab_size: number of types.
        token_type_embedding_name: name of their table.
        use_position_embeddings: add a vector for each position.
        position_embedding_name: name of their table.
        initializer_range: standard deviation that tables start with.
        max_position_embeddings: number of positions in the table.
        dropout_prob: dropout rate; dropout is on whenever it is above 0.

    Returns:
        float [B, S, E].

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
        TableSettings(token_type_embedding_name, token_type_vocab_size)
        if use_token_type
        else None,
        TableSettings(position_embedding_name, max_position_embeddings)
        if use_position_embeddings
        else None,
        initializer_range,
        dropout_prob or 0.0,
    )
    types = token_type_ids if use_token_type else None
    return layer(input_tensor, types, training=True)


def create_attention_mask_from_input_mask(
    from_tensor: Tensor, to_mask: Tensor
) -> Tensor:
    """Repeats a mask of keys for every query (original: same name).

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


class _AttentionOverTensors(keras.layers.Layer):
    """`AttentionLayer` behind the argument ranks of the original."""

    def __init__(
        self,
        attention: AttentionLayer,
        do_return_2d_tensor: bool,
        lengths: tuple[int | None, int | None, int | None],
    ) -> None:
        super().__init__()
        self.attention = attention
        self._do_return_2d_tensor = do_return_2d_tensor
        self._lengths = lengths

    def build(self, from_tensor_shape: Shape, to_tensor_shape: Shape) -> None:
        self.attention.build(from_tensor_shape, to_tensor_shape)

    def call(
        self,
        from_tensor: Tensor,
        to_tensor: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        batch, from_length, to_length = self._lengths
        if len(from_tensor.shape) == 3:
            batch, from_length = get_shape_list(from_tensor)[:2]
            to_length = get_shape_list(to_tensor)[1]
        context = self.attention(
            reshape_to_matrix(from_tensor),
            reshape_to_matrix(to_tensor),
            attention_mask,
            from_layout=PaddedLayout(batch, from_length),
            to_layout=PaddedLayout(batch, to_length),
            training=training,
        )
        if self._do_return_2d_tensor:
            return context
        return ops.reshape(context, (batch, from_length, context.shape[-1]))


def attention_layer(
    from_tensor: Tensor,
    to_tensor: Tensor,
    attention_mask: Tensor | None = None,
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
) -> Tensor:
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
        attention_probs_dropout_prob: dropout rate; dropout is on whenever it
            is above 0.
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


def transformer_model(
    input_tensor: Tensor,
    attention_mask: Tensor | None = None,
    hidden_size: int = 768,
    num_hidden_layers: int = 12,
    num_attention_heads: int = 12,
    intermediate_size: int = 3072,
    intermediate_act_fn: Activation | None = gelu,
    hidden_dropout_prob: float = 0.1,
    attention_probs_dropout_prob: float = 0.1,
    initializer_range: float = 0.02,
    do_return_all_layers: bool = False,
) -> Tensor:
    """Runs a new encoder (original: `modeling.transformer_model`).

    Args:
        input_tensor: float [B, S, D].
        attention_mask: [B, S, S]; 1 to attend, 0 not to.
        hidden_size: D.
        num_hidden_layers: number of layers.
        num_attention_heads: N; must divide D.
        intermediate_size: I, width of the feed-forward part's inner layer.
        intermediate_act_fn: its activation, or None.
        hidden_dropout_prob: dropout rate; dropout is on whenever it is above
            0.
        attention_probs_dropout_prob: likewise, of the attention
            probabilities.
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


def layer_norm(input_tensor: Tensor, name: str | None = None) -> Tensor:
    """Normalises the last axis with new weights (original: `layer_norm`).

    Args:
        input_tensor: float tensor [..., width].
        name: of the layer that is made.

    Returns:
        A tensor of the same shape.
    """
    return make_layer_norm(name)(input_tensor)


def dropout(input_tensor: Tensor, dropout_prob: float | None) -> Tensor:
    """Drops values, always (original: `dropout`).

    There is no training flag: a dropout rate of 0 or None turns it off.

    Args:
        input_tensor: float tensor of any shape.
        dropout_prob: the probability of dropping a value, not of keeping it.

    Returns:
        A tensor of the same shape; kept values are scaled by
        1 / (1 − dropout_prob).
    """
    if not dropout_prob:
        return input_tensor
    return Dropout(dropout_prob)(input_tensor, training=True)


def layer_norm_and_dropout(
    input_tensor: Tensor, dropout_prob: float | None, name: str | None = None
) -> Tensor:
    """LayerNorm, then dropout (original: `layer_norm_and_dropout`)."""
    return dropout(layer_norm(input_tensor, name), dropout_prob)


def get_assignment_map_from_checkpoint(
    tvars: Iterable[Any], init_checkpoint: str
) -> tuple[dict[str, str], dict[str, int]]:
    """Maps checkpoint names to equal variable names (original: same name).

    `bert_keras3.checkpointing.load` reads more formats and reports what does
    not fit.

    Args:
        tvars: Keras variables (named by their path) or TensorFlow variables.
        init_checkpoint: prefix of a name-based checkpoint.

    Returns:
        (assignment_map, initialized_variable_names): the first maps every
        name that both sides have to itself; the second holds those names,
        with and without ":0", each with the value 1.
    """
    import tensorflow as tf

    names = {
        re.sub(r":\d+$", "", getattr(variable, "path", variable.name))
        for variable in tvars
    }
    assignment_map: dict[str, str] = collections.OrderedDict()
    initialized_variable_names: dict[str, int] = {}
    for name, _ in tf.train.list_variables(init_checkpoint):
        if name in names:
            assignment_map[name] = name
            initialized_variable_names[name] = 1
            initialized_variable_names[f"{name}:0"] = 1
    return assignment_map, initialized_variable_names
