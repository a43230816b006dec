"""Refuses a run folder that holds something else than what is asked for.

And one where a run would replace what it reads. What a folder holds is told
by `run_folder`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.choices import Job
from bert_keras3.finetuning.encoder_files import read_labels
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.inputs.columns import Columns
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.opening import read_tokens


def check_same_task(folder: RunFolder, settings: Mapping[str, Any]) -> None:
    """Checks what is known of a job's settings yet against the folder's.

    Args:
        folder: of the run.
        settings: some of the fields of `ClassifierSettings`.

    Raises:
        UserError: the folder holds a run of another task, or results that
            are of no run.
    """
    if not folder.holds_a_run:
        _refuse_foreign_files(folder)
        return
    earlier = folder.read_settings()
    for name in ("task_name", "problem", "labels"):
        before = getattr(earlier, name)
        now = settings.get(name, before)
        if before != now:
            raise UserError(
                f"{folder.path}: holds a run of another task: its "
                f"{name} was {before}, now it is {now}. Give another "
                "--output_dir, or --overwrite_output_dir to start anew."
            )


def check_same_classifier(job: Job, folder: RunFolder) -> None:
    """Checks that flags say nothing else of a classifier than its folder.

    It is used as it was trained, so they could only be passed over.

    Args:
        job: what is to be done.
        folder: of the run, which holds a classifier.

    Raises:
        UserError: one does; or a file that one names cannot be read.
    """
    settings = folder.read_settings()
    encoder, data = job.encoder, job.data
    told: dict[str, tuple[Any, Any]] = {
        "max_seq_length": (encoder.max_seq_length, settings.max_seq_length),
        "do_lower_case": (encoder.do_lower_case, settings.do_lower_case),
        "problem_type": (data.problem_type, settings.problem),
        "label_separator": (data.label_separator, settings.label_separator),
    }
    for flag, (now, before) in told.items():
        if now not in (None, before):
            raise _another(folder, f"--{flag}={now}", before)
    if settings.columns:
        _check_same_columns(job, folder, Columns.from_dict(settings.columns))
    if data.labels_file is not None:
        labels = read_labels(data.labels_file, len(settings.labels))
        if labels != settings.labels:
            before = f"the labels {', '.join(settings.labels)}"
            raise _another(folder, f"--labels_file={data.labels_file}", before)
    if encoder.vocab_file is not None and not _same_tokens(
        read_tokens(encoder.vocab_file), read_tokens(folder.vocab_file)
    ):
        flag = f"--vocab_file={encoder.vocab_file}"
        raise _another(folder, flag, f"the tokens of {folder.vocab_file}")
    if encoder.bert_config_file is not None:
        config = BertConfig.from_json_file(encoder.bert_config_file).to_dict()
        kept = BertConfig.from_json_file(folder / run_folder.CONFIG).to_dict()
        for name in config.keys() & kept.keys():
            now, before = config[name], kept[name]
            # Formats differ in how they spell all that is no size.
            if now != before and type(now) is type(before) is int:
                flag = f"--bert_config_file={encoder.bert_config_file}"
                raise _another(
                    folder, f"{flag} with {name} {now}", f"{name} {before}"
                )


def _check_same_columns(job: Job, folder: RunFolder, trained: Columns) -> None:
    said = {
        "text": job.data.file.text,
        "text_pair": job.data.file.text_pair,
        "id": job.data.file.id,
        # A file to predict needs none.
        "label": job.data.file.label if job.do_eval else None,
    }
    names = dict(enumerate(trained.names))
    for role, value in said.items():
        if value is None or trained.are_said(role, value):
            continue
        found = getattr(trained, role)
        indices = found if role == "label" else (found,)
        before = ", ".join(names.get(index, "none") for index in indices)
        raise _another(folder, f"--{role}_column={value}", before or "none")


def _same_tokens(given: Mapping[str, int], kept: Mapping[str, int]) -> bool:
    """Whether tokens have the same ids.

    A folder has a line for every id, so it may have more tokens than a file
    of another format.
    """
    return given.items() <= kept.items() and max(given.values()) == max(
        kept.values()
    )


def _another(folder: RunFolder, flag: str, before: Any) -> UserError:
    trained_with = "without it" if before is None else f"with {before}"
    return UserError(
        f"{flag}: the classifier in --output_dir={folder.path} was trained "
        f"{trained_with} and is used as it was trained. Leave the flag out, "
        "or train another classifier with --do_train in another folder."
    )


def check_inputs_stay(job: Job, folder: RunFolder) -> None:
    """Checks that a job reads none of the files that it replaces.

    Args:
        job: what is to be done.
        folder: of the run.

    Raises:
        UserError: the folder's files are to be removed, and one of them, or
            the checkpoint among them, is to be read; or the file to predict
            is where the predictions go.
    """
    if not folder.path.exists():
        return
    replaced: tuple[str, ...] = ()
    if job.do_predict:
        replaced = (run_folder.PREDICTIONS, run_folder.TEST_TSV)
    if job.overwrite_output_dir:
        replaced = run_folder.WRITTEN
        _refuse_checkpoint_inside(job, folder)
    read = {
        "train_file": job.data.train_file,
        "dev_file": job.data.dev_file,
        "test_file": job.data.test_file,
        "labels_file": job.data.labels_file,
        "vocab_file": job.encoder.vocab_file,
        "bert_config_file": job.encoder.bert_config_file,
    }
    for flag, given in read.items():
        if given is None or not pathlib.Path(given).exists():
            continue
        for name in replaced:
            target = folder / name
            if target.exists() and target.samefile(given):
                raise UserError(
                    f"--{flag}={given}: would be replaced, since it lies "
                    f"in --output_dir={folder.path}. Move it, or give "
                    "another --output_dir."
                )


def _refuse_checkpoint_inside(job: Job, folder: RunFolder) -> None:
    given = job.encoder.init_checkpoint
    if given is None:
        return
    path = pathlib.Path(given)
    place = path if path.is_dir() else path.parent
    if place.exists() and place.samefile(folder.path):
        raise UserError(
            f"--output_dir={folder.path}: holds the --init_checkpoint, which "
            "--overwrite_output_dir would remove. Give another --output_dir."
        )


def _refuse_foreign_files(folder: RunFolder) -> None:
    for name in run_folder.WRITTEN:
        if (folder / name).exists():
            raise UserError(
                f"{folder / name}: is there already, and of no run "
                "of this program. Give another --output_dir, or "
                "--overwrite_output_dir to replace it."
            )
