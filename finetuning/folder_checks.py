"""Refuses a run folder that holds something else than what is asked for.

And one where a run would replace what it reads. What a folder holds is told
by `run_folder`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from finetuning import run_folder
from finetuning.choices import Job
from finetuning.run_folder import RunFolder
from safekeeping.errors import UserError


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
