"""The whole encoder: ids [B, S] → vectors [B, S, D] and [B, D].

    >>> import numpy as np
    >>> config = BertConfig(
    ...     vocab_size=5,  # V
    ...     hidden_size=6,  # D
    ...     num_hidden_layers=3,
    ...     num_attention_heads=2,  # N
    ...     intermediate_size=8,  # I
    ... )
    >>> model = BertModel(config)
    >>> inputs = {  # B=2, S=4
    ...     "input_ids": np.array([[1, 2, 4, 0], [1, 3, 0, 0]]),
    ...     "input_mask": np.array([[1, 1, 1, 0], [1, 1, 0, 0]]),
    ... }
    >>> outputs = model(inputs)
    >>> tuple(outputs["sequence_output"].shape)
    (2, 4, 6)
    >>> tuple(outputs["pooled_output"].shape)
    (2, 6)

`encode` computes no more than is wanted, and nothing for padding:

    >>> encoded = model.encode(inputs, outputs=["tokens", "attention"])
    >>> tuple(encoded.tokens.shape)  # [R, D]: 3 + 2 tokens
    (5, 6)
    >>> [tuple(attention.shape) for attention in encoded.attention]
    [(2, 2, 4, 4), (2, 2, 4, 4), (2, 2, 4, 4)]
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import keras
from keras import ops

from modeling.activations import get_activation
from modeling.attention import key_mask, recorded_attention
from modeling.config import BertConfig
from modeling.embeddings import (
    EmbeddingLookup,
    EmbeddingPostprocessor,
    TableSettings,
)
from modeling.encoder import (
    LayerSettings,
    Stack,
    TransformerEncoder,
    separate_layers,
)
from modeling.keras_layers import make_dense
from modeling.layer_groups import grouped_layers
from modeling.shapes import Shape, Tensor, assert_rank, reshape_to_matrix
from modeling.unpadding import PaddedLayout, TokenLayout, UnpaddedLayout

ENCODED_OUTPUTS = ("tokens", "layers", "attention", "embeddings")
"""What `BertModel.encode` computes where it is wanted."""

Inputs: TypeAlias = "Tensor | Mapping[str, Tensor]"
"""`input_ids`, or a mapping with `input_ids` and, if need be, `input_mask`
and `segment_ids`; int32 [B, S] each."""


class Pooler(keras.layers.Layer):
    """tanh(dense(first token)), [B, D] → [B, D]."""

    def __init__(
        self, hidden_size: int, initializer_range: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dense = make_dense(hidden_size, initializer_range, "tanh")

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the dense layer."""
        self.dense.build((None, self.dense.units))

    def call(self, first_token: Tensor) -> Tensor:
        """[B, D] → [B, D]."""
        return self.dense(first_token)


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What `BertModel.encode` computed.

    Attributes:
        layout: where in the batch the tokens are; `layout.pad` puts what was
            computed for them where it belongs, [R, W] → [B, S, W].
        first_and_positions: float [B, 1 + P, D], the last layer's vectors of
            the first token and of the positions.
        pooler: makes the pooled output.
        tokens: float [R, D], the last layer's vectors of all tokens; None if
            they were not wanted.
        layers: float [R, D] for each layer, first layer first, likewise.
        attention: float [B, N, S, S] for each layer, the probabilities with
            which each token (third axis) attends to each other; 0 where the
            third axis is padding. Likewise.
        embeddings: float [R, E], the sum of all embeddings, normalised.
            Likewise.
    """

    layout: TokenLayout
    first_and_positions: Tensor
    pooler: Pooler
    tokens: Tensor | None = None
    layers: Sequence[Tensor] | None = None
    attention: Sequence[Tensor] | None = None
    embeddings: Tensor | None = None

    @functools.cached_property
    def pooled_output(self) -> Tensor:
        """Float [B, D]: tanh(dense(first token))."""
        return self.pooler(self.first_and_positions[:, 0])

    @property
    def vectors(self) -> Tensor:
        """Float [B·P, D], the vectors of the positions, in their order."""
        width = self.first_and_positions.shape[-1]
        return ops.reshape(self.first_and_positions[:, 1:], (-1, width))

    @property
    def sequence_output(self) -> Tensor:
        """Float [B, S, D], the vectors of all tokens; 0 at padding."""
        return self.layout.pad(self.tokens)


@keras.saving.register_keras_serializable(package="bert")
class BertModel(keras.Model):
    """BERT (original: `modeling.BertModel`), a Keras model.

    Devlin et al. 2018, section 3. Two ways to use it:

        model = BertModel(config)
        outputs = model({"input_ids": ids, "input_mask": mask,
                         "segment_ids": types})
        outputs["pooled_output"]

    with mask and types optional (or ids alone instead of the mapping), and
    the original's

        model = BertModel(config=config, is_training=True, input_ids=ids,
                          input_mask=mask, token_type_ids=types)
        model.get_pooled_output()

    on eager tensors or on `keras.Input`s. The paths of the weights equal
    the variable names in Google's checkpoints.
    """

    def __init__(
        self,
        config: BertConfig,
        is_training: bool | None = None,
        input_ids: Tensor | None = None,
        input_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        use_one_hot_embeddings: bool = False,
        scope: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Builds the model and, if ids are given, calls it on them.

        Args:
            config: sizes and dropout rates; copied.
            is_training: whether dropout is on in that call (and only
                there: later calls have Keras' `training`).
            input_ids: int32 [B, S] or None.
            input_mask: int32 [B, S], 1 for real tokens, 0 for padding; all 1
                by default.
            token_type_ids: int32 [B, S]; all 0 by default.
            use_one_hot_embeddings: look word embeddings up by a product, not
                by a gather.
            scope: first part of every weight's path, "bert" by default.
            **kwargs: of `keras.Model`.

        Raises:
            UserError: the configuration is impossible.
            ValueError: an input has the wrong rank or is too long.
        """
        kwargs["name"] = scope or kwargs.get("name") or "bert"
        super().__init__(**kwargs)
        config.validate()
        self.config = copy.deepcopy(config)
        self._use_one_hot_embeddings = use_one_hot_embeddings
        # Two layers in one scope, as in the original.
        self.word_embeddings = EmbeddingLookup(
            config.vocab_size,
            config.embedding_width,
            config.initializer_range,
            use_one_hot_embeddings=use_one_hot_embeddings,
            name="embeddings",
        )
        self.embedding_postprocessor = EmbeddingPostprocessor(
            config.embedding_width,
            TableSettings("token_type_embeddings", config.type_vocab_size),
            TableSettings(
                "position_embeddings", config.max_position_embeddings
            ),
            config.initializer_range,
            config.hidden_dropout_prob,
            config.layer_norm_eps,
            name="embeddings",
        )
        self.encoder = TransformerEncoder(
            _stack(config),
            config.hidden_size,
            config.embedding_width,
            config.initializer_range,
            name="encoder",
        )
        self.pooler = Pooler(
            config.hidden_size, config.initializer_range, name="pooler"
        )
        self.build()
        # In a namespace, since Keras would wrap and track a mapping.
        self._at_construction = types.SimpleNamespace(outputs=None)
        if input_ids is not None:
            inputs = {"input_ids": input_ids}
            if input_mask is not None:
                inputs["input_mask"] = input_mask
            if token_type_ids is not None:
                inputs["segment_ids"] = token_type_ids
            self._at_construction.outputs = self(
                inputs, training=bool(is_training)
            )

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes all weights; their shapes follow from the configuration."""
        self.word_embeddings.build()
        self.embedding_postprocessor.build()
        self.encoder.build()
        self.pooler.build()

    def call(
        self, inputs: Inputs, training: bool | None = None
    ) -> dict[str, Any]:
        """Computes everything that the getters name.

        Args:
            inputs: `input_ids`, or a mapping with `input_ids` and, if need
                be, `input_mask` and `segment_ids`; int32 [B, S] each.
            training: whether dropout is on.

        Returns:
            `sequence_output` [B, S, D], `pooled_output` [B, D],
            `embedding_output` [B, S, E] and `all_encoder_layers`, a list of
            [B, S, D], first layer first. Positions of padding are computed
            too, as in the original.
        """
        input_ids, input_mask, segment_ids = _checked(inputs)
        # [B, S] -> [B, S, E]
        embedding_output = self._embed(input_ids, segment_ids, training)
        # [B, S] -> [B, 1, S]
        attention_mask = None if input_mask is None else key_mask(input_mask)
        # [B, S, E] -> [B, S, D] a layer
        all_encoder_layers = self.encoder(
            embedding_output, attention_mask, training=training
        )
        sequence_output = all_encoder_layers[-1]
        return {
            "sequence_output": sequence_output,
            "pooled_output": self.pooler(sequence_output[:, 0, :]),
            "embedding_output": embedding_output,
            "all_encoder_layers": all_encoder_layers,
        }

    def encode(
        self,
        inputs: Inputs,
        *,
        positions: Tensor | None = None,
        outputs: Collection[str] = (),
        training: bool | None = None,
        unpad: bool = True,
    ) -> Encoded:
        """Computes what a caller wants of the encoder, and nothing beyond.

        The numbers of `call` without the work on padding and, in the last
        layer, on tokens that are not wanted: without `outputs` it computes
        the first token of each sequence and the positions alone.

        Args:
            inputs: as for `call`.
            positions: int32 [B, P], each below S, tokens or padding; None
                for none.
            outputs: names of `ENCODED_OUTPUTS`: "tokens", the last layer's
                vectors of all tokens; "layers", every layer's; "attention",
                the attention maps of every layer (not with
                rematerialization); "embeddings", what the first layer reads.
                Each implies "tokens".
            training: whether dropout is on.
            unpad: whether padding is left out. Without, no shape depends on a
                value, which some runtimes of exported graphs need.

        Returns:
            What is wanted, by name.

        Raises:
            ValueError: `outputs` has another name.
        """
        for name in outputs:
            if name not in ENCODED_OUTPUTS:
                raise ValueError(
                    f"the encoder has no output {name!r}; it has "
                    f"{', '.join(ENCODED_OUTPUTS)}"
                )
        # [B, S] -> [R, E]
        matrix, mask, layout = self._embed_tokens(
            inputs, positions, training, unpad=unpad
        )
        # [B, 1], or with positions [B, 1 + P]
        wanted = ops.zeros((layout.batch, 1), "int32")
        if positions is not None:
            wanted = ops.concatenate(
                [wanted, ops.cast(positions, "int32")], axis=1
            )
        with recorded_attention("attention" in outputs) as maps:
            # [R, E] -> [R, D] a layer; the last may be [B·(1 + P), D]
            layers = self.encoder.encode_tokens(
                matrix,
                mask,
                layout,
                None if outputs else wanted,
                training=training,
            )
        # [R, D] -> [B·(1 + P), D] -> [B, 1 + P, D]
        vectors = layout.gather(layers[-1], wanted) if outputs else layers[-1]
        width = self.config.hidden_size
        vectors = ops.reshape(vectors, (layout.batch, -1, width))
        return Encoded(
            layout,
            vectors,
            self.pooler,
            tokens=layers[-1] if outputs else None,
            layers=layers if "layers" in outputs else None,
            attention=[layout.mask_queries(one) for one in maps] or None,
            embeddings=matrix if "embeddings" in outputs else None,
        )

    def _embed_tokens(
        self,
        inputs: Inputs,
        wanted: Tensor | None,
        training: bool | None,
        *,
        unpad: bool = True,
    ) -> tuple[Tensor, Tensor | None, TokenLayout]:
        """Returns the embedding output [R, E], the key mask and the layout."""
        input_ids, input_mask, segment_ids = _checked(inputs)
        mask = None if input_mask is None else key_mask(input_mask)
        if mask is None or not unpad:
            # [B, S] -> [B, S, E] -> [B·S, E]
            vectors = self._embed(input_ids, segment_ids, training)
            shape = ops.shape(input_ids)
            return reshape_to_matrix(vectors), mask, PaddedLayout(*shape)
        layout = UnpaddedLayout(input_mask, wanted)
        # [B, S] -> [R] -> [R, E]
        vectors = self.embedding_postprocessor(
            self._word_vectors(layout.unpad(input_ids)),
            layout.unpad(segment_ids),
            layout=layout,
            training=training,
        )
        return vectors, mask, layout

    def _word_vectors(self, ids: Tensor) -> Tensor:
        """[R] → [R, E], looked up as one sequence of R tokens."""
        vectors = self.word_embeddings(ops.expand_dims(ids, 0))
        return ops.squeeze(vectors, 0)

    def _embed(
        self,
        input_ids: Tensor,
        segment_ids: Tensor,
        training: bool | None,
    ) -> Tensor:
        """Ids and types [B, S] → the embedding output [B, S, E]."""
        return self.embedding_postprocessor(
            self.word_embeddings(input_ids), segment_ids, training=training
        )

    def _output(self, name: str) -> Any:
        if self._at_construction.outputs is None:
            raise ValueError(
                f"there is no `{name}` yet: the model was made without "
                "`input_ids`. Call it and take the output from the result."
            )
        return self._at_construction.outputs[name]

    def get_pooled_output(self) -> Tensor:
        """Returns float [B, D]: tanh(dense(first token))."""
        return self._output("pooled_output")

    def get_sequence_output(self) -> Tensor:
        """Returns float [B, S, D]: the last layer's output."""
        return self._output("sequence_output")

    def get_all_encoder_layers(self) -> list[Tensor]:
        """Returns a list of float [B, S, D], first layer first."""
        return self._output("all_encoder_layers")

    def get_embedding_output(self) -> Tensor:
        """Returns float [B, S, E]: the sum of all embeddings, normalised."""
        return self._output("embedding_output")

    def get_embedding_table(self) -> Tensor:
        """Returns the word embedding table, a weight [V, E]."""
        return self.word_embeddings.table

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same model."""
        return {
            "config": self.config.to_dict(),
            "use_one_hot_embeddings": self._use_one_hot_embeddings,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> BertModel:
        """Makes a model from `get_config`'s mapping, weights random."""
        rest = dict(config)
        return cls(BertConfig.from_dict(rest.pop("config")), **rest)


def _checked(inputs: Inputs) -> tuple[Tensor, Tensor | None, Tensor]:
    """Returns ids [B, S], mask (or None) and types of any kind of inputs."""
    if not isinstance(inputs, dict):
        inputs = {"input_ids": inputs}
    for name in ("input_ids", "input_mask", "segment_ids"):
        if inputs.get(name) is not None:
            assert_rank(inputs[name], 2, name)
    input_ids = inputs["input_ids"]
    segment_ids = inputs.get("segment_ids")
    if segment_ids is None:
        segment_ids = ops.zeros_like(input_ids)
    return input_ids, inputs.get("input_mask"), segment_ids


def _stack(config: BertConfig) -> Stack:
    """Makes BERT's layers or, if there are groups, ALBERT's."""
    settings = LayerSettings(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        get_activation(config.hidden_act),
        config.hidden_dropout_prob,
        config.attention_probs_dropout_prob,
        config.initializer_range,
        config.layer_norm_eps,
    )
    if config.num_hidden_groups is None:
        return separate_layers(config.num_hidden_layers, settings)
    return grouped_layers(
        config.num_hidden_layers,
        config.num_hidden_groups,
        config.inner_group_num,
        settings,
    )
