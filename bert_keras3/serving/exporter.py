"""Exports a run folder to a numbered folder that can be served.

    export("out", "exported")  # writes exported/1/saved_model.pb, …

Everything is checked before anything is written, and the numbered folder
appears complete or not at all.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.architectures import FINE_TUNED
from bert_keras3.checkpointing.saved_model import CONFIG
from bert_keras3.checkpointing.tokenizer_files import copy_added_tokens
from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_folder
from bert_keras3.serving.description import Description, needs_labels
from bert_keras3.serving.exported_model import ExportedModel
from bert_keras3.serving.formats import (
    DESCRIPTION_FILE,
    MODEL_FILES,
    SAVED_MODEL,
)
from bert_keras3.serving.quantization import quantize_dense_layers
from bert_keras3.serving.saved_model import write_saved_model
from bert_keras3.serving.token_id_formats import (
    check_installed,
    write_token_id_format,
)
from bert_keras3.serving.versions import new_version
from bert_keras3.vectors.exported import TEXT_VECTORS
from bert_keras3.vectors.opened import default_length, default_pooling
from bert_keras3.vectors.pooling import TextVectorModel
from bert_keras3.vectors.text_computer import TextComputer
from tokenization.in_graph import GraphTokenizer
from tokenization.vocab import is_sentence_pieces


def export(
    model_dir: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    *,
    version: int | None = None,
    format_name: str = SAVED_MODEL,
    quantize: str | None = None,
) -> pathlib.Path:
    """Exports a trained model.

    Args:
        model_dir: the folder of a run (`--output_dir` of run_classifier.py).
        export_dir: folder for the new numbered folder.
        version: number of the folder; None for the next free one.
        format_name: one of `formats.FORMATS`.
        quantize: `quantization.INT8`, or None for float32.

    Returns:
        The numbered folder.

    Raises:
        UserError: something that is needed is missing or damaged, or the
            version exists already; nothing has been written then.
    """
    if format_name != SAVED_MODEL:
        check_installed(format_name)
    target = new_version(export_dir, version)
    folder = FinetuningFolder(model_dir)
    description = _describe(folder)
    model = folder.load_model()
    vocab_file = folder.vocab_file
    # The vocabulary may be of another model.
    TextEncoder(folder.load_tokenizer(), description.max_seq_length).check(
        vocab_file, model.bert.config.vocab_size
    )
    _write(target, model, vocab_file, description, format_name, quantize)
    return target


def export_vectors(
    checkpoint_path: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    *,
    pooling: str | None = None,
    normalize: bool | None = None,
    max_seq_length: int | None = None,
    version: int | None = None,
    format_name: str = SAVED_MODEL,
    quantize: str | None = None,
) -> pathlib.Path:
    """Exports an encoder that makes vectors of texts.

    Args:
        checkpoint_path: a checkpoint of any format, or the folder of a run.
        export_dir: as for `export`.
        pooling: as for `serving.Encoder`, as are the next two.
        normalize: see there.
        max_seq_length: see there.
        version: as for `export`, as are the others.
        format_name: see there.
        quantize: see there.

    Returns:
        The numbered folder.

    Raises:
        UserError: as for `export` and `serving.Encoder`; or the model has a
            prompt, which an export cannot put before its texts.
    """
    if format_name != SAVED_MODEL:
        check_installed(format_name)
    target = new_version(export_dir, version)
    checkpoint = checkpointing.open(checkpoint_path)
    stored = checkpoint.sentence_pooling
    if stored is not None and stored.prompt:
        raise UserError(
            f"{os.fspath(checkpoint_path)}: puts {stored.prompt!r} before "
            "every text, which an export does not; use serving.Encoder, or "
            "export a copy whose config_sentence_transformers.json has no "
            "default_prompt_name, and put it before the texts yourself"
        )
    if normalize is None:
        normalize = stored is not None and stored.normalize
    how = default_pooling(checkpoint, pooling)
    how = dataclasses.replace(how, normalize=normalize)
    length = default_length(checkpoint, max_seq_length)
    computer = TextComputer(checkpoint)
    assert checkpoint.vocab_file is not None
    description = Description(
        TEXT_VECTORS,
        (),
        length,
        checkpoint.do_lower_case,
        False,
        {
            "width": how.width(checkpoint.config.hidden_size),
            "pooling": pooling or "+".join(how.modes),
            "normalize": normalize,
        },
        checkpoint.clean,
    )
    _write(
        target,
        TextVectorModel(computer.bert, how),
        checkpoint.vocab_file,
        description,
        format_name,
        quantize,
    )
    return target


def _write(
    target: pathlib.Path,
    model: ExportedModel,
    vocab_file: pathlib.Path,
    description: Description,
    format_name: str,
    quantize: str | None,
) -> None:
    """Writes a numbered folder.

    Raises:
        UserError: the vocabulary is one that no graph has a tokenizer for.
    """
    # Other tasks tokenize in Python, whatever the format.
    task = description.task
    in_graph = format_name == SAVED_MODEL and task.packs_in_graph
    if task.own_rows and is_sentence_pieces(vocab_file):
        in_graph = False
    if in_graph and is_sentence_pieces(vocab_file):
        raise UserError(
            f"{vocab_file}: a SavedModel takes strings, and its graph has no "
            "SentencePiece tokenizer as ALBERT uses it; export with "
            f"--format={' or '.join(MODEL_FILES)}, which take ids"
        )
    with atomic_folder(target) as temporary:
        if format_name == SAVED_MODEL:
            if quantize is not None:
                quantize_dense_layers(model)
            tokenizer = None
            if in_graph:
                tokenizer = GraphTokenizer.open(
                    vocab_file, description.do_lower_case
                )
            # A trained model can be opened as a checkpoint again.
            is_checkpoint = (
                quantize is None and description.problem in FINE_TUNED
            )
            if task.own_rows or is_checkpoint:
                shutil.copyfile(vocab_file, temporary / vocab_file.name)
                copy_added_tokens(vocab_file, temporary)
            write_saved_model(temporary, model, tokenizer, description)
            if is_checkpoint:
                for name, text in (
                    (CONFIG, model.bert.config.to_json_string()),
                    (DESCRIPTION_FILE, description.to_json()),
                ):
                    (temporary / name).write_text(text, "utf-8")
        else:
            write_token_id_format(
                format_name,
                temporary,
                model,
                vocab_file,
                description,
                quantize,
            )


def _describe(folder: FinetuningFolder) -> Description:
    """Returns the description of a run folder, if no file is missing."""
    needed = {
        run_folder.MODEL: "the weights",
        run_folder.CONFIG: "the configuration",
        folder.vocab_file.name: "the vocabulary",
        run_folder.SETTINGS: "the labels and how text is read",
    }
    missing = [
        f"{name} ({what})"
        for name, what in needed.items()
        if not (folder / name).is_file()
    ]
    if missing:
        raise UserError(
            f"{folder.path}: cannot be exported, for it lacks "
            f"{', '.join(missing)}; give the --output_dir of a training"
        )
    settings = folder.read_settings()
    path = folder / run_folder.SETTINGS
    if settings.problem not in TASKS:
        raise UserError(
            f"{path}: names the problem {settings.problem!r}; known are "
            f"{', '.join(TASKS)}"
        )
    if needs_labels(TASKS[settings.problem]) and not settings.labels:
        raise UserError(
            f"{path}: names no labels; put their names back, in the order in "
            "which the model was trained, or train again"
        )
    return Description.of(settings)
