"""The whole encoder: ids [B, S] → vectors [B, S, D] and [B, D].

What is asked of these vectors is in `heads`; where weights come from is
`checkpointing`'s matter.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import types
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from modeling.activations import get_activation
from modeling.attention import key_mask, recorded_attention
from modeling.config import BertConfig
from modeling.embeddings import EmbeddingLookup, EmbeddingPostprocessor
from modeling.encoder import (
    LayerSettings,
    Stack,
    TransformerEncoder,
    separate_layers,
)
from modeling.initializers import create_initializer
from modeling.layer_groups import grouped_layers
from modeling.rows import AllRows, RealRows, Rows
from modeling.shapes import assert_rank, reshape_to_matrix


class Pooler(keras.layers.Layer):
    """tanh(dense(first token)), [B, D] → [B, D]."""

    def __init__(
        self, hidden_size: int, initializer_range: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(
            hidden_size,
            activation="tanh",
            kernel_initializer=create_initializer(initializer_range),
            name="dense",
        )

    def build(self, input_shape: Any = None) -> None:
        """Makes the dense layer."""
        self.dense.build((None, self.dense.units))

    def call(self, first_token: Any) -> Any:
        """[B, D] → [B, D]."""
        return self.dense(first_token)


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What `BertModel.encode` computed.

    Attributes:
        rows: where in the batch the rows of `tokens` are; `rows.spread` puts
            what was computed for them where it belongs, [R, W] → [B, S, W].
        first_and_positions: float [B, 1 + P, D], the last layer's vectors of
            the first token and of the positions.
        pooler: makes the pooled output.
        tokens: float [R, D], the last layer's vectors of all tokens; None if
            they were not wanted.
        layers: float [R, D] for each layer, first layer first, likewise.
        attention: float [B, N, S, S] for each layer, the probabilities with
            which each token (third axis) attends to each other; 0 where the
            third axis is padding. Likewise.
    """

    rows: Rows
    first_and_positions: Any
    pooler: Pooler
    tokens: Any = None
    layers: Sequence[Any] | None = None
    attention: Sequence[Any] | None = None

    @functools.cached_property
    def pooled_output(self) -> Any:
        """Float [B, D]: tanh(dense(first token))."""
        return self.pooler(self.first_and_positions[:, 0])

    @property
    def vectors(self) -> Any:
        """Float [B·P, D], the vectors of the positions, in their order."""
        width = self.first_and_positions.shape[-1]
        return ops.reshape(self.first_and_positions[:, 1:], (-1, width))

    @property
    def sequence_output(self) -> Any:
        """Float [B, S, D], the vectors of all tokens; 0 at padding."""
        return self.rows.spread(self.tokens)


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
        input_ids: Any = None,
        input_mask: Any = None,
        token_type_ids: Any = None,
        use_one_hot_embeddings: bool = False,
        scope: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Builds the model and, if ids are given, calls it on them.

        Args:
            config: sizes and rates; copied.
            is_training: whether dropout is on in that call (and only
                there: later calls have Keras' `training`).
            input_ids: int32 [B, S] or None.
            input_mask: int32 [B, S], 1 for tokens, 0 for padding; all 1 by
                default.
            token_type_ids: int32 [B, S]; all 0 by default.
            use_one_hot_embeddings: look words up by a product, not by a
                gather.
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
            token_type_vocab_size=config.type_vocab_size,
            max_position_embeddings=config.max_position_embeddings,
            initializer_range=config.initializer_range,
            dropout_prob=config.hidden_dropout_prob,
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
        self._asked = types.SimpleNamespace(outputs=None)
        if input_ids is not None:
            inputs = {"input_ids": input_ids}
            if input_mask is not None:
                inputs["input_mask"] = input_mask
            if token_type_ids is not None:
                inputs["segment_ids"] = token_type_ids
            self._asked.outputs = self(inputs, training=bool(is_training))

    def build(self, input_shape: Any = None) -> None:
        """Makes all weights; their shapes follow from the configuration."""
        self.word_embeddings.build()
        self.embedding_postprocessor.build()
        self.encoder.build()
        self.pooler.build()

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Any]:
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
        embedding_output, input_mask = self._embed(inputs, training)
        attention_mask = None if input_mask is None else key_mask(input_mask)
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
        inputs: Any,
        *,
        positions: Any = None,
        tokens: bool = False,
        layers: bool = False,
        attention: bool = False,
        training: bool | None = None,
        unpad: bool = True,
    ) -> Encoded:
        """Computes what a caller wants of the encoder, and nothing beyond.

        The numbers of `call` without the work on padding and, in the last
        layer, on tokens that are not wanted: without `tokens` it computes
        the first token of each sequence and the positions alone.

        Args:
            inputs: as for `call`.
            positions: int32 [B, P], each below S, tokens or padding; None
                for none.
            tokens: whether all tokens are wanted.
            layers: whether those of every layer are; implies `tokens`.
            attention: whether the attention maps of every layer are; implies
                `tokens`. Not with rematerialization.
            training: whether dropout is on.
            unpad: whether padding is left out. Without, no shape depends on a
                value, which some runtimes of exported graphs ask for.

        Returns:
            What is wanted, by name.
        """
        matrix, mask, rows = self._embed_rows(
            inputs, positions, training, unpad=unpad
        )
        tokens = tokens or layers or attention
        wanted = ops.zeros((rows.batch, 1), "int32")
        if positions is not None:
            wanted = ops.concatenate(
                [wanted, ops.cast(positions, "int32")], axis=1
            )
        with recorded_attention(attention) as maps:
            outputs = self.encoder.encode_rows(
                matrix,
                mask,
                rows,
                None if tokens else wanted,
                training=training,
            )
        vectors = rows.at(outputs[-1], wanted) if tokens else outputs[-1]
        # [B·(1 + P), D] -> [B, 1 + P, D]
        width = self.config.hidden_size
        vectors = ops.reshape(vectors, (rows.batch, -1, width))
        return Encoded(
            rows,
            vectors,
            self.pooler,
            tokens=outputs[-1] if tokens else None,
            layers=outputs if layers else None,
            attention=[rows.clear_queries(one) for one in maps] or None,
        )

    def _embed_rows(
        self,
        inputs: Any,
        asked: Any,
        training: bool | None,
        *,
        unpad: bool = True,
    ) -> tuple[Any, Any, Rows]:
        """Returns the embedding output [R, E], the key mask and the rows."""
        input_ids, input_mask, segment_ids = _checked(inputs)
        mask = None if input_mask is None else key_mask(input_mask)
        if mask is None or not unpad:
            vectors, _ = self._embed(inputs, training)
            batch, length = ops.shape(input_ids)
            return reshape_to_matrix(vectors), mask, AllRows(batch, length)
        rows = RealRows(input_mask, asked)
        vectors = self.embedding_postprocessor(
            self._word_vectors(rows.pick(input_ids)),
            rows.pick(segment_ids),
            rows=rows,
            training=training,
        )
        return vectors, mask, rows

    def _word_vectors(self, ids: Any) -> Any:
        """[R] → [R, E], looked up as one sequence of R tokens."""
        vectors = self.word_embeddings(ops.expand_dims(ids, 0))
        return ops.squeeze(vectors, 0)

    def _embed(self, inputs: Any, training: bool | None) -> tuple[Any, Any]:
        """Returns the embedding output [B, S, E] and the mask, if any."""
        input_ids, input_mask, segment_ids = _checked(inputs)
        embedding_output = self.embedding_postprocessor(
            self.word_embeddings(input_ids), segment_ids, training=training
        )
        return embedding_output, input_mask

    def _output(self, name: str) -> Any:
        if self._asked.outputs is None:
            raise ValueError(
                f"there is no `{name}` yet: the model was made without "
                "`input_ids`. Call it and take the output from the result."
            )
        return self._asked.outputs[name]

    def get_pooled_output(self) -> Any:
        """Returns float [B, D]: tanh(dense(first token))."""
        return self._output("pooled_output")

    def get_sequence_output(self) -> Any:
        """Returns float [B, S, D]: the last layer's output."""
        return self._output("sequence_output")

    def get_all_encoder_layers(self) -> list[Any]:
        """Returns a list of float [B, S, D], first layer first."""
        return self._output("all_encoder_layers")

    def get_embedding_output(self) -> Any:
        """Returns float [B, S, E]: the embeddings' sum, normalised."""
        return self._output("embedding_output")

    def get_embedding_table(self) -> Any:
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


def _checked(inputs: Any) -> tuple[Any, Any, Any]:
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
    )
    if config.num_hidden_groups is None:
        return separate_layers(config.num_hidden_layers, settings)
    return grouped_layers(
        config.num_hidden_layers,
        config.num_hidden_groups,
        config.inner_group_num,
        settings,
    )
