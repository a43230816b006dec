"""Finds out which files a checkpoint's path means, and of which format.

Reads file names only; what is inside is the format modules' matter.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable

from bert_keras3.checkpointing import huggingface
from bert_keras3.checkpointing.sources import local_path
from bert_keras3.safekeeping.errors import UserError
from tokenization.vocab import find_vocab_file

Path = str | os.PathLike[str]

_CONFIG_FILES = ("bert_config.json", "albert_config.json", "config.json")
_TENSORFLOW_PART = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
KERAS_ENDINGS = (".keras", ".weights.h5")
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")

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
        format: "google", "huggingface" or "keras".
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
    prefix = path.with_name(_TENSORFLOW_PART.sub("", path.name))
    if _index(prefix).is_file():
        return "google", prefix
    if not path.is_file():
        return None
    if path.suffix == ".safetensors" or path.name.endswith(
        ".safetensors.index.json"
    ):
        return "huggingface", path
    if path.name.endswith(KERAS_ENDINGS):
        return "keras", path
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
    kinds: tuple[
        tuple[str, Callable[[pathlib.Path], list[pathlib.Path]]], ...
    ] = (
        ("google", _google_prefixes),
        ("huggingface", _safetensors),
        ("keras", _keras_files),
    )
    return [
        (name, weights) for name, finder in kinds for weights in finder(folder)
    ]


def _google_prefixes(folder: pathlib.Path) -> list[pathlib.Path]:
    """All prefixes, or only the one that a `checkpoint` file calls latest."""
    prefixes = [path.with_suffix("") for path in sorted(folder.glob("*.index"))]
    latest = _latest(folder / "checkpoint")
    chosen = [prefix for prefix in prefixes if prefix.name == latest]
    return chosen or prefixes


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


def _safetensors(folder: pathlib.Path) -> list[pathlib.Path]:
    for name in (huggingface.SINGLE_FILE, huggingface.SHARD_INDEX):
        if (folder / name).is_file():
            return [folder / name]
    return [
        path
        for path in sorted(folder.glob("*.safetensors"))
        if not _SHARD.search(path.name)
    ]


def _keras_files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        path for ending in KERAS_ENDINGS for path in folder.glob(f"*{ending}")
    )


def _index(prefix: pathlib.Path) -> pathlib.Path:
    return prefix.with_name(f"{prefix.name}.index")


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
        if _TENSORFLOW_PART.search(path.name):
            return (
                f"{path}: its index, "
                f"{_index(path.with_name(_TENSORFLOW_PART.sub('', path.name)))}"
                ", is missing; a TensorFlow checkpoint is both files"
            )
        return (
            f"{path}: is not a checkpoint; known are TensorFlow's (`.index` "
            "with `.data-…`), `.safetensors`, `.keras` and `.weights.h5`"
        )
    if list(path.parent.glob(f"{path.name}.data-*")):
        return (
            f"{path}: its index, {_index(path).name}, is missing; a "
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
