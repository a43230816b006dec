"""What Hugging Face's `config.json` says, in both directions.

Weights and the other files of such folders are `huggingface`'s matter.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from modeling.heads import CLASSIFIER_DROPOUT_PROB

# Here the erf form is called gelu, and the original's tanh form gelu_new.
_ACTIVATIONS = {
    "gelu": "gelu_erf",
    "gelu_python": "gelu_erf",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}

# The other way round; what is not here goes by its own name.
_ACTIVATIONS_THERE = {"gelu": "gelu_new", "gelu_erf": "gelu"}

# transformers' values for keys that a file leaves out, by `model_type`.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "bert": {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
    },
    "albert": {
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": 4096,
        "num_hidden_layers": 12,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
    },
}

# Keys about the heads, and those that Google's files have; a `BertConfig`
# keeps them as unknown.
_KEPT = (
    "architectures",
    "id2label",
    "label2id",
    "problem_type",
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
)

# What this program computes; another value would give other numbers.
_FIXED = {
    "position_embedding_type": "absolute",
    "layer_norm_eps": 1e-12,
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def from_json_file(path: pathlib.Path) -> BertConfig:
    """Reads a `config.json` of Hugging Face's as a `BertConfig`.

    `hidden_act` "gelu" becomes "gelu_erf", "gelu_new" becomes "gelu", so
    that the numbers stay Hugging Face's.

    Args:
        path: the file.

    Returns:
        The configuration; of the keys that are not its own only those about
        labels and heads are kept.

    Raises:
        UserError: the file is no JSON object, is for another kind of model,
            or asks for what this program does not compute.
    """
    values = read_json(path)
    model_type = values.get("model_type", "bert")
    if model_type not in _DEFAULTS:
        raise UserError(
            f"{path}: model_type is {model_type!r}; of Hugging Face's models "
            "only 'bert' and 'albert' are read"
        )
    for key, expected in _FIXED.items():
        if values.get(key, expected) != expected:
            raise UserError(
                f"{path}: {key} is {values[key]!r}; only {expected!r} is "
                "computed here"
            )
    fields = {
        key: values.get(key, default)
        for key, default in _DEFAULTS[model_type].items()
    }
    activation = fields["hidden_act"]
    if activation not in _ACTIVATIONS:
        raise UserError(
            f"{path}: hidden_act is {activation!r}; known are "
            f"{', '.join(_ACTIVATIONS)}"
        )
    fields["hidden_act"] = _ACTIVATIONS[activation]
    fields.update({key: values[key] for key in _KEPT if key in values})
    try:
        return BertConfig.from_dict(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def to_json_values(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns what `config.json` is to say of a checkpoint."""
    config = checkpoint.config
    activation = str(config.hidden_act or "linear").lower()
    values = {
        **config.to_dict(),
        "model_type": names.family_of(config),
        "architectures": [checkpoint.architecture],
        "hidden_act": _ACTIVATIONS_THERE.get(activation, activation),
        **_FIXED,
        "pad_token_id": _pad_id(checkpoint.vocabulary),
    }
    if config.num_hidden_groups is not None:
        # Other values are meant there where these are left out.
        values["embedding_size"] = config.embedding_width
        values["inner_group_num"] = config.inner_group_num
    if checkpoint.num_labels:
        labels = checkpoint.labels
        values["id2label"] = {str(i): label for i, label in enumerate(labels)}
        values["label2id"] = {label: i for i, label in enumerate(labels)}
        # By both names: the second is ALBERT's.
        values["classifier_dropout"] = CLASSIFIER_DROPOUT_PROB
        values["classifier_dropout_prob"] = CLASSIFIER_DROPOUT_PROB
    return values


def _pad_id(vocabulary: Sequence[str] | None) -> int:
    if vocabulary is None or "[PAD]" not in vocabulary:
        return 0
    return vocabulary.index("[PAD]")


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Reads a JSON object, or says with the line what is wrong with it."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}:{error.lineno}: is not JSON: {error.msg}"
        ) from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UserError(
            f"{path}: holds a {type(values).__name__}, not a JSON object"
        )
    return values
