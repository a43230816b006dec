"""Keras' files: `.keras` and `.weights.h5`, as this program's models save.

They are read without building a model, so nothing in them is executed: HDF5
groups carry the layers' names, which are the parts of Google's names,
and the table below has the order of the variables inside a layer.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import pathlib
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import h5py
import keras
import numpy as np

from checkpointing import google
from checkpointing.arrays import Array, Arrays, Entry
from checkpointing.bert_with_heads import BertWithHeads
from checkpointing.checkpoint import Checkpoint
from modeling.bert import BertModel
from modeling.config import BertConfig
from safekeeping.errors import UserError

MODEL = "bert_model.keras"
WEIGHTS_MEMBER = "model.weights.h5"
_MODEL_MEMBER = "config.json"

# What reading something else than a Keras file raises.
_DAMAGE = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    RecursionError,
    zipfile.BadZipFile,
)

_KERNEL = ("kernel", "bias")
_NORM = ("gamma", "beta")
_OUTPUT = ("output_weights", "output_bias")

# (a layer's name, how many variables it has itself) → what they are called.
_VARIABLES: Mapping[tuple[str, int], tuple[str, ...]] = {
    ("embeddings", 1): ("word_embeddings",),
    ("embeddings", 2): ("token_type_embeddings", "position_embeddings"),
    ("LayerNorm", 2): _NORM,
    ("query", 2): _KERNEL,
    ("key", 2): _KERNEL,
    ("value", 2): _KERNEL,
    ("dense", 2): _KERNEL,
    ("predictions", 1): ("output_bias",),
    ("seq_relationship", 2): _OUTPUT,
    ("squad", 2): _OUTPUT,
}
_SCOPES = ("bert", "cls")

# JSON that `write_file` adds at the root of an HDF5 file, as bytes.
_ABSENT = "absent_weights"
_CONFIG = "bert_config"

# Real weights hardly shrink; what grows by more than this is a trap.
_LARGEST_INFLATION = 50


def read(path: pathlib.Path) -> Arrays:
    """Opens a `.keras` or `.weights.h5` file for reading, array by array.

    Args:
        path: the file, saved by Keras from a model whose weight paths are
            Google's names.

    Returns:
        The arrays under Google's names; an optimiser's under
        `optimizer/vars/N`, those of other layers under the file's own names.

    Raises:
        UserError: the file is damaged or of another kind.
    """
    try:
        opened = _Opened(path)
        datasets = {
            name: dataset
            for place, group in _variable_groups(opened.file)
            for name, dataset in _named(opened.file, place, group)
        }
        absent = _note(opened.file, _ABSENT) or []
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(
            f"{path}: is not a Keras weights file, or is cut short: {error}"
        ) from error
    entries = {
        name: Entry(
            tuple(dataset.shape),
            _dtype(path, dataset),
            functools.partial(_read_dataset, opened, dataset),
        )
        for name, dataset in datasets.items()
        if name not in absent
    }
    promised = sum(
        math.prod(entry.shape) * entry.dtype.itemsize
        for entry in entries.values()
    )
    size = opened.file.id.get_filesize()
    if promised > size:
        raise UserError(
            f"{path}: lists {promised} bytes of arrays in {size} bytes; the "
            "file is cut short or compressed, save the weights again"
        )
    return Arrays(entries)


def config(path: pathlib.Path) -> BertConfig:
    """Reads the configuration that a file carries itself.

    Args:
        path: a `.keras` file of one of this program's models, or a
            `.weights.h5` file that `write_file` wrote.

    Returns:
        The configuration, with `id2label` if the model knows its labels.

    Raises:
        UserError: there is none in it.
    """
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                member = _member(path, archive, _MODEL_MEMBER)
                found = _find_config(json.loads(archive.read(member)))
        else:
            with h5py.File(path, "r") as file:
                found = _note(file, _CONFIG)
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise UserError(
            f"{path}: carries no BERT configuration; put the bert_config.json "
            "that belongs to it beside it"
        )
    return BertConfig.from_dict(found)


def write(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Fills a folder: `bert_model.keras`, `bert_config.json`, `vocab.txt`.

    Args:
        folder: exists and is empty.
        checkpoint: what to write; a plain BERT.
    """
    write_file(folder / MODEL, checkpoint)
    google.write_sidecars(folder, checkpoint)


def write_file(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes one file, which `keras.saving.load_model` or `load_weights` opens.

    A `.keras` file of a bare encoder holds a `BertModel`, any other a
    `BertWithHeads`. A pooler that the checkpoint lacks is written with random
    weights, as Keras wants all of a model, and noted, so that `read` does not
    take it for real. The whole model is in memory, once.

    Args:
        path: ends in `.keras` or `.weights.h5`; its folder exists.
        checkpoint: what to write; a plain BERT.
    """
    model = model_of(checkpoint)
    weights = {variable.path: variable for variable in model.weights}
    for name, variable in weights.items():
        if name in checkpoint.arrays:
            variable.assign(checkpoint.arrays[name])
    absent = [name for name in weights if name not in checkpoint.arrays]
    if path.suffix != ".keras":
        model.save_weights(path)
        _annotate(path, absent, checkpoint.config)
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        folder = pathlib.Path(temporary, "model")
        # Zipped by Keras, the model would be in memory three times.
        keras.saving.save_model(model, folder, zipped=False)
        _annotate(folder / WEIGHTS_MEMBER, absent, checkpoint.config)
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
    heads = [head for head in checkpoint.heads if head != "pooler"]
    if not heads:
        return BertModel(checkpoint.config)
    return BertWithHeads(
        checkpoint.config,
        heads,
        checkpoint.num_labels,
        labels_per_token=checkpoint.architecture
        == "BertForTokenClassification",
    )


def _annotate(
    path: pathlib.Path, absent: Sequence[str], config: BertConfig
) -> None:
    notes = {_ABSENT: list(absent), _CONFIG: config.to_dict()}
    with h5py.File(path, "a") as file:
        for name, note in notes.items():
            # An attribute could not hold more than 64 KiB.
            file[name] = np.frombuffer(json.dumps(note).encode(), np.uint8)


def _note(file: Any, name: str) -> Any:
    """Returns what `_annotate` wrote into a file, or None."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return None
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or (
        dataset.nbytes > file.id.get_filesize()
    ):
        raise ValueError(f"{name} is not a note of this program")
    return json.loads(dataset[()].tobytes())


def _find_config(saved: Any) -> dict[str, Any] | None:
    """Looks for a model's `config` in what Keras wrote about the model."""
    if isinstance(saved, dict):
        inner = saved.get("config")
        if isinstance(inner, dict) and "num_hidden_layers" in inner:
            labels = saved.get("labels")
            if isinstance(labels, list):
                named = {str(n): label for n, label in enumerate(labels)}
                return {**inner, "id2label": named}
            return inner
        saved = list(saved.values())
    if isinstance(saved, list):
        for part in saved:
            found = _find_config(part)
            if found is not None:
                return found
    return None


class _Opened:
    """An HDF5 file that is closed when the last of its arrays is gone."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        with contextlib.ExitStack() as stack:
            place: pathlib.Path | IO[bytes] = path
            if path.suffix == ".keras":
                place = stack.enter_context(tempfile.TemporaryFile())
                _copy_weights(path, place)
            self.file = stack.enter_context(h5py.File(place, "r"))
            weakref.finalize(self, stack.pop_all().close)


def _copy_weights(path: pathlib.Path, copy: IO[bytes]) -> None:
    """Copies the HDF5 file out of a `.keras` archive, which seeks slowly."""
    with zipfile.ZipFile(path) as archive:
        info = _member(path, archive, WEIGHTS_MEMBER)
        with archive.open(info) as member:
            shutil.copyfileobj(member, copy, 1 << 20)


def _member(
    path: pathlib.Path, archive: zipfile.ZipFile, name: str
) -> zipfile.ZipInfo:
    info = archive.getinfo(name)
    if info.file_size > max(_LARGEST_INFLATION * info.compress_size, 1 << 20):
        raise UserError(
            f"{path}: {name} would grow from {info.compress_size} to "
            f"{info.file_size} bytes; refused"
        )
    return info


def _variable_groups(file: Any) -> Iterator[tuple[str, Any]]:
    """Walks the groups called `vars`, each with its layer's place."""
    pending = [("", file)]
    seen = set()
    while pending:
        place, group = pending.pop()
        for key, child in _children(group):
            address = h5py.h5o.get_info(child.id).addr
            # Saved models are trees; a ring of links was made by hand.
            if not isinstance(child, h5py.Group) or address in seen:
                continue
            seen.add(address)
            if key == "vars":
                yield place, child
            else:
                pending.append((f"{place}/{key}".lstrip("/"), child))


def _children(group: Any) -> Iterator[tuple[str, Any]]:
    """What a group holds itself: no link leads out of the file."""
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise RuntimeError(f"{group.name}/{key} is a link")
        yield key, group[key]


def _named(file: Any, place: str, group: Any) -> Iterator[tuple[str, Any]]:
    """Gives the datasets of one layer Google's names."""
    datasets = [
        child
        for _, child in sorted(
            _children(group), key=lambda one: (len(one[0]), one[0])
        )
        if isinstance(child, h5py.Dataset)
    ]
    own_name = f"{place}/vars".lstrip("/")
    if place.split("/")[0] == "optimizer":
        for position, dataset in enumerate(datasets):
            yield f"{own_name}/{position}", dataset
        return
    # Only the state of random generators is made of whole numbers.
    weights = [one for one in datasets if one.dtype.kind not in "iu"]
    layers = _layer_names(file, place)
    scope = _from_scope(layers)
    called = _VARIABLES.get((layers[-1], len(weights)))
    if called is None and not scope and len(weights) == 2:
        called = _OUTPUT
    for position, dataset in enumerate(weights):
        if called is None:
            yield f"{own_name}/{position}", dataset
        else:
            yield "/".join((*scope, called[position])), dataset


def _layer_names(file: Any, place: str) -> list[str]:
    """The names of a layer's owners and its own, outermost first."""
    names = []
    parts = place.split("/") if place else []
    for end in range(len(parts) + 1):
        owner = file.get("/".join([*parts[:end], "vars"]))
        if owner is not None and "name" in owner.attrs:
            names.append(str(owner.attrs["name"]))
    return names or [place]


def _from_scope(layers: list[str]) -> list[str]:
    """Drops what stands outside of Google's scopes, a whole model's name."""
    for position, name in enumerate(layers):
        if name in _SCOPES:
            return layers[position:]
    return []


def _dtype(path: pathlib.Path, dataset: Any) -> np.dtype[Any]:
    if dataset.is_virtual or dataset.external:
        raise UserError(f"{path}: {dataset.name} points outside of the file")
    if dataset.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: {dataset.name} is of type {dataset.dtype}, weights are "
            "numbers"
        )
    dtype: np.dtype[Any] = dataset.dtype
    return dtype


def _read_dataset(opened: _Opened, dataset: Any) -> Array:
    try:
        return np.asarray(dataset[()])
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{opened.path}: {dataset.name} is damaged: {error}"
        ) from error
