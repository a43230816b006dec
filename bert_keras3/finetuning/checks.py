"""What is refused before anything is written, in the order of the checks.

`check_flags` needs no file and `check_folder` the output folder alone; what
only the data or the checkpoint can show is refused where they are read,
before the folder is touched as well.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import Task
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.devices import check_not_distributed
from bert_keras3.training.session import check_training, refuse_evaluation
from modeling import BertConfig
from tokenization.tokenizers import read_tokens


def check_flags(job: Job) -> None:
    """Checks flags against their ranges and against each other.

    Raises:
        UserError: there is nothing to do, a number is out of its range, two
            flags contradict each other or one would have no effect.
    """
    if not (job.do_train or job.do_eval or job.do_predict):
        raise UserError(
            "there is nothing to do: give --do_train, --do_eval or "
            "--do_predict, or several of them"
        )
    check_ranges(job.data)
    kind_of(job.data).check(job.data, do_train=job.do_train)
    if job.do_train:
        _check_training(job)
    else:
        check_not_distributed(job.distribution)
    check_ranges(job)


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
    """Checks that the output folder is one that the job can work in.

    Raises:
        UserError: it is a file; a file that is read would be replaced; there
            is no model to use.
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
            f"{folder.path}: has no trained classifier"
            + (" yet; finish its training" if unfinished else ". Train one")
            + " with --do_train, or give a checkpoint that has "
            "`output_weights` as --init_checkpoint"
        )


def _check_inputs_stay(job: Job, folder: FinetuningFolder) -> None:
    """Checks that a job reads none of the files that it replaces."""
    if not folder.path.exists():
        return
    replaced: tuple[str, ...] = ()
    if job.do_predict:
        # Which task it is may not be known yet.
        replaced = run_folder.RESULT_FILES
    if job.overwrite_output_dir:
        replaced = run_folder.FILES.all
        _refuse_checkpoint_inside(job, folder)
    read = {
        **job.data.files,
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
    """Checks what is known of a job's settings yet against the folder's.

    Args:
        folder: of the run.
        known: some of the fields of `RunSettings`.

    Raises:
        UserError: the folder holds a run of another task, or results that
            are of no run.
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
    """Checks that no unfinished training would be replaced by a checkpoint.

    Raises:
        UserError: the folder holds one.
    """
    if folder.run.holds_a_run:
        raise UserError(
            f"{folder.path}: holds a training that has saved no model "
            "yet. Finish it with its --do_train command, give another "
            "--output_dir, or --overwrite_output_dir to put "
            f"{init_checkpoint} in its place."
        )


def check_same_model(job: Job, folder: FinetuningFolder) -> None:
    """Checks that flags do not contradict the model that a folder holds.

    It is used as it was trained, so they could only be passed over.

    Raises:
        UserError: one does; or a file that one names cannot be read.
    """
    settings, encoder = folder.read_settings(), job.encoder
    folder.refuse_other(
        max_seq_length=(encoder.max_seq_length, settings.max_seq_length),
        do_lower_case=(encoder.do_lower_case, settings.do_lower_case),
    )
    kind_of(job.data).check_same(job.data, folder, do_eval=job.do_eval)
    if encoder.vocab_file is not None and not _same_tokens(
        read_tokens(encoder.vocab_file), read_tokens(folder.vocab_file)
    ):
        flag = f"--vocab_file={encoder.vocab_file}"
        raise folder.other(flag, f"the tokens of {folder.vocab_file}")
    if encoder.bert_config_file is not None:
        _check_same_sizes(encoder.bert_config_file, folder)


def _check_same_sizes(config_file: str, folder: FinetuningFolder) -> None:
    config = BertConfig.from_json_file(config_file).to_dict()
    kept = BertConfig.from_json_file(folder / run_folder.CONFIG).to_dict()
    for name in config.keys() & kept.keys():
        now, before = config[name], kept[name]
        # Formats differ in how they spell all that is no size.
        if now != before and type(now) is type(before) is int:
            flag = f"--bert_config_file={config_file}"
            raise folder.other(f"{flag} with {name} {now}", f"{name} {before}")


def _same_tokens(given: Mapping[str, int], kept: Mapping[str, int]) -> bool:
    """Whether tokens have the same ids.

    A folder has a line for every id, so it may have more tokens than a file
    of another format.
    """
    return given.items() <= kept.items() and max(given.values()) == max(
        kept.values()
    )


# What the task must allow.


def check_metric(metric: str, task: Task) -> None:
    """Checks the metric that is to decide which weights are best.

    Args:
        metric: its name.
        task: whose evaluations must have it.

    Raises:
        UserError: there is no such metric; the message names those there are.
    """
    if metric not in task.metrics:
        labels = f" with {len(task.labels)} labels" if task.labels else ""
        raise UserError(
            f"--best_metric={metric}: an evaluation of a {task.name} "
            f"problem{labels} has {', '.join(sorted(task.metrics))}; give "
            "one of these"
        )


def check_class_weight(class_weight: str | None, task: Task) -> None:
    """Checks that there are classes to weigh, if weights are wanted.

    Raises:
        UserError: examples have not one label each.
    """
    if class_weight is not None and not task.has_classes:
        raise UserError(
            f"--class_weight={class_weight} is for problems with one label "
            f"an example; this one is {task.name}. Leave it out"
        )
