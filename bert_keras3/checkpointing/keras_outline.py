"""Writes Keras' files array by array, so that no model is in memory.

Keras itself saves an outline, a model with the layers of the one that is
wanted and sizes near 1, and the arrays of that are replaced by the real ones.
Reading is in `keras_weights`, whose table of names tells which is which.
"""

from __future__ import annotations

import json
import pathlib
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np

from bert_keras3.checkpointing import google, keras_weights, names
from bert_keras3.checkpointing.arrays import Array
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.hdf5_layout import layout
from modeling.bert import BertModel
from modeling.bert_with_heads import BertWithHeads
from modeling.config import BertConfig

MODEL = "bert_model.keras"


def write(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Fills a folder: `bert_model.keras` and what `write_sidecars` writes.

    Args:
        folder: exists and is empty.
        checkpoint: what to write; a BERT or an ALBERT.
    """
    write_file(folder / MODEL, checkpoint)
    google.write_sidecars(folder, checkpoint)


def write_file(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes one file, which `keras.saving.load_model` or `load_weights` opens.

    A `.keras` file of a bare encoder holds a `BertModel`, any other a
    `BertWithHeads`. A pooler that the checkpoint lacks is written with random
    weights, as Keras wants all of a model, and noted, so that it is not taken
    for real when it is read.

    Args:
        path: ends in `.keras` or `.weights.h5`; its folder exists.
        checkpoint: what to write; a BERT or an ALBERT.
    """
    small = _small(checkpoint.config)
    outline = _model(checkpoint, small, checkpoint.labels[:1])
    if path.suffix != ".keras":
        outline.save_weights(path)
        _fill(path, checkpoint)
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        folder = pathlib.Path(temporary, "model")
        keras.saving.save_model(outline, folder, zipped=False)
        _fill(folder / keras_weights.WEIGHTS_MEMBER, checkpoint)
        _set_sizes(folder / keras_weights.MODEL_MEMBER, checkpoint)
        with zipfile.ZipFile(path, "w") as archive:
            for member in sorted(folder.iterdir()):
                if member.is_file():
                    archive.write(member, member.name)


def model_of(checkpoint: Checkpoint) -> Any:
    """Makes the Keras model that has a place for every weight.

    Args:
        checkpoint: tells sizes and heads; its arrays are not read.

    Returns:
        A `BertModel` or `BertWithHeads` with random weights.
    """
    return _model(checkpoint, checkpoint.config, checkpoint.labels)


def _model(
    checkpoint: Checkpoint, config: BertConfig, labels: Sequence[str]
) -> Any:
    heads = [head for head in checkpoint.heads if head != "pooler"]
    if not heads:
        return BertModel(config)
    if checkpoint.architecture.endswith("ForTokenClassification"):
        heads = ["token_labels" if one == "labels" else one for one in heads]
    return BertWithHeads(config, heads, labels, encoder_outputs=True)


def _small(config: BertConfig) -> BertConfig:
    """Returns a configuration of the same layers, as small as can be."""
    width = config.num_attention_heads
    maps = config.embedding_width != config.hidden_size
    sizes = {
        "vocab_size": 1,
        "hidden_size": width,
        "embedding_size": width + 1 if maps else width,
        "intermediate_size": 1,
        "max_position_embeddings": 1,
        "type_vocab_size": 1,
    }
    return BertConfig.from_dict({**config.to_dict(), **sizes})


def _fill(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Replaces the outline's arrays, and notes what `keras_weights` reads."""
    config = checkpoint.config
    shapes = names.shapes(
        config, (*checkpoint.heads, "pooler"), checkpoint.num_labels
    )
    places = {
        name: place.path for name, place in keras_weights.named(layout(path))
    }
    absent = [name for name in shapes if name not in checkpoint.arrays]
    rng = np.random.default_rng(0)
    with h5py.File(path, "a") as file:
        for name, shape in shapes.items():
            del file[places[name]]
            file[places[name]] = (
                _random(name, shape, config, rng)
                if name in absent
                else checkpoint.arrays[name]
            )
        notes = {
            keras_weights.ABSENT: absent,
            keras_weights.CONFIG: config.to_dict(),
        }
        for name, note in notes.items():
            # An attribute could not hold more than 64 KiB.
            file[name] = np.frombuffer(json.dumps(note).encode(), np.uint8)


def _random(
    name: str,
    shape: tuple[int, ...],
    config: BertConfig,
    rng: np.random.Generator,
) -> Array:
    if name.endswith("/bias"):
        return np.zeros(shape, np.float32)
    array: Array = rng.normal(0.0, config.initializer_range, shape)
    return array.astype(np.float32)


def _set_sizes(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes the real sizes into Keras' description of the outline."""
    description = json.loads(path.read_text(encoding="utf-8"))
    arguments: dict[str, Any] = description["config"]
    real: Mapping[str, Any] = {
        "config": checkpoint.config.to_dict(),
        "labels": list(checkpoint.labels),
    }
    arguments.update({k: v for k, v in real.items() if k in arguments})
    path.write_text(json.dumps(description), encoding="utf-8")
