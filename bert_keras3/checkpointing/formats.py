"""The table of formats: how each is recognised, read and written.

A new format is a module with a `find`, a `find_in`, a `read`, perhaps a
`write`, and one row here.
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
    keras_weights,
    kerashub,
    kerashub_preset,
    model_garden,
    saved_model,
)
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.checkpoint import (
    Checkpoint,
    Description,
    check_modelled,
)
from bert_keras3.checkpointing.keras_weights import ENDINGS as KERAS_ENDINGS
from bert_keras3.checkpointing.sources import Path
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_folder, atomic_path
from modeling.config import BertConfig


@dataclasses.dataclass(frozen=True)
class Format:
    """How one format is read and written.

    Attributes:
        find: returns the weights that a file belongs to, or None if it is of
            another format; looks at names alone, of files and in an index.
        find_in: returns all weights in a folder, likewise.
        read: opens the weights.
        read_config: reads the configuration beside them.
        write: fills an empty folder.
        words: what a file of it is, after what the model is; "" where
            `describe` says it all.
        only_modelled: whether it holds nothing but BERT and ALBERT.
        config_inside: reads the configuration that a file of weights may
            have inside, which is preferred to one beside it.
        describe: reads what else it says of itself.
        check: raises a `UserError` if it cannot express a model; needs no
            weights, so it can be called before they are trained.
    """

    find: Callable[[pathlib.Path], pathlib.Path | None]
    find_in: Callable[[pathlib.Path], list[pathlib.Path]]
    read: Callable[[pathlib.Path], Arrays]
    read_config: Callable[[pathlib.Path], BertConfig]
    write: Callable[[pathlib.Path, Checkpoint], None]
    words: str = ""
    only_modelled: bool = True
    config_inside: Callable[[pathlib.Path], BertConfig | None] | None = None
    describe: Callable[[pathlib.Path], Description] = lambda _: Description()
    check: Callable[[Checkpoint], None] = lambda _: None


def _only_read(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    raise UserError(f"{folder}: this format is read, but not written")


# Endings of files; no folder is named like this.
_FILES = (".h5", ".ckpt", ".safetensors", ".index", ".bin")

FORMATS: Mapping[str, Format] = {
    "google": Format(
        google.find,
        google.find_in,
        google.read,
        BertConfig.from_json_file,
        google.write,
        "as google-research/bert saves it",
        only_modelled=False,
    ),
    "huggingface": Format(
        huggingface.find,
        huggingface.find_in,
        huggingface.read,
        huggingface.from_json_file,
        huggingface.write,
        "as Hugging Face's transformers saves it",
    ),
    # Before Keras' own files, which a preset's are named like.
    "kerashub": Format(
        kerashub.find,
        kerashub.find_in,
        kerashub.read,
        kerashub_preset.from_json_file,
        kerashub.write,
        describe=kerashub_preset.describe,
        check=kerashub_preset.check_expressible,
    ),
    "keras": Format(
        keras_weights.find,
        keras_weights.find_in,
        keras_weights.read,
        BertConfig.from_json_file,
        keras_weights.write,
        "in a file of Keras'",
        config_inside=keras_weights.config,
    ),
    "model_garden": Format(
        model_garden.find,
        model_garden.find_in,
        model_garden.read,
        model_garden.from_json_file,
        _only_read,
        config_inside=model_garden.config,
        describe=model_garden.describe,
    ),
    "saved_model": Format(
        saved_model.find,
        saved_model.find_in,
        saved_model.read,
        model_garden.from_json_file,
        _only_read,
        config_inside=saved_model.config,
        describe=saved_model.describe,
    ),
}

# Those that can be written.
WRITTEN = tuple(n for n, one in FORMATS.items() if one.write is not _only_read)


def write(
    path: Path,
    checkpoint: Checkpoint,
    *,
    format: str,  # noqa: A002 (what it is called everywhere)
    check: Callable[[pathlib.Path], None] | None = None,
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        path: a folder that does not exist yet; for Keras' format also a file
            whose name ends in `.keras` or `.weights.h5`, which then stands
            alone.
        checkpoint: what to write.
        format: one of WRITTEN.
        check: called with the finished folder or file under its temporary
            name; if it raises, nothing is left on disk.

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
        check_modelled(checkpoint.arrays, "the input", f"--format={format}")
    FORMATS[format].check(checkpoint)
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
            keras_weights.write_file(file, checkpoint)
            if check is not None:
                check(file)
            os.replace(file, temporary)
    else:
        raise UserError(
            f"{target}: is the name of a Keras file; --format={format} "
            "writes a folder"
        )
