"""Hugging Face's folders: `config.json`, `model.safetensors`, the tokenizer's.

First the configuration is read and written, then the weights: `names` maps
their names, and kernels are transposed, [out, in] there and [in, out] here.
"""

from __future__ import annotations

import functools
import pathlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from bert_keras3.checkpointing import names, pytorch_file, safetensors_file
from bert_keras3.checkpointing.architectures import FINE_TUNED, has_pooler
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry, in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.checkpointing.sentence_pooling import write_sentence_pooling
from bert_keras3.checkpointing.tokenizer_files import (
    write_json,
    write_tokenizer,
)
from bert_keras3.checkpointing.variants import check_keys
from bert_keras3.safekeeping.errors import UserError
from modeling.config import (
    CLASSIFIER_DROPOUT_PROB,
    LAYER_NORM_EPSILON,
    BertConfig,
)

# transformers calls the erf form gelu, and the original's tanh form gelu_new.
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

# The reverse; other activations have the same name.
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

_BYTE_LEVEL = (
    "positions that begin at 2, and a tokenizer of bytes or SentencePiece "
    "without BERT's special tokens"
)
# What others have that is not computed here, by `model_type`.
_OTHER_TYPES: Mapping[str, str] = {
    **dict.fromkeys(
        ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"), _BYTE_LEVEL
    ),
    "distilbert": (
        "no segments, no pooler, and a classifier with a hidden layer instead"
    ),
    "electra": "a classifier with a hidden layer, and no pooler",
    **dict.fromkeys(
        ("deberta", "deberta-v2", "mpnet", "nezha", "modernbert", "nomic_bert"),
        "positions that are relative or rotary",
    ),
    "mobilebert": "bottlenecks in every layer",
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

# The only values that are computed here.
_FIXED = {
    "tie_word_embeddings": True,
}
# transformers' names for what is meant where these are left out.
_STATED = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}

SINGLE_FILE = "model.safetensors"
SHARD_INDEX = "model.safetensors.index.json"
_PYTORCH = (pytorch_file.SINGLE_FILE, pytorch_file.SHARD_INDEX)
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")

_DTYPES: Mapping[str, Any] = {
    **safetensors_file.DTYPES,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
}
# Types of 16 bits; each of their values is a float32 too.
_WIDENED = ("F16", "BF16")


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
            or needs what this program does not compute.
    """
    values = read_json(path)
    model_type = values.get("model_type", "bert")
    if not isinstance(model_type, str) or model_type not in _DEFAULTS:
        reason = _OTHER_TYPES.get(str(model_type))
        raise UserError(
            f"{path}: model_type is {model_type!r}; of Hugging Face's models "
            "only 'bert' and 'albert' are read"
            + (
                f": this kind has {reason}; take a BERT of the same language"
                if reason
                else ""
            )
        )
    check_keys(values, str(path))
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
    if not isinstance(activation, str) or activation not in _ACTIVATIONS:
        raise UserError(
            f"{path}: hidden_act is {activation!r}; known are "
            f"{', '.join(_ACTIVATIONS)}"
        )
    fields["hidden_act"] = _ACTIVATIONS[activation]
    # Left out where it is Google's, whose files do not have it.
    if values.get("layer_norm_eps", LAYER_NORM_EPSILON) != LAYER_NORM_EPSILON:
        fields["layer_norm_eps"] = values["layer_norm_eps"]
    fields.update({key: values[key] for key in _KEPT if key in values})
    _check_labels(fields, path)
    config = BertConfig.from_dict(fields)
    config.validate(path)
    return config


def _check_labels(values: Mapping[str, Any], path: pathlib.Path) -> None:
    """Checks the names of classes, where there are some.

    Raises:
        UserError: they are no mapping from ids to names.
    """
    named = values.get("id2label") or {}
    if not isinstance(named, dict) or not all(
        key.isdecimal() and isinstance(label, str)
        for key, label in named.items()
    ):
        raise UserError(
            f"{path}: id2label is no mapping from ids to the classes' names: "
            f"{named!r:.80}"
        )


def to_json_values(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the content of a checkpoint's `config.json`."""
    config = checkpoint.config
    activation = str(config.hidden_act or "linear").lower()
    values = {
        **config.to_dict(),
        "model_type": names.family_of(config),
        "architectures": [checkpoint.architecture],
        "hidden_act": _ACTIVATIONS_THERE.get(activation, activation),
        "layer_norm_eps": config.layer_norm_eps,
        **_FIXED,
        **_STATED,
        "pad_token_id": _pad_id(checkpoint.vocabulary),
    }
    if config.num_hidden_groups is not None:
        # transformers has other defaults for these.
        values["embedding_size"] = config.embedding_width
        values["inner_group_num"] = config.inner_group_num
    # They may be left over from the checkpoint that a training started from.
    for key in ("id2label", "label2id", "problem_type"):
        values.pop(key, None)
    task = FINE_TUNED.get(checkpoint.task or "")
    if task is not None and task.problem_type is not None:
        values["problem_type"] = task.problem_type
    if checkpoint.num_labels and (task is None or task.has_labels):
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


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns a path if it is a file of weights, or the index of shards."""
    endings = (".safetensors", ".safetensors.index.json")
    is_one = path.name.endswith(endings) or path.name in _PYTORCH
    return path if is_one and path.is_file() else None


def find_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files of weights in a folder; of shards their index."""
    for name in (SINGLE_FILE, SHARD_INDEX):
        if (folder / name).is_file():
            return [folder / name]
    found = [
        path
        for path in sorted(folder.glob("*.safetensors"))
        if not _SHARD.search(path.name)
    ]
    # The same weights, as they were saved earlier.
    pickles = [folder / name for name in _PYTORCH]
    return found or [path for path in pickles if path.is_file()][:1]


def read(path: pathlib.Path) -> Arrays:
    """Opens `model.safetensors`, or the shards an index file lists.

    `pytorch_model.bin` is read likewise, if torch is installed.

    float16 and bfloat16 are widened to float32, kernels are transposed to
    [in, out]. Names that Google has no counterpart for are kept as they are.

    Args:
        path: a `.safetensors` file, `model.safetensors.index.json`,
            `pytorch_model.bin` or `pytorch_model.bin.index.json`.

    Returns:
        The arrays under Google's names.

    Raises:
        UserError: a file is missing, damaged or of another kind.
    """
    files = _shards(path) if path.suffix == ".json" else [path]
    found: dict[str, Entry] = {}
    if path.name in _PYTORCH:
        found = _unpickled(files)
    else:
        for file in files:
            found.update(_entries(file))
    prefix = _left_out_prefix(found)
    entries: dict[str, Entry] = {}
    for name, entry in found.items():
        full = name if _is_head(name) else prefix + name
        if names.HUGGINGFACE_BUFFERS.search(name) or _is_tie(full, found):
            continue
        google = names.from_huggingface(names.HUGGINGFACE_TIES.get(full, full))
        if google is not None and names.is_transposed(google):
            entry = _transposed(entry)
        entries[google or name] = entry
    _drop_mapping_to_itself(entries, path)
    return Arrays(entries)


def _left_out_prefix(found: Mapping[str, Entry]) -> str:
    """Bare encoders are saved without the name that they have in models."""
    if "embeddings.word_embeddings.weight" not in found:
        return ""
    albert = any(name.startswith("encoder.albert_") for name in found)
    return "albert." if albert else "bert."


def _drop_mapping_to_itself(
    entries: dict[str, Entry], path: pathlib.Path
) -> None:
    """Takes out an ALBERT's mapping from one width to the same.

    Hugging Face's has one always, Google's only between different widths.

    Raises:
        UserError: it changes what it maps.
    """
    kernel = entries.get(f"{names.MAPPING}/kernel")
    bias = entries.get(f"{names.MAPPING}/bias")
    if kernel is None or bias is None or len(set(kernel.shape)) != 1:
        return
    identity = np.eye(*kernel.shape, dtype=kernel.dtype)
    if not np.array_equal(kernel.read(), identity) or np.any(bias.read()):
        raise UserError(
            f"{path}: maps embeddings of {kernel.shape[0]} to hidden vectors "
            "of the same size, which Google's ALBERT does not; this is not "
            "computed here"
        )
    del entries[f"{names.MAPPING}/kernel"], entries[f"{names.MAPPING}/bias"]


def write(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Fills a folder as transformers' `save_pretrained` does.

    `model.safetensors` with the tied word embeddings once, `config.json`, and
    with a vocabulary `vocab.txt` or `spiece.model`, `tokenizer_config.json` and
    `special_tokens_map.json`. If it comes from a sentence-transformers folder,
    the files that make it one again.

    Args:
        folder: exists and is empty.
        checkpoint: what to write; a BERT or an ALBERT.

    Raises:
        UserError: a part of the encoder has no name in Hugging Face.
    """
    # Bare encoders are saved without the prefix of the models around them.
    bare = checkpoint.architecture in ("BertModel", "AlbertModel")
    tensors = {}
    for name, entry in _as_there(checkpoint).items():
        translated = names.to_huggingface(name, checkpoint.family)
        if translated is None and name.startswith("bert/encoder/"):
            raise UserError(
                f"--format=huggingface: {name} has no place in Hugging Face's "
                f"{checkpoint.architecture}; write google or keras"
            )
        if translated is None:
            continue
        if names.is_transposed(name):
            entry = _transposed(entry)
        if bare:
            translated = translated.removeprefix(f"{checkpoint.family}.")
        tensors[translated] = entry
    safetensors_file.write(folder / SINGLE_FILE, tensors)
    write_json(folder / "config.json", to_json_values(checkpoint))
    if checkpoint.vocabulary is not None:
        write_tokenizer(folder, checkpoint)
    pooling = checkpoint.sentence_pooling
    if pooling is not None:
        write_sentence_pooling(folder, pooling, checkpoint.config.hidden_size)


def _as_there(checkpoint: Checkpoint) -> dict[str, Entry]:
    """Returns the arrays that transformers' model has.

    Without the pooler of a tagger or a span model, with the mapping that its
    ALBERT needs.
    """
    entries = {
        name: entry
        for name, entry in checkpoint.arrays.entries.items()
        if name not in checkpoint.arrays.slots
    }
    if not has_pooler(checkpoint.architecture, checkpoint.heads):
        pooler = names.HEADS["pooler"]
        entries = {n: e for n, e in entries.items() if not n.startswith(pooler)}
    if checkpoint.family == "albert" and f"{names.MAPPING}/bias" not in entries:
        width = checkpoint.config.hidden_size
        to_itself = {
            f"{names.MAPPING}/kernel": np.eye(width, dtype=np.float32),
            f"{names.MAPPING}/bias": np.zeros(width, np.float32),
        }
        entries.update(in_memory(to_itself).entries)
    return entries


def _shards(index: pathlib.Path) -> list[pathlib.Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(name, str) for name in weight_map.values()
    ):
        raise UserError(
            f"{index}: has no weight_map from weights to file names"
        )
    files = []
    for name in sorted(set(weight_map.values())):
        # A name with a path in it could point outside the folder.
        if pathlib.PurePath(name).name != name or "\\" in name:
            raise UserError(
                f"{index}: {name!r} is not the name of a file beside it"
            )
        files.append(index.parent / name)
    return files


def _unpickled(files: Sequence[pathlib.Path]) -> dict[str, Entry]:
    """Opens PyTorch files by way of a safetensors file, soon removed."""
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: there is no such file")
    # Where a file that is open cannot be removed, it stays behind.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        target = pathlib.Path(folder, SINGLE_FILE)
        try:
            pytorch_file.write_as_safetensors(files, target)
        except ValueError as error:
            raise UserError(f"{files[0]}: {error}") from None
        return _entries(target)


def _entries(path: pathlib.Path) -> dict[str, Entry]:
    try:
        # Reads single tensors; a mapped file would count as memory.
        file = safe_open(str(path), framework="numpy", backend="pread")
        described = {name: file.get_slice(name) for name in list(file.keys())}
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: is not a safetensors file, or is cut short: {error}; "
            "fetch it again"
        ) from error
    entries = {}
    for name, part in described.items():
        stored = part.get_dtype()
        if stored not in _DTYPES:
            raise UserError(
                f"{path}: {name} is stored as {stored}, which is not read; "
                "save the weights as float32"
            )
        dtype = np.float32 if stored in _WIDENED else _DTYPES[stored]
        entries[name] = Entry(
            tuple(part.get_shape()),
            np.dtype(dtype),
            functools.partial(_read_tensor, file, path, name, dtype),
        )
    return entries


def _read_tensor(file: Any, path: pathlib.Path, name: str, dtype: Any) -> Array:
    try:
        array: Array = file.get_tensor(name)
    except SafetensorError as error:
        raise UserError(f"{path}: {name} cannot be read: {error}") from error
    return array.astype(dtype, copy=False)


def _transposed(entry: Entry) -> Entry:
    return Entry(
        entry.shape[::-1],
        entry.dtype,
        lambda: np.ascontiguousarray(entry.read().T),
    )


def _is_head(name: str) -> bool:
    return name.startswith(
        ("cls.", "classifier.", "qa_outputs.", "predictions.", "sop_classifier")
    )


def _is_tie(name: str, found: Mapping[str, Entry]) -> bool:
    first = names.HUGGINGFACE_TIES.get(name)
    bare = first and re.sub(r"^(al)?bert\.", "", first)
    return first in found or bare in found
