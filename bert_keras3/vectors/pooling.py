"""Vectors of tokens → one vector of a text.

    tokens of "a b" in the last layer    [CLS] a b [SEP] = 0, 2, 4, 2 (D=1)
    cls 0, mean 2, max 4, lasttoken 2, mean_sqrt_len_tokens 8/√4 = 4,
    weightedmean (1·0 + 2·2 + 3·4 + 4·2) / (1 + 2 + 3 + 4) = 2.4

Padding is no token; [CLS] and [SEP] are. The modes and their names are those
of the library sentence-transformers (its layer `Pooling`); `last4` is the mean
over tokens of the mean of the last four layers, as in Devlin et al. 2018, table
7, `first_last` that of the first layer and the last (Su et al. 2021).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence

import keras
from keras import ops

from bert_keras3.checkpointing.sentence_pooling import SentencePooling
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.vectors.pooling_names import POOLINGS
from modeling import BertConfig, BertModel
from modeling.bert import Encoded, Inputs
from modeling.shapes import Tensor

VECTORS = "vectors"
"""Name of the output."""

# Below every value that LayerNorm gives.
_LOWEST = -1e30
_FIRST_ALONE = "cls"


@dataclasses.dataclass(frozen=True)
class Pooling:
    """How the vectors of a text's tokens become one.

    Attributes:
        modes: keys of `MODES`, whose vectors are concatenated; none for a
            vector for each token and layer.
        layers: numbers of layers, from -L to L - 1; their mean is pooled.
        normalize: whether the vector is divided by its Euclidean length.
    """

    modes: tuple[str, ...]
    layers: tuple[int, ...] = (-1,)
    normalize: bool = False

    @classmethod
    def named(
        cls, name: str, num_layers: int, normalize: bool = False
    ) -> Pooling:
        """Returns one of `POOLINGS`.

        Args:
            name: its key.
            num_layers: of the model; `last4` of fewer than four has all.
            normalize: see the attribute.

        Raises:
            UserError: there is none of that name.
        """
        if name not in POOLINGS:
            raise UserError(f"pooling={name}: known are {', '.join(POOLINGS)}")
        mode, layers = POOLINGS[name]
        return cls((mode,), layers[:num_layers], normalize)

    @classmethod
    def of_folder(cls, stored: SentencePooling) -> Pooling:
        """Returns that of a sentence-transformers folder."""
        return cls(stored.modes, (-1,), stored.normalize)

    def checked(self, num_layers: int) -> Pooling:
        """Returns this with layers from 0 to L - 1.

        Args:
            num_layers: of the model, L.

        Raises:
            UserError: the model has no layer of that number.
        """
        for layer in self.layers:
            if not -num_layers <= layer < num_layers:
                raise UserError(
                    f"--layers={layer}: the model has {num_layers} layers; "
                    f"give numbers from 0 (the first) to {num_layers - 1}, or "
                    f"from -1 (the last) to -{num_layers}"
                )
        return dataclasses.replace(
            self, layers=tuple(layer % num_layers for layer in self.layers)
        )

    def width(self, hidden_size: int) -> int:
        """Returns the number of components of a text's vector."""
        return hidden_size * max(1, len(self.modes))


def token_vectors(
    bert: BertModel, inputs: Inputs, layers: Sequence[int]
) -> Tensor:
    """Computes the vectors of all tokens in some layers.

    Args:
        bert: the encoder.
        inputs: `input_ids`, `input_mask` and `segment_ids`, int32 [B, S].
        layers: L numbers of layers.

    Returns:
        Float [B, S, L·D], one layer after the other; 0 at padding.
    """
    encoded = bert.encode(inputs, outputs=("layers",))
    assert encoded.layers is not None
    # L times [R, D] -> [R, L·D] -> [B, S, L·D]
    chosen = [encoded.layers[layer] for layer in layers]
    return encoded.layout.pad(ops.concatenate(chosen, axis=-1))


def text_vectors(
    bert: BertModel, inputs: Inputs, pooling: Pooling, *, unpad: bool = True
) -> Tensor:
    """Computes the vectors of texts.

    Args:
        bert: the encoder.
        inputs: `input_ids`, `input_mask` and `segment_ids`, int32 [B, S].
        pooling: checked.
        unpad: as for `BertModel.encode`.

    Returns:
        Float32 [B, D], or [B, M·D] for M modes.
    """
    last = bert.config.num_hidden_layers - 1
    if pooling.modes == (_FIRST_ALONE,) and pooling.layers == (last,):
        # The last layer computes no other token.
        encoded = bert.encode(inputs, unpad=unpad)
        return _finished(encoded.first_and_positions[:, 0], pooling)
    wanted = "tokens" if pooling.layers == (last,) else "layers"
    encoded = bert.encode(inputs, outputs=(wanted,), unpad=unpad)
    return pooled(encoded, inputs, pooling)


def pooled(
    encoded: Encoded, inputs: Mapping[str, Tensor], pooling: Pooling
) -> Tensor:
    """Pools what was computed.

    Args:
        encoded: of the inputs, with every layer, or with the last layer's
            tokens if the pooling has no other.
        inputs: has `input_mask` [B, S].
        pooling: checked.

    Returns:
        Float32 [B, D], or [B, M·D] for M modes.
    """
    chosen: list[Tensor] = [encoded.tokens]
    if encoded.layers is not None:
        chosen = [encoded.layers[layer] for layer in pooling.layers]
    # [R, D] a layer -> [R, D] -> [B, S, D]
    mixed = chosen[0]
    for layer in chosen[1:]:
        mixed = mixed + layer
    tokens = encoded.layout.pad(mixed / len(chosen))
    # [B, S] -> [B, S, 1]
    mask = ops.expand_dims(ops.cast(inputs["input_mask"], tokens.dtype), -1)
    # [B, S, D] -> [B, D] a mode -> [B, M·D]
    parts = [MODES[mode](tokens, mask) for mode in pooling.modes]
    return _finished(ops.concatenate(parts, -1), pooling)


def _finished(vectors: Tensor, pooling: Pooling) -> Tensor:
    vectors = ops.cast(vectors, "float32")
    if not pooling.normalize:
        return vectors
    squares = ops.sum(ops.square(vectors), -1, keepdims=True)
    return vectors / ops.sqrt(ops.maximum(squares, 1e-24))


class TextVectorModel(keras.Model):
    """The encoder with its pooling as one model, for exports.

    Attributes:
        bert: the encoder.
        unpad: whether padding is left out of the computation.
    """

    def __init__(self, bert: BertModel, pooling: Pooling) -> None:
        """Takes an encoder with its weights.

        Args:
            bert: the encoder.
            pooling: checked.
        """
        super().__init__(name="text_vectors")
        self.bert = bert
        self.unpad = True
        # Keras would wrap the tuples of a bare dataclass.
        self._how = types.SimpleNamespace(pooling=pooling)
        self.built = True

    def call(
        self, inputs: Inputs, training: bool | None = None
    ) -> dict[str, Tensor]:
        """Token ids [N, S] → {"vectors": float32 [N, D]}."""
        pooling = self._how.pooling
        vectors = text_vectors(self.bert, inputs, pooling, unpad=self.unpad)
        return {VECTORS: vectors}

    def with_config(self, config: BertConfig) -> TextVectorModel:
        """Returns a model that pools likewise, with random weights.

        Args:
            config: of its encoder.
        """
        return TextVectorModel(BertModel(config), self._how.pooling)


def _first(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens[:, 0]


def _max(tokens: Tensor, mask: Tensor) -> Tensor:
    return ops.max(ops.where(mask > 0, tokens, _LOWEST), axis=1)


def _mean(tokens: Tensor, mask: Tensor) -> Tensor:
    return _mean_by(tokens, mask)


def _mean_sqrt(tokens: Tensor, mask: Tensor) -> Tensor:
    number = _at_least_one(ops.sum(mask, 1))
    return ops.sum(tokens * mask, 1) / ops.sqrt(number)


def _weighted_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    # [B, S, 1]: 1, 2, 3, …, and 0 at padding.
    return _mean_by(tokens, ops.cumsum(mask, 1) * mask)


def _mean_by(tokens: Tensor, weights: Tensor) -> Tensor:
    return ops.sum(tokens * weights, 1) / _at_least_one(ops.sum(weights, 1))


def _last(tokens: Tensor, mask: Tensor) -> Tensor:
    # [B, S, 1]: 1 at the token behind which there is none.
    left = ops.sum(mask, 1, keepdims=True) - ops.cumsum(mask, 1)
    is_last = ops.cast(left < 0.5, tokens.dtype) * mask
    return ops.sum(tokens * is_last, 1)


def _at_least_one(number: Tensor) -> Tensor:
    return ops.maximum(number, 1.0)


# Name, as in `checkpointing.sentence_pooling.MODES`: tokens [B, S, D] and mask
# [B, S, 1] → [B, D].
MODES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
