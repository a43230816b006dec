"""Folders of runs → the page of one of them, or of their comparison."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from bert_keras3.finetuning.run_folder import REPORT
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.report import report_page
from bert_keras3.reports.wording import Wording
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from bert_keras3.training.session import Screen


def run(
    folders: Sequence[str | os.PathLike[str]], language: str, screen: Screen
) -> None:
    """Writes `report.html` in the folder of a run.

    Args:
        folders: of runs.
        language: one of `settings.LANGUAGES`.
        screen: where to print.

    Raises:
        UserError: a folder has no run, or a file of it is damaged.
    """
    if not folders:
        raise UserError(
            "name the --output_dir of a run: python -m reports output_dir"
        )
    record = RunRecord.open(folders[0])
    page = report_page(record, Wording(language))
    _write(record.folder / REPORT, page, screen)


def report_on(
    folder: str | os.PathLike[str], language: str, screen: Screen
) -> None:
    """Does so at the end of a job, which must not fail by it.

    Args:
        folder: of the job.
        language: one of `settings.LANGUAGES`.
        screen: where to print, also what went wrong.
    """
    try:
        run([folder], language, screen)
    # The results are written already, whatever is wrong with their picture.
    except Exception as error:  # noqa: BLE001
        what = " ".join(str(error).split()) or type(error).__name__
        screen.say(f"warning: no report was written: {what}")


def _write(path: pathlib.Path, page: str, screen: Screen) -> None:
    with atomic_write(path) as file:
        # Lone surrogates, which some files of texts have.
        file.write(page.encode("utf-8", "replace").decode("utf-8"))
    screen.say(f"report: {path}")
