"""Google's checkpoints: name-based TensorFlow 1 files (`.index`, `.data`).

Weights keep their names; `tensor_bundle` has the bytes.
"""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bert_keras3.checkpointing import names, tensor_bundle
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.tensor_bundle import IndexEntry
from bert_keras3.checkpointing.vocabulary import write_vocabulary
from bert_keras3.safekeeping.errors import UserError

PREFIX = "bert_model.ckpt"
_PART = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the prefix that a path means: it, or one of its files."""
    prefix = prefix_of(path)
    return prefix if index_of(prefix).is_file() else None


def find_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns all prefixes, or the one that `checkpoint` calls the latest."""
    prefixes = [path.with_suffix("") for path in sorted(folder.glob("*.index"))]
    latest = _latest(folder / "checkpoint")
    chosen = [prefix for prefix in prefixes if prefix.name == latest]
    return chosen or prefixes


def prefix_of(path: pathlib.Path) -> pathlib.Path:
    """Returns a path without what TensorFlow puts behind a prefix."""
    return path.with_name(_PART.sub("", path.name))


def index_of(prefix: pathlib.Path) -> pathlib.Path:
    """Returns the path of a prefix' index."""
    return prefix.with_name(f"{prefix.name}.index")


def _latest(state: pathlib.Path) -> str | None:
    """Reads which checkpoint is the latest.

    Only the name counts: the folder may have been moved since, and a path
    from a file must not lead elsewhere.
    """
    try:
        text = state.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE)
    return re.split(r"[/\\]", match[1])[-1] if match else None


def read(prefix: pathlib.Path) -> Arrays:
    """Opens a checkpoint for reading, tensor by tensor.

    Args:
        prefix: path without the `.index` ending.

    Returns:
        The arrays under their names in the file.

    Raises:
        UserError: the checkpoint is no checkpoint, is cut short, or was
            written object-based; later, at access, a tensor is damaged.
    """
    shards, index = _parse(prefix)
    sizes = _sizes_of_data(prefix, shards)
    for name, entry in index.items():
        if entry.end > sizes[entry.shard]:
            raise UserError(
                f"{prefix}: is cut short: {name} ends at byte {entry.end} of "
                f"a data file of {sizes[entry.shard]} bytes; fetch it again"
            )
    if sum(entry.size for entry in index.values()) > sum(sizes):
        raise UserError(
            f"{prefix}.index: lists more bytes than the data files have; some "
            "tensors share theirs, which no checkpoint does"
        )
    try:
        reader = tf.train.load_checkpoint(str(prefix))
    # IndexError is what the binding makes of a file that ends early.
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise _not_an_index(prefix, error) from error
    return _arrays(prefix, index, reader)


def read_index(prefix: pathlib.Path) -> Arrays:
    """Opens a checkpoint whose data may be absent: names and shapes only."""
    return _arrays(prefix, _parse(prefix)[1], None)


def _arrays(
    prefix: pathlib.Path, index: Mapping[str, IndexEntry], reader: Any
) -> Arrays:
    return Arrays(
        {
            name: Entry(
                index[name].shape,
                index[name].dtype,
                functools.partial(_read_tensor, reader, prefix, name),
            )
            for name in sorted(index)
            if index[name].dtype.kind != "O"  # text, no weight
        }
    )


def _parse(prefix: pathlib.Path) -> tuple[int, Mapping[str, IndexEntry]]:
    path = index_of(prefix)
    try:
        shards, index = tensor_bundle.parse(path.read_bytes())
    except ValueError as error:
        raise _not_an_index(prefix, error) from error
    if _OBJECT_GRAPH in index:
        raise UserError(
            f"{path}: is an object-based TensorFlow 2 checkpoint, whose names "
            "depend on the Python code that wrote it; save the model there as "
            "`.keras` or with `tf.compat.v1.train.Saver`"
        )
    return shards, index


def _not_an_index(prefix: pathlib.Path, error: Exception) -> UserError:
    return UserError(
        f"{prefix}.index: is not the index of a TensorFlow checkpoint, or is "
        f"damaged: {_first_line(error)}; fetch it again"
    )


def _sizes_of_data(prefix: pathlib.Path, shards: int) -> list[int]:
    paths = [
        prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{shards:05d}")
        for number in range(shards)
    ]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise UserError(
            f"{prefix}.index: the weights themselves are not beside it: "
            f"{', '.join(absent[:3])} is missing in {prefix.parent}"
        )
    return [path.stat().st_size for path in paths]


def _read_tensor(reader: Any, prefix: pathlib.Path, name: str) -> Array:
    try:
        return np.asarray(reader.get_tensor(name))
    # The reader's binding raises IndexError where a file ends early and the
    # bare OpError for wrong checksums.
    except (tf.errors.OpError, IndexError) as error:
        raise UserError(
            f"{prefix}: the tensor {name} is damaged: {_first_line(error)}; "
            "fetch the checkpoint again"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def write(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Fills a folder as Google publishes its models.

    `bert_model.ckpt` in two files, as `tf.compat.v1.train.Saver` writes it,
    the `checkpoint` file that names the latest, and what `write_sidecars`
    writes.

    Args:
        folder: exists and is empty.
        checkpoint: what to write; optimiser slots too, if it has them.
    """
    tensor_bundle.write(folder / PREFIX, checkpoint.arrays)
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{PREFIX}"\n'
        f'all_model_checkpoint_paths: "{PREFIX}"\n',
        encoding="utf-8",
    )
    write_sidecars(folder, checkpoint)


def write_sidecars(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes `bert_config.json`, or ALBERT's, and the vocabulary."""
    family = names.family_of(checkpoint.config)
    (folder / f"{family}_config.json").write_text(
        checkpoint.config.to_json_string(), encoding="utf-8"
    )
    write_vocabulary(folder, checkpoint.vocabulary, checkpoint.sentence_pieces)
