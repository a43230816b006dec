"""Refuses a run folder that holds something else than what is asked for.

What a folder holds is told by `run_folder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetuning import run_folder
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


def _refuse_foreign_files(folder: RunFolder) -> None:
    for name in (run_folder.EVAL_TEXT, run_folder.TEST_TSV):
        if (folder / name).exists():
            raise UserError(
                f"{folder / name}: is there already, and of no run "
                "of this program. Give another --output_dir, or "
                "--overwrite_output_dir to replace it."
            )
