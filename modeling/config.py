"""The sizes and dropout rates of a BERT: what `bert_config.json` says.

    >>> config = BertConfig(vocab_size=5, hidden_size=6, num_attention_heads=2)
    >>> config.embedding_width, config.intermediate_size  # E, I
    (6, 3072)
    >>> BertConfig.from_dict({**config.to_dict(), "hidden_size": 8}).hidden_size
    8

As in the original, fields can be set one after the other, also to values that
do not fit each other yet. They are checked where a model is made of them and
where a file is read.
"""

from __future__ import annotations

import copy
import json
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bert_keras3.safekeeping.errors import UserError

if TYPE_CHECKING:
    from modeling.activations import Activation

LAYER_NORM_EPSILON = 1e-12
# The original's classifier drops this much whatever the configuration says.
CLASSIFIER_DROPOUT_PROB = 0.1

# Of `hidden_act`; `modeling.activations` has the functions in this order.
ACTIVATIONS = ("", "linear", "relu", "gelu", "gelu_erf", "tanh")

_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
# What ALBERT has beyond these.
_OPTIONAL_SIZES = ("embedding_size", "num_hidden_groups", "inner_group_num")
# Other programs' names of fields, which count where a file lacks the field:
# left to its default, a number of heads would be wrong without an error.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "vocab_size": ("vocabulary_size", "n_vocab"),
    "hidden_size": ("hidden_dim", "n_embd", "d_model"),
    "num_hidden_layers": ("num_layers", "n_layer", "n_layers"),
    "num_attention_heads": ("num_heads", "n_head", "n_heads"),
    "intermediate_size": ("intermediate_dim", "inner_dim", "d_ff"),
    "hidden_act": ("hidden_activation", "activation"),
    "hidden_dropout_prob": ("hidden_dropout", "dropout_rate", "dropout"),
    "attention_probs_dropout_prob": (
        "attention_dropout",
        "attention_dropout_rate",
    ),
    "max_position_embeddings": ("max_sequence_length", "n_positions"),
    "type_vocab_size": ("num_segments",),
    "layer_norm_eps": ("layer_norm_epsilon", "layernorm_epsilon"),
}
_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


class BertConfig:
    """Configuration of a `BertModel` (original: `modeling.BertConfig`).

    The fields are plain attributes; keys of a file that are not fields
    (`directionality`, `pooler_*`, …) are kept as attributes too and written
    back. ALBERT's fields (Lan et al. 2019, section 3.1) are named as in
    Google's `albert_config.json`; a BERT's configuration does not have them.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: str | Activation
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    max_position_embeddings: int
    type_vocab_size: int
    initializer_range: float
    embedding_size: int | None = None
    num_hidden_groups: int | None = None
    inner_group_num: int = 1
    layer_norm_eps: float = LAYER_NORM_EPSILON

    def __init__(
        self,
        vocab_size: int | None,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str | Activation = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 16,
        initializer_range: float = 0.02,
        embedding_size: int | None = None,
        num_hidden_groups: int | None = None,
        inner_group_num: int | None = None,
        layer_norm_eps: float | None = None,
    ) -> None:
        """Makes a configuration; the defaults are the paper's base model.

        Args:
            vocab_size: number of vectors in the word embedding table; None
                if it is to be set later.
            hidden_size: width of every token's vector.
            num_hidden_layers: number of transformer layers.
            num_attention_heads: number of attention heads of a layer; must
                divide `hidden_size`.
            intermediate_size: width of the feed-forward part's inner layer.
            hidden_act: that layer's activation, a name that
                `get_activation` knows or a function.
            hidden_dropout_prob: dropout rate of the embeddings and of every
                fully connected layer.
            attention_probs_dropout_prob: dropout rate of the attention
                probabilities.
            max_position_embeddings: the longest sequence the model can take.
            type_vocab_size: number of token types (segments).
            initializer_range: standard deviation of the truncated normal
                that weights start from.
            embedding_size: width of the embedding tables, by default
                `hidden_size`; where it is another, their vectors are mapped
                to that.
            num_hidden_groups: ALBERT's groups of layers that share weights;
                by default every layer has its own, as a BERT's.
            inner_group_num: layers in each group, 1 by default; each of
                the `num_hidden_layers` then runs all of them.
            layer_norm_eps: added to the variance in LayerNorm, 1e-12 by
                default, as always in the original.
        """
        self.vocab_size = vocab_size  # type: ignore[assignment]
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.hidden_act = hidden_act
        self.intermediate_size = intermediate_size
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range
        optional = {
            "embedding_size": embedding_size,
            "num_hidden_groups": num_hidden_groups,
            "inner_group_num": inner_group_num,
            "layer_norm_eps": layer_norm_eps,
        }
        for name, value in optional.items():
            if value is not None:
                setattr(self, name, value)

    @property
    def embedding_width(self) -> int:
        """Width of the tables: `embedding_size`, else `hidden_size`."""
        return self.embedding_size or self.hidden_size

    @classmethod
    def from_dict(cls, json_object: Mapping[str, Any]) -> BertConfig:
        """Makes a configuration from a mapping; unknown keys are kept.

        Args:
            json_object: fields by name; those left out take the defaults of
                the constructor, and `vocab_size` is None then.

        Returns:
            The configuration.
        """
        config = cls(vocab_size=None)
        vars(config).update(json_object)
        return config

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> BertConfig:
        """Reads a configuration from a JSON file (`bert_config.json`).

        Fields may have the names that other programs give them, such as
        `num_heads`.

        Raises:
            UserError: the file is missing, is no JSON object or has an
                impossible field; the message names the file.
        """
        path = pathlib.Path(json_file)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise UserError(
                f"{path}: there is no such BERT configuration file"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: cannot be read as a BERT configuration: {error}"
            ) from error
        try:
            json_object = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}:{error.lineno}: is not JSON: {error.msg}"
            ) from error
        except (RecursionError, ValueError) as error:
            # Nested too deep, or a number with too many digits.
            raise UserError(
                f"{path}: cannot be read as a BERT configuration: {error}"
            ) from error
        if not isinstance(json_object, dict):
            raise UserError(
                f"{path}: a BERT configuration is a JSON object, this is a "
                f"{type(json_object).__name__}"
            )
        json_object = _with_our_names(json_object)
        if "vocab_size" not in json_object:
            raise UserError(
                f"{path}: has no `vocab_size`; its keys are "
                f"{', '.join(json_object) or 'none'}"
            )
        config = cls.from_dict(json_object)
        config.validate(path)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Returns a copy of all fields, kept unknown keys included."""
        return copy.deepcopy(vars(self))

    def to_json_string(self) -> str:
        """Returns the fields as JSON: sorted, indented by 2, newline last."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def validate(self, source: str | os.PathLike[str] = "") -> None:
        """Checks every field, before a model is made or after a file is read.

        Args:
            source: the file that the fields were read from; "" for none.

        Raises:
            UserError: names the file, the first wrong field and its value.
        """
        try:
            self._validate()
        except UserError as error:
            if not source:
                raise
            raise UserError(f"{os.fspath(source)}: {error}") from None

    def _validate(self) -> None:
        optional = [n for n in _OPTIONAL_SIZES if getattr(self, n) is not None]
        for name in (*_SIZES, *optional):
            value = getattr(self, name)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or value < 1:
                raise UserError(
                    f"`{name}` of the BERT configuration must be a whole "
                    f"number of at least 1, not {value!r}"
                )
        for name in _PROBABILITIES:
            value = getattr(self, name)
            if not _is_number(value) or not 0.0 <= value < 1.0:
                raise UserError(
                    f"`{name}` of the BERT configuration must be a number "
                    f"from 0 to below 1, not {value!r}"
                )
        if not _is_number(self.initializer_range) or (
            self.initializer_range <= 0
        ):
            raise UserError(
                "`initializer_range` of the BERT configuration must be a "
                f"number above 0, not {self.initializer_range!r}"
            )
        if not _is_number(self.layer_norm_eps) or not (
            0 < self.layer_norm_eps < 1
        ):
            raise UserError(
                "`layer_norm_eps` of the BERT configuration must be a number "
                f"between 0 and 1, not {self.layer_norm_eps!r}"
            )
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"`hidden_size` {self.hidden_size} of the BERT configuration "
                "is not a multiple of `num_attention_heads` "
                f"{self.num_attention_heads}"
            )
        if (self.num_hidden_groups or 1) > self.num_hidden_layers:
            raise UserError(
                f"`num_hidden_groups` {self.num_hidden_groups} of the BERT "
                "configuration is more than `num_hidden_layers` "
                f"{self.num_hidden_layers}"
            )
        if isinstance(self.hidden_act, str):
            try:
                check_activation(self.hidden_act)
            except ValueError as error:
                raise UserError(
                    f"`hidden_act` of the BERT configuration: {error}"
                ) from None

    def __eq__(self, other: object) -> bool:
        """Two configurations are equal when all their fields are."""
        return isinstance(other, BertConfig) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # fields may be assigned to

    def __repr__(self) -> str:
        """Shows every field."""
        fields = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"BertConfig({fields})"


def check_activation(name: str) -> None:
    """Checks the name of an activation, in any case.

    Raises:
        ValueError: it is not known.
    """
    if name.lower() not in ACTIVATIONS:
        known = ", ".join(one for one in ACTIVATIONS if one)
        raise ValueError(f"unknown activation {name!r}; known are {known}")


def _with_our_names(json_object: Mapping[str, Any]) -> dict[str, Any]:
    """Renames the fields that have others' names, unless ours is there too."""
    theirs = {
        name: field
        for field, others in _SPELLINGS.items()
        if field not in json_object
        for name in others
    }
    renamed = {theirs.get(name, name): v for name, v in json_object.items()}
    # Two of them might mean one field.
    return renamed if len(renamed) == len(json_object) else dict(json_object)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
