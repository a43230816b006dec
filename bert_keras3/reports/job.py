"""Folders of runs → the page of one of them, or of their comparison."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from bert_keras3.finetuning.run_folder import COMPARISON
from bert_keras3.reports.comparison import comparison_page
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.report import report_page
from bert_keras3.reports.settings import ReportChoices
from bert_keras3.reports.wording import Wording
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from bert_keras3.training.session import Screen


def run(
    folders: Sequence[str | os.PathLike[str]],
    choices: ReportChoices,
    screen: Screen,
) -> None:
    """Writes `report.html` in the folder of a run, or a comparison of some.

    Args:
        folders: of one run, whose further evaluations have a page each in
            their folders; or of several, whose comparison is written as
            `comparison.html` in the folder of the last.
        choices: how.
        screen: where to print.

    Raises:
        UserError: a folder has no run, or a file of it is damaged.
    """
    if not folders:
        raise UserError(
            "name the --output_dir of a run: python -m reports output_dir"
        )
    wording = Wording(choices.report_language)
    records = [RunRecord.open(folder) for folder in folders]
    if len(records) > 1:
        page = comparison_page(records, wording)
        _write(records[-1].folder / COMPARISON, page, screen)
        return
    records += records[0].further()
    for record in records:
        others = [
            (one.split, os.path.relpath(one.page, record.page.parent))
            for one in records
            if one is not record
        ]
        page = report_page(record, wording, choices.report_reasons, others)
        _write(record.page, page, screen)


def _write(path: pathlib.Path, page: str, screen: Screen) -> None:
    with atomic_write(path) as file:
        # Lone surrogates, which some files of texts have.
        file.write(page.encode("utf-8", "replace").decode("utf-8"))
    screen.say(f"report: {path}")
