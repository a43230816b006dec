"""The table of formats: how each is read and written.

A new format is a module with a `read`, a `write` and one line here; `location`
learns to recognise it by its file names.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping

from bert_keras3.checkpointing import (
    google,
    huggingface,
    huggingface_config,
    keras_outline,
    keras_weights,
    names,
)
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.checkpoint import (
    Checkpoint,
    refuse_unless_modelled,
)
from bert_keras3.checkpointing.early_albert import as_albert, config_as_albert
from bert_keras3.checkpointing.location import (
    KERAS_ENDINGS,
    Location,
    Path,
    locate,
)
from bert_keras3.checkpointing.vocabulary import read_vocabulary
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_folder, atomic_path
from modeling.config import BertConfig
from tokenization.vocab import guess_do_lower_case, is_sentence_pieces


@dataclasses.dataclass(frozen=True)
class Format:
    """How one format is read and written.

    Attributes:
        read: opens the weights.
        read_config: reads the configuration beside them.
        write: fills an empty folder.
        only_modelled: whether it has names only for what there is a model of.
    """

    read: Callable[[pathlib.Path], Arrays]
    read_config: Callable[[pathlib.Path], BertConfig]
    write: Callable[[pathlib.Path, Checkpoint], None]
    only_modelled: bool = True


# Nobody calls a folder so.
_FILES = (".h5", ".ckpt", ".safetensors", ".index", ".bin")

FORMATS: Mapping[str, Format] = {
    "google": Format(
        google.read,
        BertConfig.from_json_file,
        google.write,
        only_modelled=False,
    ),
    "huggingface": Format(
        huggingface.read, huggingface_config.from_json_file, huggingface.write
    ),
    "keras": Format(
        keras_weights.read, BertConfig.from_json_file, keras_outline.write
    ),
}


def read(path: Path) -> Arrays:
    """Opens a checkpoint of any format.

    Args:
        path: see `location.locate`.

    Returns:
        {Google's name: array}; each array is read from disk when it is asked
        for, and names, shapes and dtypes are known before. Those of an early
        Chinese ALBERT are called as Google's ALBERT calls them.

    Raises:
        UserError: there is no checkpoint, or it is damaged.
    """
    location = locate(path)
    return as_albert(FORMATS[location.format].read(location.weights))


def bert_config(path: Path) -> BertConfig:
    """Reads the configuration that lies beside a checkpoint.

    Args:
        path: see `location.locate`.

    Returns:
        The configuration. "gelu" of a Hugging Face folder is the erf form
        and is called "gelu_erf" here; Google's is the tanh form. A Keras
        file may carry its own, which counts more than one beside it.

    Raises:
        UserError: there is none, or it cannot be read or computed.
    """
    return config_at(locate(path))


def chosen_config(path: Path, config_file: Path | None) -> BertConfig:
    """Reads the configuration of a checkpoint, or the file that is named.

    Args:
        path: see `location.locate`.
        config_file: `bert_config.json` that was asked for, or None. If it is
            the one that lies beside the checkpoint, the checkpoint's format
            still decides what "gelu" means.

    Returns:
        The configuration.

    Raises:
        UserError: there is none, or it cannot be read or computed.
    """
    location = locate(path)
    beside = location.config_file
    if config_file is None or (
        beside is not None
        and beside.exists()
        and pathlib.Path(config_file).exists()
        and beside.samefile(config_file)
    ):
        return config_at(location)
    return BertConfig.from_json_file(str(config_file))


def config_at(location: Location) -> BertConfig:
    """Does what `bert_config` does for a checkpoint located before."""
    if location.format == "keras":
        inside = keras_weights.config(location.weights)
        if inside is not None:
            return inside
    if location.config_file is not None:
        return _read_config(location, location.config_file)
    raise UserError(
        f"{location.weights.parent}: there is no bert_config.json or "
        f"config.json beside {location.weights.name}; put it there, or name "
        "it with --bert_config_file"
    )


def _read_config(location: Location, file: pathlib.Path) -> BertConfig:
    """Reads a configuration as that of the weights."""
    config = FORMATS[location.format].read_config(file)
    if location.format == "google" and config.num_hidden_groups is None:
        found = google.read_index(location.weights)
        if names.family(found) == "albert_zh":
            return config_as_albert(config, str(file))
    return config


def read_checkpoint(
    path: Path,
    config_file: Path | None = None,
    vocab_file: Path | None = None,
) -> Checkpoint:
    """Opens a checkpoint with everything that lies beside it.

    Args:
        path: see `location.locate`.
        config_file: in the place of the one beside it; of the same format.
        vocab_file: in the place of the one beside it.

    Returns:
        Arrays (unread), configuration, vocabulary and case.

    Raises:
        UserError: the checkpoint or one of these files cannot be read.
    """
    location = locate(path)
    if vocab_file is not None:
        location = dataclasses.replace(
            location, vocab_file=pathlib.Path(vocab_file)
        )
    vocabulary = sentence_pieces = None
    do_lower_case = True
    if location.vocab_file is not None:
        if is_sentence_pieces(location.vocab_file):
            sentence_pieces = location.vocab_file.read_bytes()
        vocabulary = read_vocabulary(location.vocab_file)
        do_lower_case, _ = guess_do_lower_case(
            location.weights, {token: n for n, token in enumerate(vocabulary)}
        )
    return Checkpoint(
        as_albert(FORMATS[location.format].read(location.weights)),
        config_at(location)
        if config_file is None
        else _read_config(location, pathlib.Path(config_file)),
        vocabulary,
        do_lower_case,
        sentence_pieces,
    )


def write(
    path: Path,
    checkpoint: Checkpoint,
    *,
    format: str,  # noqa: A002 (what it is called everywhere)
    check: Callable[[pathlib.Path], None] | None = None,
) -> None:
    """Writes a checkpoint; what is not finished is not there.

    Args:
        path: a folder that does not exist yet; for Keras' format also a file
            whose name ends in `.keras` or `.weights.h5`, which then stands
            alone.
        checkpoint: what to write.
        format: one of FORMATS.
        check: called with the finished folder or file while it still has a
            temporary name; what it raises leaves nothing behind.

    Raises:
        UserError: something is there already, the name is that of a file of
            another kind, or the format cannot hold the weights.
    """
    target = pathlib.Path(path).expanduser()
    if target.suffix in _FILES and not target.name.endswith(KERAS_ENDINGS):
        raise UserError(
            f"{target}: is the name of a file, but --format={format} writes "
            "a folder; leave its ending out"
            + (", or end it in .keras or .weights.h5" * (format == "keras"))
        )
    if os.path.lexists(target):
        raise UserError(
            f"{target}: exists already; give another --output, or remove it"
        )
    if FORMATS[format].only_modelled:
        refuse_unless_modelled(
            checkpoint.arrays, "the input", f"--format={format}"
        )
    ending = next((e for e in KERAS_ENDINGS if target.name.endswith(e)), None)
    if ending is None:
        with atomic_folder(target) as folder:
            FORMATS[format].write(folder, checkpoint)
            if check is not None:
                check(folder)
    elif format == "keras":
        # In a folder of its own, since Keras decides by the file's name.
        with (
            atomic_path(target) as temporary,
            tempfile.TemporaryDirectory(dir=target.parent) as folder,
        ):
            file = pathlib.Path(folder, f"model{ending}")
            keras_outline.write_file(file, checkpoint)
            if check is not None:
                check(file)
            os.replace(file, temporary)
    else:
        raise UserError(
            f"{target}: is the name of a Keras file; --format={format} "
            "writes a folder"
        )
