"""Reads and writes Keras' files, `.keras` and `.weights.h5`, of our models.

Reading builds no model, so nothing in a file is executed: HDF5 groups have the
layers' names, which are the parts of Google's names, and a table gives the
order of the variables inside a layer. The variable `vars/0` of the layer
`dense` in `pooler` in `bert` is the weight `bert/pooler/dense/kernel`.

Writing holds no model in memory either: Keras saves an outline, a model with
the same layers and sizes near 1, whose arrays are then replaced by the real
ones, one at a time.
"""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
import re
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import h5py
import numpy as np

from bert_keras3.checkpointing import google, names
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry, widened
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.checkpointing.hdf5_layout import ArrayPlace, Layout, layout
from bert_keras3.checkpointing.kerashub_preset import is_preset
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import is_full_disk, naming
from modeling.config import BertConfig

ENDINGS = (".keras", ".weights.h5")
MODEL = "bert_model.keras"
WEIGHTS_MEMBER = "model.weights.h5"
MODEL_MEMBER = "config.json"

# Errors of reading a file that is no Keras file.
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

# (name of a layer, number of its own variables) → names of the variables.
_VARIABLES: Mapping[tuple[str, int], tuple[str, ...]] = {
    ("embeddings", 1): ("word_embeddings",),
    ("embeddings", 2): ("token_type_embeddings", "position_embeddings"),
    ("LayerNorm", 2): _NORM,
    ("query", 2): _KERNEL,
    ("key", 2): _KERNEL,
    ("value", 2): _KERNEL,
    ("dense", 2): _KERNEL,
    ("embedding_hidden_mapping_in", 2): _KERNEL,
    ("LayerNorm_1", 2): _NORM,
    ("predictions", 1): ("output_bias",),
    ("seq_relationship", 2): _OUTPUT,
    ("squad", 2): _OUTPUT,
    ("windows", 2): _OUTPUT,
    ("extra_columns", 1): ("bias",),
    ("numbers", 1): ("kernel",),
    ("categories", 1): ("embeddings",),
}
_SCOPES = ("bert", "cls", "extra_columns")
# A layer that no model of ours has.
_OF_KERASHUB = re.compile(r"(^|/)transformer_encoder(_\d+)?/")

# JSON that `write` adds at the root of an HDF5 file, as bytes.
ABSENT = "absent_weights"
CONFIG = "bert_config"

# Weights hardly compress; a member that grows by more is a ZIP bomb.
_LARGEST_INFLATION = 50


def find(path: pathlib.Path) -> pathlib.Path | None:
    """Returns a path if it is one of Keras' files."""
    return path if path.name.endswith(ENDINGS) and path.is_file() else None


def find_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns all of Keras' files in a folder; none in a KerasHub preset."""
    if is_preset(folder):
        return []
    return sorted(
        path for ending in ENDINGS for path in folder.glob(f"*{ending}")
    )


def read(path: pathlib.Path) -> Arrays:
    """Opens a `.keras` or `.weights.h5` file for reading, array by array.

    Args:
        path: the file, saved by Keras from a model whose weight paths are
            Google's names.

    Returns:
        The arrays under Google's names; the optimizer's under
        `optimizer/vars/N`, those of other layers under the file's own names.

    Raises:
        UserError: the file is damaged or of another kind.
    """
    opened = WeightsFile(path)
    if any(_OF_KERASHUB.search(one.path) for one in opened.layout.layers):
        raise UserError(
            f"{path}: is a model that KerasHub saved, whose configuration is "
            "not beside it; write it there with `model.save_to_preset(folder)` "
            "and name the folder"
        )
    absent = opened.note(ABSENT)
    if not isinstance(absent, list):
        absent = []
    entries = {
        name: Entry(
            place.shape,
            np.dtype(place.dtype),
            functools.partial(opened.read, place),
        )
        for name, place in named_places(opened.layout)
        if name not in absent
    }
    return widened(Arrays(entries))


def config(path: pathlib.Path) -> BertConfig | None:
    """Reads the configuration inside a file.

    Args:
        path: a `.keras` file of one of this program's models, or a
            `.weights.h5` file that was written here.

    Returns:
        The configuration, with `id2label` if the model knows its labels;
        None if there is none.

    Raises:
        UserError: the file is damaged, or the configuration is impossible.
    """
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                member = _member(path, archive, MODEL_MEMBER)
                found = _find_config(json.loads(archive.read(member)))
        else:
            found = WeightsFile(path).note(CONFIG)
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        return None
    config = BertConfig.from_dict(found)
    config.validate(path)
    return config


def _find_config(saved: Any) -> dict[str, Any] | None:
    """Searches Keras' description of a model for our `config`."""
    if isinstance(saved, dict):
        inner = saved.get("config")
        if isinstance(inner, dict) and "num_hidden_layers" in inner:
            labels = saved.get("labels")
            named = dict(enumerate(labels if isinstance(labels, list) else ()))
            # Default names of labels.
            if all(label == f"LABEL_{n}" for n, label in named.items()):
                return inner
            id2label = {str(n): label for n, label in named.items()}
            return {**inner, "id2label": id2label}
        saved = list(saved.values())
    if isinstance(saved, list):
        for part in saved:
            found = _find_config(part)
            if found is not None:
                return found
    return None


class WeightsFile:
    """A file of arrays, closed once no array refers to it.

    Attributes:
        path: the file.
        layout: its layers and arrays.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Opens a file.

        Raises:
            UserError: it is no file of Keras', or cut short.
        """
        self.path = path
        with contextlib.ExitStack() as stack:
            try:
                if path.suffix == ".keras":
                    self._file: IO[bytes] = stack.enter_context(
                        tempfile.NamedTemporaryFile(suffix=".h5")
                    )
                    with naming(self._file.name):
                        _copy_weights(path, self._file)
                        self._file.flush()
                else:
                    self._file = stack.enter_context(open(path, "rb"))
                self.layout = layout(pathlib.Path(self._file.name))
            except UserError:
                raise
            except _DAMAGE as error:
                if isinstance(error, OSError) and is_full_disk(error):
                    raise  # the disk of the temporary file
                raise UserError(
                    f"{path}: is not a Keras weights file, or is cut short: "
                    f"{error}"
                ) from error
            weakref.finalize(self, stack.pop_all().close)

    def read(self, place: ArrayPlace) -> Array:
        """Reads one array."""
        array = np.empty(place.shape, place.dtype)
        self._file.seek(place.offset)
        if self._file.readinto(array.reshape(-1).view(np.uint8)) < place.size:  # type: ignore[attr-defined]
            raise UserError(f"{self.path}: became shorter while it was read")
        return array

    def note(self, name: str) -> Any:
        """Returns the JSON that was added to the file, or None."""
        place = self.layout.root.get(name)
        if place is None:
            return None
        try:
            return json.loads(self.read(place).tobytes())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.path}: {name} is no JSON") from error


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


def named_places(found: Layout) -> Iterator[tuple[str, ArrayPlace]]:
    """Yields every variable with Google's name, or else its path."""
    names = {layer.path: layer.name for layer in found.layers}
    for layer in found.layers:
        own_name = f"{layer.path}/vars".lstrip("/")
        if layer.path.split("/")[0] == "optimizer":
            for position, place in enumerate(layer.variables):
                yield f"{own_name}/{position}", place
            continue
        # Integers are the state of random number generators.
        weights = [p for p in layer.variables if np.dtype(p.dtype).kind == "f"]
        scope = _from_scope(_names_down_to(layer.path, names))
        called = _VARIABLES.get((layer.name, len(weights)))
        if called is None and not scope and len(weights) == 2:
            called = _OUTPUT
        for position, place in enumerate(weights):
            if called is None:
                yield f"{own_name}/{position}", place
            else:
                yield "/".join((*scope, called[position])), place


def _names_down_to(path: str, names: Mapping[str, str]) -> list[str]:
    """Returns the names of a layer's owners and its own, outermost first."""
    parts = path.split("/") if path else []
    places = ("/".join(parts[:end]) for end in range(len(parts) + 1))
    return [names[place] for place in places if names.get(place)]


def _from_scope(layers: list[str]) -> list[str]:
    """Drops names before Google's scopes, such as the whole model's."""
    for position, name in enumerate(layers):
        if name in _SCOPES:
            return layers[position:]
    return []


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
    weights, since Keras loads complete models only, and listed in the file, so
    that `read` leaves it out.

    Args:
        path: ends in `.keras` or `.weights.h5`; its folder exists.
        checkpoint: what to write; a BERT or an ALBERT.
    """
    # Not at the head: reading, and other formats, need no Keras.
    import keras

    small = _small(checkpoint.config)
    outline = _model(checkpoint, small, checkpoint.labels[:1])
    if path.suffix != ".keras":
        outline.save_weights(path)
        _fill(path, checkpoint)
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        folder = pathlib.Path(temporary, "model")
        keras.saving.save_model(outline, folder, zipped=False)
        _fill(folder / WEIGHTS_MEMBER, checkpoint)
        _set_sizes(folder / MODEL_MEMBER, checkpoint)
        with zipfile.ZipFile(path, "w") as archive:
            for member in sorted(folder.iterdir()):
                if member.is_file():
                    archive.write(member, member.name)


def model_of(checkpoint: Checkpoint) -> Any:
    """Creates the Keras model that has all of the checkpoint's weights.

    Args:
        checkpoint: gives sizes and heads; its arrays are not read.

    Returns:
        A `BertModel` or `BertWithHeads` with random weights.
    """
    return _model(checkpoint, checkpoint.config, checkpoint.labels)


def _model(
    checkpoint: Checkpoint, config: BertConfig, labels: Sequence[str]
) -> Any:
    from modeling.bert import BertModel
    from modeling.bert_with_heads import BertWithHeads

    heads = [head for head in checkpoint.heads if head != "pooler"]
    if not heads:
        return BertModel(config)
    if checkpoint.architecture.endswith("ForTokenClassification"):
        heads = ["token_labels" if one == "labels" else one for one in heads]
    return BertWithHeads(config, heads, labels, encoder_outputs=True)


def _small(config: BertConfig) -> BertConfig:
    """Returns a configuration of the same layers with the smallest sizes."""
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
    """Replaces the outline's arrays; adds configuration and absent weights."""
    config = checkpoint.config
    shapes = names.shapes(
        config, (*checkpoint.heads, "pooler"), checkpoint.num_labels
    )
    places = {name: place.path for name, place in named_places(layout(path))}
    absent = [name for name in shapes if name not in checkpoint.arrays]
    rng = np.random.default_rng(0)
    with h5py.File(path, "a") as file:
        for name, shape in shapes.items():
            del file[places[name]]
            file[places[name]] = (
                random_weight(name, shape, config, rng)
                if name in absent
                else checkpoint.arrays[name]
            )
        notes = {
            ABSENT: absent,
            CONFIG: config.to_dict(),
        }
        for name, note in notes.items():
            # An attribute could not hold more than 64 KiB.
            file[name] = np.frombuffer(json.dumps(note).encode(), np.uint8)


def random_weight(
    name: str,
    shape: tuple[int, ...],
    config: BertConfig,
    rng: np.random.Generator,
) -> Array:
    """Draws a weight that a checkpoint lacks, as a new model would have it.

    Args:
        name: Google's name.
        shape: of the weight.
        config: gives `initializer_range`.
        rng: the generator.
    """
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
