"""Finds out which files a checkpoint's path means, and of which format.

Each format of `formats.FORMATS` says which file names are its own; here the
one that is meant is chosen, and what is no checkpoint is told with a remedy.
"""

from __future__ import annotations

import dataclasses
import pathlib

from bert_keras3.checkpointing import google
from bert_keras3.checkpointing.formats import FORMATS
from bert_keras3.checkpointing.sources import Path, local_path
from bert_keras3.safekeeping.errors import UserError
from tokenization.vocab import find_vocab_file

_CONFIG_FILES = ("bert_config.json", "albert_config.json", "config.json")

# Formats that are not read, by the ending of a file, with the remedy.
_REFUSED = {
    ".bin": "pickle",
    ".pt": "pickle",
    ".pth": "pickle",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".npz": "npz",
    ".npy": "npz",
    ".h5": "h5",
    ".hdf5": "h5",
    ".msgpack": "flax",
    ".pb": "saved_model",
}
_REMEDIES = {
    "pickle": (
        "is a PyTorch pickle, which can run code when it is opened; save it "
        "as `model.safetensors` where it came from "
        "(`model.save_pretrained(folder)` of transformers does)"
    ),
    "npz": "is a NumPy file without names for a model; convert it first",
    "h5": (
        "is not a Keras 3 weights file, whose names end in `.weights.h5`; "
        "save it as `model.safetensors` or `.keras`"
    ),
    "flax": "is a Flax file; save it as `model.safetensors`",
    "saved_model": (
        "is a TensorFlow SavedModel; name the checkpoint it was made from"
    ),
}


@dataclasses.dataclass(frozen=True)
class Location:
    """The files that belong to one checkpoint.

    Attributes:
        format: one of `formats.FORMATS`.
        weights: the checkpoint's prefix, the `.safetensors` file (or the
            index of its shards), or the Keras file.
        config_file: the configuration beside it, if there is one.
        vocab_file: `vocab.txt` or `tokenizer.json` beside it, if there is
            one.
    """

    format: str
    weights: pathlib.Path
    config_file: pathlib.Path | None
    vocab_file: pathlib.Path | None


def locate(path: Path) -> Location:
    """Recognises a checkpoint.

    Args:
        path: a TensorFlow prefix or one of its files, a `.safetensors`,
            `.keras` or `.weights.h5` file, or a folder with one of these,
            perhaps one level down; an archive, an address or a published
            name (see `sources.local_path`), which is fetched and unpacked.

    Returns:
        Where its files are.

    Raises:
        UserError: nothing is there, several checkpoints are, or one of a
            format that is not read.
    """
    target = local_path(path)
    if target.is_dir():
        name, weights = _in_folder(target)
    else:
        found = _as_file(target)
        if found is None:
            raise UserError(_why_not(target))
        name, weights = found
    folder = weights.parent
    return Location(
        name, weights, _config_file(folder), find_vocab_file(folder)
    )


def _as_file(path: pathlib.Path) -> tuple[str, pathlib.Path] | None:
    for name, one in FORMATS.items():
        weights = one.find(path)
        if weights is not None:
            return name, weights
    return None


def _in_folder(folder: pathlib.Path) -> tuple[str, pathlib.Path]:
    found = _checkpoints_in(folder)
    if not found:
        # Google's archives hold a folder that holds the files.
        found = [
            one
            for inner in sorted(folder.iterdir())
            if inner.is_dir()
            for one in _checkpoints_in(inner)
        ]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(
            str(weights.relative_to(folder)) for _, weights in found
        )
        raise UserError(
            f"{folder}: holds several checkpoints: {listed}; give the path "
            "of the one that is meant"
        )
    raise UserError(_why_not_folder(folder))


def _checkpoints_in(folder: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    return [
        (name, weights)
        for name, one in FORMATS.items()
        for weights in one.find_in(folder)
    ]


def _config_file(folder: pathlib.Path) -> pathlib.Path | None:
    for name in _CONFIG_FILES:
        if (folder / name).is_file():
            return folder / name
    others = sorted(folder.glob("*bert_config*.json"))
    return others[0] if len(others) == 1 else None


def _why_not(path: pathlib.Path) -> str:
    if path.is_file():
        remedy = _REFUSED.get(path.suffix)
        if remedy is not None:
            return f"{path}: {_REMEDIES[remedy]}"
        prefix = google.prefix_of(path)
        if prefix != path:
            return (
                f"{path}: its index, {google.index_of(prefix)}, is missing; a "
                "TensorFlow checkpoint is both files"
            )
        return (
            f"{path}: is not a checkpoint; known are TensorFlow's (`.index` "
            "with `.data-…`), `.safetensors`, `.keras` and `.weights.h5`"
        )
    if list(path.parent.glob(f"{path.name}.data-*")):
        return (
            f"{path}: its index, {google.index_of(path).name}, is missing; a "
            "TensorFlow checkpoint is both files"
        )
    return (
        f"{path}: there is no such checkpoint: neither a file nor a folder, "
        "and no .index file of that name"
    )


def _why_not_folder(folder: pathlib.Path) -> str:
    for path in sorted(folder.iterdir()):
        remedy = _REFUSED.get(path.suffix)
        if remedy is not None:
            return f"{path}: {_REMEDIES[remedy]}"
    return (
        f"{folder}: holds no checkpoint (no .index, .safetensors, .keras or "
        ".weights.h5 file)"
    )
