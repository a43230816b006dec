"""Checks of a fine-tuning job before it writes anything.

`check_flags` and `check_folder` come first; the others are called as the files
are opened.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.dataset import given_files
from bert_keras3.finetuning.datasets import kind_of, script_for
from bert_keras3.finetuning.long_texts import given_flags
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import Task
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.devices import check_not_distributed
from bert_keras3.training.session import check_training, refuse_evaluation
from modeling import BertConfig
from tokenization.cleaning import expressions
from tokenization.tokenizers import read_tokens


def check_flags(job: Job) -> None:
    """Checks flags against their ranges and against each other.

    Raises:
        UserError: there is nothing to do, a value is out of its range, two
            flags contradict each other, or one would have no effect.
    """
    if not (job.do_train or job.do_eval or job.do_predict):
        raise UserError(
            "there is nothing to do: give --do_train, --do_eval or "
            "--do_predict, or several of them"
        )
    check_ranges(job.data)
    try:
        expressions(getattr(job.data, "clean", ()))
    except ValueError as error:
        raise UserError(f"--clean: {error}") from error
    kind_of(job.data).check(job.data, do_train=job.do_train)
    if job.do_train:
        _check_training(job)
    else:
        check_not_distributed(job.distribution)
    check_ranges(job)
    check_ranges(job.search)


def _check_training(job: Job) -> None:
    training = job.training
    check_ranges(training)
    check_training(training, do_eval=job.do_eval)
    if not job.do_eval:
        for name in ("best_metric", "early_stopping_patience"):
            refuse_evaluation(name, getattr(training, name))
    if training.lazy_embeddings and training.lora_rank is not None:
        raise UserError(
            "--lazy_embeddings and --lora_rank: with LoRA the word embedding "
            "table is not trained at all; leave --lazy_embeddings out"
        )


# The output folder.


def check_folder(job: Job, folder: FinetuningFolder) -> None:
    """Checks that the job can work in the output folder.

    Raises:
        UserError: it is a file; an input file would be overwritten; there is
            no model to use.
    """
    folder.run.check_is_folder()
    _check_inputs_stay(job, folder)
    if job.do_train or job.encoder.init_checkpoint is not None:
        return
    if job.overwrite_output_dir:
        raise UserError(
            f"--overwrite_output_dir would leave nothing to use in "
            f"{folder.path}; add --do_train, or leave it out"
        )
    if not folder.holds_a_model:
        unfinished = folder.run.holds_a_run
        raise UserError(
            f"{folder.path}: has no trained model"
            + (" yet; finish its training" if unfinished else ". Train one")
            + " with --do_train, or give one that was trained elsewhere as "
            "--init_checkpoint"
        )


def _check_inputs_stay(job: Job, folder: FinetuningFolder) -> None:
    """Checks that no input file would be overwritten."""
    if not folder.path.exists():
        return
    replaced: tuple[str, ...] = ()
    if job.do_predict:
        # The task may not be known yet.
        replaced = run_folder.RESULT_FILES
    if job.overwrite_output_dir:
        replaced = run_folder.FILES.all
        _refuse_checkpoint_inside(job, folder)
    flags = {
        **job.data.files,
        "vocab_file": job.encoder.vocab_file,
        "bert_config_file": job.encoder.bert_config_file,
    }
    read = [
        (flag, path)
        for flag, value in flags.items()
        if value is not None
        for path in given_files(value)
    ]
    for flag, given in read:
        if not given.exists():
            continue
        for name in replaced:
            target = folder / name
            if target.exists() and target.samefile(given):
                raise UserError(
                    f"--{flag}={given}: would be replaced, since it lies "
                    f"in --output_dir={folder.path}. Move it, or give "
                    "another --output_dir."
                )


def _refuse_checkpoint_inside(job: Job, folder: FinetuningFolder) -> None:
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


def check_same_run(folder: FinetuningFolder, known: Mapping[str, Any]) -> None:
    """Checks settings of a job against those of the run in the folder.

    Args:
        folder: of the run.
        known: those fields of `RunSettings` that are known so far.

    Raises:
        UserError: the folder holds a run of another task, or result files
            that belong to no run.
    """
    if not folder.run.holds_a_run:
        folder.run.refuse_foreign_files()
        return
    earlier = folder.read_settings()
    for name in ("task_name", "problem", "labels"):
        before = getattr(earlier, name)
        now = known.get(name, before)
        if before != now:
            raise UserError(
                f"{folder.path}: holds a run of another task: its "
                f"{name} was {before}, now it is {now}. Give another "
                "--output_dir, or --overwrite_output_dir to start anew."
            )


def refuse_unfinished(
    folder: FinetuningFolder, init_checkpoint: str | None
) -> None:
    """Checks that a checkpoint would not replace an unfinished training.

    Raises:
        UserError: it would.
    """
    if folder.run.holds_a_run:
        raise UserError(
            f"{folder.path}: holds a training that has saved no model "
            "yet. Finish it with its --do_train command, give another "
            "--output_dir, or --overwrite_output_dir to put "
            f"{init_checkpoint} in its place."
        )


def check_same_model(job: Job, folder: FinetuningFolder) -> None:
    """Checks that flags agree with the trained model in the folder.

    The model is used as it was trained, so other flags would have no effect.

    Raises:
        UserError: a flag does not agree, or its file cannot be read.
    """
    settings, encoder = folder.read_settings(), job.encoder
    kind = kind_of(job.data, settings)
    if settings.problem not in kind.problems:
        raise UserError(
            f"{folder.path}: holds a {settings.problem} model, which "
            f"{kind.script} cannot use; run {script_for(settings.problem)} "
            "with it, or give another --output_dir"
        )
    folder.check_flags(
        max_seq_length=(encoder.max_seq_length, settings.max_seq_length),
        do_lower_case=(encoder.do_lower_case, settings.do_lower_case),
        clean=(
            ",".join(getattr(job.data, "clean", ())) or None,
            ",".join(settings.clean) or None,
        ),
        **{
            name: (value, getattr(settings.task, name, None))
            for name, value in given_flags(job.data).items()
        },
    )
    kind.check_same(job.data, folder, do_eval=job.do_eval)
    if encoder.vocab_file is not None and not _same_tokens(
        read_tokens(encoder.vocab_file), read_tokens(folder.vocab_file)
    ):
        flag = f"--vocab_file={encoder.vocab_file}"
        raise folder.contradiction(flag, f"the tokens of {folder.vocab_file}")
    if encoder.bert_config_file is not None:
        _check_same_sizes(encoder.bert_config_file, folder)


def _check_same_sizes(config_file: str, folder: FinetuningFolder) -> None:
    config = BertConfig.from_json_file(config_file).to_dict()
    kept = BertConfig.from_json_file(folder / run_folder.CONFIG).to_dict()
    for name in config.keys() & kept.keys():
        now, before = config[name], kept[name]
        # Other values are written differently in different formats.
        if now != before and type(now) is type(before) is int:
            flag = f"--bert_config_file={config_file}"
            raise folder.contradiction(
                f"{flag} with {name} {now}", f"{name} {before}"
            )


def _same_tokens(given: Mapping[str, int], kept: Mapping[str, int]) -> bool:
    """Whether two vocabularies have the same tokens.

    That of a folder has a line for every id, and so perhaps more tokens than
    a file of another format.
    """
    return given.items() <= kept.items() and max(given.values()) == max(
        kept.values()
    )


# Flags that need a certain task.


def check_metric(metric: str, task: Task) -> None:
    """Checks that an evaluation of the task has the metric.

    Raises:
        UserError: it does not; the message lists its metrics.
    """
    if metric not in task.metrics:
        labels = f" with {len(task.labels)} labels" if task.labels else ""
        raise UserError(
            f"--best_metric={metric}: an evaluation of a {task.name} "
            f"problem{labels} has {', '.join(sorted(task.metrics))}; give "
            "one of these"
        )


def check_calibration(job: Job, task: Task) -> None:
    """Checks that the task has settings for --calibrate to fit.

    Raises:
        UserError: it has none.
    """
    if job.calibrates and not task.calibrates:
        raise UserError(
            "--calibrate is for examples with one or several labels; this "
            f"problem is {task.name}. Leave it out"
        )


def check_class_weight(class_weight: str | None, task: Task) -> None:
    """Checks that class weights are given for a task with classes only.

    Raises:
        UserError: examples may have several labels, or none.
    """
    if class_weight is not None and not task.has_classes:
        raise UserError(
            f"--class_weight={class_weight} is for problems with one label "
            f"an example; this one is {task.name}. Leave it out"
        )
