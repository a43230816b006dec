"""Google's checkpoints: name-based TensorFlow 1 files (`.index`, `.data`).

Which of several files is meant is decided in `location`; the names are kept
as they are.
"""

from __future__ import annotations

import functools
import math
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow as tf

from checkpointing.arrays import Array, Arrays, Entry
from checkpointing.checkpoint import Checkpoint
from checkpointing.vocabulary import write_vocabulary
from safekeeping.errors import UserError

PREFIX = "bert_model.ckpt"

_SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})$")
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


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
    reader, arrays = _open(prefix)
    del reader
    _check_size(prefix, arrays)
    return arrays


def read_index(prefix: pathlib.Path) -> Arrays:
    """Opens a checkpoint whose data may be absent: names and shapes only."""
    return _open(prefix)[1]


def _open(prefix: pathlib.Path) -> tuple[Any, Arrays]:
    try:
        reader = tf.train.load_checkpoint(str(prefix))
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(
            f"{prefix}.index: is not the index of a TensorFlow checkpoint, "
            f"or is damaged: {_first_line(error)}; fetch it again"
        ) from error
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
    if _OBJECT_GRAPH in shapes:
        raise UserError(
            f"{prefix}.index: is an object-based TensorFlow 2 checkpoint, "
            "whose names depend on the Python code that wrote it; save the "
            "model there as `.keras` or with `tf.compat.v1.train.Saver`"
        )
    return reader, Arrays(
        {
            name: Entry(
                tuple(shapes[name]),
                np.dtype(dtypes[name].as_numpy_dtype),
                functools.partial(_read_tensor, reader, prefix, name),
            )
            for name in sorted(shapes)
        }
    )


def _check_size(prefix: pathlib.Path, arrays: Arrays) -> None:
    """Compares what the index promises with the bytes that are there.

    A shape that asks for more than the files hold is thus found before
    anything of that size is allocated.
    """
    there = sum(shard.stat().st_size for shard in _shards(prefix))
    promised = sum(
        math.prod(entry.shape) * entry.dtype.itemsize
        for entry in arrays.entries.values()
    )
    if there < promised:
        raise UserError(
            f"{prefix}: is cut short: its index lists {promised} bytes of "
            f"tensors, its data files hold {there}; fetch it again"
        )


def _shards(prefix: pathlib.Path) -> list[pathlib.Path]:
    shards = {}
    total = 0
    for path in sorted(prefix.parent.glob(f"{_escape(prefix.name)}.data-*")):
        match = _SHARD.search(path.name)
        if match:
            shards[int(match[1])] = path
            total = int(match[2])
    absent = [number for number in range(max(total, 1)) if number not in shards]
    if absent:
        names = ", ".join(
            f"{prefix.name}.data-{number:05d}-of-{max(total, 1):05d}"
            for number in absent
        )
        raise UserError(
            f"{prefix}.index: the weights themselves are not beside it: "
            f"{names} is missing in {prefix.parent}"
        )
    return list(shards.values())


def _escape(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)


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

    `bert_model.ckpt` in two files, `bert_config.json`, `vocab.txt` where
    there is one, and the `checkpoint` file that names the latest.

    Args:
        folder: exists and is empty.
        checkpoint: what to write; optimiser slots too, if it has them.
    """
    write_tensors(folder / PREFIX, checkpoint.arrays)
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{PREFIX}"\n'
        f'all_model_checkpoint_paths: "{PREFIX}"\n',
        encoding="utf-8",
    )
    write_sidecars(folder, checkpoint)


def write_tensors(prefix: pathlib.Path, arrays: Arrays) -> None:
    """Writes a checkpoint as `tf.compat.v1.train.Saver` writes it.

    One data file, tensors in the order of their names. TensorFlow's writer
    takes all tensors at once, so the whole model is in memory, once.

    Args:
        prefix: path without an ending; its folder exists.
        arrays: under the names that they are to have.
    """
    ordered = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=ordered,
        shape_and_slices=[""] * len(ordered),
        tensors=[tf.convert_to_tensor(arrays[name]) for name in ordered],
    )


def write_sidecars(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes `bert_config.json` and, if there is one, `vocab.txt`."""
    (folder / "bert_config.json").write_text(
        checkpoint.config.to_json_string(), encoding="utf-8"
    )
    if checkpoint.vocabulary is not None:
        write_vocabulary(folder / "vocab.txt", checkpoint.vocabulary)
