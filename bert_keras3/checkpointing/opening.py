"""Opens a checkpoint once: where it lies, what it is, what belongs to it.

    checkpoint = open_checkpoint("uncased_L-12_H-768_A-12")
    checkpoint.config, checkpoint.tokenizer(), checkpoint.load_into(model)

The formats of `formats.FORMATS` recognise their files by name; a path that is
no checkpoint is an error with a remedy. The index of the weights is parsed
once; arrays are read from disk on access.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

from bert_keras3.checkpointing import google, names
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.checkpoint import Checkpoint, read_vocabulary
from bert_keras3.checkpointing.formats import FORMATS
from bert_keras3.checkpointing.google import as_albert, config_as_albert
from bert_keras3.checkpointing.loading import Report, assign
from bert_keras3.checkpointing.sentence_pooling import transformer_folder
from bert_keras3.checkpointing.sizes import config_of_electra, with_rows
from bert_keras3.checkpointing.sources import Path, local_path
from bert_keras3.checkpointing.tokenizer_files import (
    note_on_added_tokens,
    with_added_tokens,
)
from bert_keras3.checkpointing.trained_run import (
    UNFINISHED,
    run_settings,
    with_task,
)
from bert_keras3.checkpointing.variants import check_computable
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.added_tokens import AddedToken
from tokenization.tokenizer_options import (
    kept_options,
    options_that_differ,
)
from tokenization.vocab import (
    find_vocab_file,
    guess_do_lower_case,
    is_sentence_pieces,
    keeps_accents,
)

_CONFIG_FILES = ("bert_config.json", "albert_config.json", "config.json")

# Others have the size of the model in their names, as `bert_config_large.json`;
# ELECTRA's has its generator's configuration beside it.
_OTHER_CONFIG_FILES = (
    "*bert*config*.json",
    "*discriminator_config*.json",
    "*electra*config*.json",
)

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
    ".onnx": "computation",
    ".tflite": "computation",
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
        "is a part of a TensorFlow SavedModel; give its folder, with "
        "saved_model.pb in it"
    ),
    "computation": (
        "is an exported computation, in which weights have lost their names; "
        "give the checkpoint, or the folder of the run, that was exported"
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
        notes: what was chosen among several files, for the user.
    """

    format: str
    weights: pathlib.Path
    config_file: pathlib.Path | None
    vocab_file: pathlib.Path | None
    notes: tuple[str, ...] = ()


def locate(path: Path) -> Location:
    """Finds the files of a checkpoint.

    Args:
        path: a TensorFlow prefix or one of its files, a `.safetensors`,
            `.keras` or `.weights.h5` file, or a folder with one of these,
            perhaps one level down; an archive, an address or a published
            name (see `sources.local_path`), which is fetched and unpacked.

    Returns:
        Its files.

    Raises:
        UserError: nothing is there, several checkpoints are, or one of a
            format that is not read.
    """
    target = local_path(path)
    notes: tuple[str, ...] = ()
    if target.is_dir():
        name, weights = _in_folder(transformer_folder(target))
        if name in ("google", "model_garden"):
            notes = google.notes_on_choice(weights)
    else:
        found = _as_file(target)
        if found is None:
            raise UserError(_no_checkpoint_at(target))
        name, weights = found
    folder = weights.parent
    return Location(
        name, weights, _config_file(folder), find_vocab_file(folder), notes
    )


def _as_file(path: pathlib.Path) -> tuple[str, pathlib.Path] | None:
    for name, one in FORMATS.items():
        weights = one.find(path)
        if weights is not None:
            return name, weights
    return None


def _in_folder(folder: pathlib.Path) -> tuple[str, pathlib.Path]:
    found = _checkpoints_in(folder)
    if not found and (folder / UNFINISHED).is_dir():
        raise UserError(
            f"{folder}: holds a training that has not written a model yet; "
            "give the command of the training again to finish it"
        )
    if not found:
        # Google's archives have a folder inside, with the files in it.
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
    raise UserError(_no_checkpoint_in(folder))


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
    for pattern in _OTHER_CONFIG_FILES:
        others = sorted(folder.glob(pattern))
        if len(others) == 1:
            return others[0]
    return None


def _no_checkpoint_at(path: pathlib.Path) -> str:
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
            "with `.data-…`, `saved_model.pb`), `.safetensors`, `.keras` and "
            "`.weights.h5`"
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


def _no_checkpoint_in(folder: pathlib.Path) -> str:
    for path in sorted(folder.iterdir()):
        remedy = _REFUSED.get(path.suffix)
        if remedy is not None:
            return f"{path}: {_REMEDIES[remedy]}"
    return (
        f"{folder}: holds no checkpoint (no .index, .safetensors, .keras or "
        ".weights.h5 file)"
    )


def open_checkpoint(
    path: Path,
    config_file: Path | None = None,
    vocab_file: Path | None = None,
    do_lower_case: bool | None = None,
) -> Checkpoint:
    """Opens a checkpoint of any format with everything that lies beside it.

    Args:
        path: see `locate`.
        config_file: the configuration, instead of the one beside the weights;
            it is read as one of their format, which decides what "gelu" means.
        vocab_file: the vocabulary, likewise.
        do_lower_case: whether text is lower-cased; by default detected from
            the files beside the weights, the model's name or the vocabulary.

    Returns:
        The checkpoint. The arrays have Google's names; an early Chinese
        ALBERT's have those of Google's ALBERT.

    Raises:
        UserError: there is no checkpoint, it is damaged, or a file that
            belongs to it cannot be read.
    """
    location = locate(path)
    arrays = FORMATS[location.format].read(location.weights)
    says = FORMATS[location.format].describe(location.weights)
    config = _config_of(location, arrays, config_file)
    notes = (*location.notes, *arrays.notes, *says.notes)
    if config_file is None:
        config, changed = with_rows(config, arrays)
        notes += (*says.assumed, *changed)
    trained = run_settings(location.weights) or {}
    checkpoint = Checkpoint(
        as_albert(arrays),
        config,
        source=str(path),
        weights_file=location.weights,
        notes=notes,
        clean=tuple(trained.get("clean", ())),
        max_seq_length=says.max_seq_length or trained.get("max_seq_length"),
        pooling=says.pooling,
    )
    check_computable(checkpoint.arrays, checkpoint.config, str(path))
    why = "as given"
    if do_lower_case is None and says.do_lower_case is not None:
        do_lower_case, why = says.do_lower_case, "as the file itself says"
    opened = _with_vocabulary(
        checkpoint,
        vocab_file or says.vocab_file or location.vocab_file,
        do_lower_case,
        why,
    )
    if opened.vocab_file == says.vocab_file and (
        says.other_options or says.tokenizer_options
    ):
        return dataclasses.replace(
            opened,
            other_options=says.other_options,
            tokenizer_options=says.tokenizer_options,
        )
    return opened


def start_from(
    path: Path | None,
    config_file: Path | None = None,
    vocab_file: Path | None = None,
    do_lower_case: bool | None = None,
) -> Checkpoint:
    """Opens the start of a training: a checkpoint, or random weights.

    Args:
        path: see `locate`; None for random weights.
        config_file: as for `open_checkpoint`; needed without a path.
        vocab_file: as for `open_checkpoint`.
        do_lower_case: as for `open_checkpoint`.

    Returns:
        The checkpoint; it has no arrays if weights start random.

    Raises:
        UserError: as for `open_checkpoint`, or there is no configuration.
    """
    if path is not None:
        return open_checkpoint(path, config_file, vocab_file, do_lower_case)
    if config_file is None:
        raise UserError(
            "there is no model: give an --init_checkpoint, or a "
            "--bert_config_file and a --vocab_file to start from random "
            "weights"
        )
    config = BertConfig.from_json_file(config_file)
    return _with_vocabulary(
        Checkpoint(Arrays({}), config), vocab_file, do_lower_case
    )


def read(path: Path) -> Arrays:
    """Opens the weights of a checkpoint alone; see `open_checkpoint`."""
    location = locate(path)
    return as_albert(FORMATS[location.format].read(location.weights))


def load(
    model: Any, path: Path, *, allow_missing: Iterable[str] = ()
) -> Report:
    """Assigns the weights of a checkpoint to a model.

    Args:
        model: a built Keras model.
        path: see `locate`.
        allow_missing: see `loading.assign`.

    Returns:
        What was loaded and what was not.

    Raises:
        UserError: there is no checkpoint; another weight is missing or of
            another shape. The model is unchanged then.
    """
    arrays = read(path)
    check_computable(arrays, None, str(path))
    return assign(model, arrays, str(path), allow_missing=allow_missing)


def bert_config(path: Path) -> BertConfig:
    """Reads the configuration that lies beside a checkpoint.

    Args:
        path: see `locate`.

    Returns:
        The configuration. "gelu" of a Hugging Face folder is the erf form
        and becomes "gelu_erf"; Google's is the tanh form. A configuration
        inside a Keras file is preferred to one beside it.

    Raises:
        UserError: there is none, or it cannot be read or computed.
    """
    location = locate(path)
    is_google = location.format == "google"
    return config_at(
        location,
        google.read_index(location.weights) if is_google else Arrays({}),
    )


def config_at(location: Location, arrays: Arrays) -> BertConfig:
    """Reads the configuration of weights that are open already.

    Raises:
        UserError: there is none, or it cannot be read or computed.
    """
    config_inside = FORMATS[location.format].config_inside
    if config_inside is not None:
        inside = config_inside(location.weights)
        if inside is not None:
            return with_task(inside, location.weights)
    if location.config_file is None:
        electra = config_of_electra(arrays)
        if electra is not None:
            return electra
        raise UserError(
            f"{location.weights.parent}: there is no bert_config.json or "
            f"config.json beside {location.weights.name}; put it there, or "
            "name it with --bert_config_file"
        )
    return with_task(
        _read_config(location, arrays, location.config_file), location.weights
    )


def _config_of(
    location: Location, arrays: Arrays, given: Path | None
) -> BertConfig:
    beside = location.config_file
    if given is None or (
        beside is not None
        and beside.exists()
        and pathlib.Path(given).exists()
        and beside.samefile(given)
    ):
        return config_at(location, arrays)
    return _read_config(location, arrays, pathlib.Path(given))


def _read_config(
    location: Location, arrays: Arrays, file: pathlib.Path
) -> BertConfig:
    """Reads a configuration file as one of the weights' format."""
    config = FORMATS[location.format].read_config(file)
    if (
        location.format == "google"
        and config.num_hidden_groups is None
        and names.family(arrays) == "albert_zh"
    ):
        return config_as_albert(config, str(file))
    return config


def _with_vocabulary(
    checkpoint: Checkpoint,
    vocab_file: Path | None,
    do_lower_case: bool | None,
    why: str = "as given",
) -> Checkpoint:
    """Adds the vocabulary, and whether text is lower-cased for it."""
    file = None if vocab_file is None else pathlib.Path(vocab_file)
    vocabulary: tuple[str, ...] = ()
    sentence_pieces = None
    added: tuple[AddedToken, ...] = ()
    notes: tuple[str, ...] = ()
    if file is not None:
        vocabulary = read_vocabulary(file)
        vocabulary, added = with_added_tokens(
            vocabulary, file, checkpoint.config.vocab_size
        )
        notes = note_on_added_tokens(added, file.parent)
        if is_sentence_pieces(file):
            sentence_pieces = file.read_bytes()
    if do_lower_case is None and checkpoint.weights_file is not None:
        settings = run_settings(checkpoint.weights_file) or {}
        do_lower_case = settings.get("do_lower_case")
        why = f"as trained in {checkpoint.weights_file.parent}"
    if do_lower_case is None:
        beside = {token.content for token in added}
        do_lower_case, why = guess_do_lower_case(
            checkpoint.weights_file,
            {
                token: number
                for number, token in enumerate(vocabulary)
                if token not in beside
            },
        )
    other_options: tuple[str, ...] = ()
    stated = {} if file is None else kept_options(file.parent)
    if file is not None and checkpoint.has_weights:
        other_options = options_that_differ(
            file.parent, do_lower_case, keeps_accents(vocabulary)
        )
    return dataclasses.replace(
        checkpoint,
        vocabulary=None if file is None else vocabulary,
        other_options=other_options,
        tokenizer_options=stated,
        added_tokens=added,
        notes=(*checkpoint.notes, *notes),
        do_lower_case=do_lower_case,
        sentence_pieces=sentence_pieces,
        vocab_file=file,
        why_lower_case=why,
    )
