"""Reads and writes the weights of KerasHub presets.

    layers/transformer_encoder_1/_self_attention_layer/query_dense/vars/0
      ─▶  bert/encoder/layer_1/attention/self/query/kernel

of `model.weights.h5`, where it is [D, N, H] and here [D, D].

The head of a task is in `task.weights.h5`. A table maps the paths in these
files to Google's names; `kerashub_preset` reads the JSON files beside them.
"""

from __future__ import annotations

import functools
import math
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np

from bert_keras3.checkpointing import kerashub_preset, names
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.hdf5_layout import ArrayPlace
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.checkpointing.keras_weights import (
    WeightsFile,
    random_weight,
)
from bert_keras3.checkpointing.kerashub_preset import (
    CLASSIFIER,
    MASKED_LM,
    Saved,
)
from bert_keras3.safekeeping.errors import UserError

WEIGHTS = "model.weights.h5"
SHARD_INDEX = "model.weights.json"
_SHARD = re.compile(r"model_\d{5}\.weights\.h5")

_DENSE = ("kernel", "bias")
_NORM = ("gamma", "beta")

# Path of a layer in a file → the scope of its variables here, and their names
# in order. Of a transformer layer both follow the layer's own.
_Table = Mapping[str, tuple[str, tuple[str, ...]]]
_BACKBONE: _Table = {
    "layers/reversible_embedding": ("bert/embeddings", ("word_embeddings",)),
    "layers/position_embedding": (
        "bert/embeddings",
        ("position_embeddings",),
    ),
    "layers/embedding": ("bert/embeddings", ("token_type_embeddings",)),
    "layers/layer_normalization": ("bert/embeddings/LayerNorm", _NORM),
    "layers/dense": ("bert/pooler/dense", _DENSE),
}
_LAYER: _Table = {
    "_self_attention_layer/query_dense": ("attention/self/query", _DENSE),
    "_self_attention_layer/key_dense": ("attention/self/key", _DENSE),
    "_self_attention_layer/value_dense": ("attention/self/value", _DENSE),
    "_self_attention_layer/output_dense": ("attention/output/dense", _DENSE),
    "_self_attention_layer_norm": ("attention/output/LayerNorm", _NORM),
    "_feedforward_intermediate_dense": ("intermediate/dense", _DENSE),
    "_feedforward_output_dense": ("output/dense", _DENSE),
    "_feedforward_layer_norm": ("output/LayerNorm", _NORM),
}
_TRANSFORM = "cls/predictions/transform"
_MASKED_LM = "layers/masked_lm_head"
# In the file of a task.
_HEADS: Mapping[str, _Table] = {
    CLASSIFIER: {"layers/dense": ("", ("output_weights", "output_bias"))},
    MASKED_LM: {
        _MASKED_LM: ("cls/predictions", ("output_bias",)),
        f"{_MASKED_LM}/_intermediate_dense": (f"{_TRANSFORM}/dense", _DENSE),
        f"{_MASKED_LM}/_intermediate_layer_norm": (
            f"{_TRANSFORM}/LayerNorm",
            _NORM,
        ),
    },
}
_LAYER_PATH = re.compile(r"layers/transformer_encoder(?:_(\d+))?/(.+)")
# What "layers/" is called in files of before Keras 3.
_OLD_LAYERS = "_layer_checkpoint_dependencies/"

# An attention's kernels are [D, N, H] there, that of its output [N, H, D], and
# biases [N, H].
_SPLIT_OUTPUT = re.compile(r".+/attention/self/\w+/(kernel|bias)")
_SPLIT_INPUT = re.compile(r".+/attention/output/dense/kernel")


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the weights of the preset that a path is a file of."""
    named = (WEIGHTS, SHARD_INDEX, kerashub_preset.TASK_WEIGHTS)
    if path.name not in named and not _SHARD.fullmatch(path.name):
        return None
    return next(iter(find_in(path.parent)), None) if path.is_file() else None


def find_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the backbone's weights, or the index of their shards.

    Raises:
        UserError: it is a preset without either.
    """
    if not kerashub_preset.is_preset(folder):
        return []
    for name in (WEIGHTS, SHARD_INDEX):
        if (folder / name).is_file():
            return [folder / name]
    raise UserError(
        f"{folder}: is a KerasHub preset without weights: neither {WEIGHTS} "
        f"nor {SHARD_INDEX} is there"
    )


def read(path: pathlib.Path) -> Arrays:
    """Opens the weights of a preset, and those of its task.

    Attention kernels and biases lose their axis for the heads, and float16 is
    widened to float32.

    Args:
        path: `model.weights.h5` or `model.weights.json` of a preset.

    Returns:
        The arrays under Google's names; others under those of the file.

    Raises:
        UserError: a file is damaged, or of another class than KerasHub's BERT.
    """
    folder = path.parent
    heads = kerashub_preset.read_backbone(folder).arguments.get("num_heads")
    files = _shards(path) if path.name == SHARD_INDEX else [path]
    entries: dict[str, Entry] = {}
    for file in files:
        entries.update(_read_file(file, _backbone_name, heads))
    for name in kerashub_preset.absent_weights(folder):
        entries.pop(name, None)
    task = kerashub_preset.read_task(folder)
    task_weights = folder / kerashub_preset.TASK_WEIGHTS
    if task is not None and task_weights.is_file():
        table = _HEADS.get(task.name, {})
        entries.update(_read_file(task_weights, table.get, heads))
        _check_classes(task, entries)
    return Arrays(entries)


def _shards(index: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files that an index lists.

    Raises:
        UserError: it is damaged, or lists a file of another folder.
    """
    found = read_json(index).get("weight_map")
    listed: set[str] = set()
    for place in found.values() if isinstance(found, dict) else ():
        listed.update(place if isinstance(place, list) else [place])
    if not listed:
        raise UserError(f"{index}: has no weight_map from layers to files")
    for name in listed:
        # A name with a path in it could point outside the folder.
        if not _SHARD.fullmatch(str(name)):
            raise UserError(
                f"{index}: {name!r} is not the name of a shard beside it"
            )
    return [index.parent / name for name in sorted(listed)]


def _backbone_name(path: str) -> tuple[str, tuple[str, ...]] | None:
    match = _LAYER_PATH.fullmatch(path)
    if match is None:
        return _BACKBONE.get(path)
    found = _LAYER.get(match.group(2))
    if found is None:
        return None
    scope, variables = found
    return f"bert/encoder/layer_{match.group(1) or 0}/{scope}", variables


def _read_file(
    path: pathlib.Path,
    name_of: Callable[[str], tuple[str, tuple[str, ...]] | None],
    heads: Any,
) -> dict[str, Entry]:
    """Returns the variables of a file by their names here.

    Args:
        path: the file.
        name_of: a layer's path → the scope and names of its variables.
        heads: number of attention heads.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    file = WeightsFile(path)
    entries = {}
    for layer in file.layout.layers:
        where = layer.path.replace(_OLD_LAYERS, "layers/", 1)
        scope, variables = name_of(where) or ("", ())
        for place in layer.variables:
            key = place.path.rpartition("/")[2]
            entry = Entry(
                place.shape,
                np.dtype(place.dtype),
                functools.partial(file.read, place),
            )
            name = place.path.lstrip("/")
            if key.isdecimal() and int(key) < len(variables):
                name = f"{scope}/{variables[int(key)]}".lstrip("/")
                entry = _as_google(name, entry, place, heads, path)
            elif entry.dtype.kind != "f" and not name.startswith("optimizer/"):
                continue  # the state of a random number generator
            entries[name] = entry
    return entries


def _as_google(
    name: str, entry: Entry, place: ArrayPlace, heads: Any, path: pathlib.Path
) -> Entry:
    """Returns a weight as Google's: shape, order of axes, at least float32.

    Raises:
        UserError: it has another number of heads than the configuration.
    """
    shape = entry.shape
    axis = None
    if _SPLIT_OUTPUT.fullmatch(name) and len(shape) > 1:
        axis = len(shape) - 2
        shape = (*shape[:axis], math.prod(shape[axis:]))
    elif _SPLIT_INPUT.fullmatch(name) and len(shape) == 3:
        axis = 0
        shape = (math.prod(shape[:2]), shape[2])
    if axis is not None and entry.shape[axis] != heads:
        raise UserError(
            f"{path}: {place.path} has {entry.shape[axis]} attention heads, "
            f"num_heads of {kerashub_preset.CONFIG} is {heads}"
        )
    transposed = name == "output_weights" and len(shape) == 2
    dtype = np.promote_types(entry.dtype, np.float32)

    def read() -> Array:
        array = entry.read().astype(dtype, copy=False)
        if transposed:
            return np.ascontiguousarray(array.T)
        return array.reshape(shape)

    return Entry(shape[::-1] if transposed else shape, dtype, read)


def _check_classes(task: Saved, entries: Mapping[str, Entry]) -> None:
    """Checks the weights of a classifier against its description."""
    wanted = task.arguments.get("num_classes")
    found = entries.get("output_bias")
    if task.name != CLASSIFIER or found is None:
        return
    if found.shape != (wanted,):
        raise UserError(
            f"{task.path}: num_classes is {wanted}, but "
            f"{kerashub_preset.TASK_WEIGHTS} has a bias of {list(found.shape)}"
        )


def write(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Fills a folder as `save_to_preset` of KerasHub does.

    With a classifier or a masked-LM head it is a preset of that task. Other
    heads have no place there. A pooler that the checkpoint lacks is written
    with random weights, since `BertBackbone` has one, and noted, so that `read`
    leaves it out.

    Args:
        folder: exists and is empty.
        checkpoint: what to write; one that `check_expressible` accepts.
    """
    config, arrays = checkpoint.config, checkpoint.arrays
    shapes = names.shapes(config, ["pooler"])
    absent = tuple(name for name in shapes if name not in arrays)
    rng = np.random.default_rng(0)

    def array_of(name: str) -> Array:
        if name in absent:
            return random_weight(name, shapes[name], config, rng)
        return arrays[name]

    layers = dict(_BACKBONE)
    for number in range(config.num_hidden_layers):
        path = f"layers/transformer_encoder{f'_{number}' if number else ''}"
        for inner, (scope, variables) in _LAYER.items():
            layers[f"{path}/{inner}"] = (
                f"bert/encoder/layer_{number}/{scope}",
                variables,
            )
    heads = config.num_attention_heads
    _write_file(folder / WEIGHTS, layers, array_of, heads)
    head = _HEADS.get(kerashub_preset.task_of(checkpoint) or "")
    if head is not None:
        of_task = folder / kerashub_preset.TASK_WEIGHTS
        _write_file(of_task, head, array_of, heads)
    kerashub_preset.write(folder, checkpoint, absent)


def _write_file(
    path: pathlib.Path,
    layers: _Table,
    array_of: Callable[[str], Array],
    heads: int,
) -> None:
    with h5py.File(path, "w") as file:
        for layer, (scope, variables) in layers.items():
            group = file.create_group(f"{layer}/vars")
            for number, variable in enumerate(variables):
                name = f"{scope}/{variable}".lstrip("/")
                group[str(number)] = _as_kerashub(name, array_of(name), heads)


def _as_kerashub(name: str, array: Array, heads: int) -> Array:
    if _SPLIT_OUTPUT.fullmatch(name):
        return array.reshape(*array.shape[:-1], heads, -1)
    if _SPLIT_INPUT.fullmatch(name):
        return array.reshape(heads, -1, array.shape[-1])
    return array.T if name == "output_weights" else array
