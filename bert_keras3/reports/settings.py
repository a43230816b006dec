"""Settings of reports, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bert_keras3.safekeeping.settings import flag

LANGUAGES = ("en", "zh")


def _reasons(default: int) -> Any:
    return flag(
        default,
        "Number of mistakes, and of least sure predictions, for which the "
        "report says which tokens made them, by some forward and backward "
        "passes each. 0 for none.",
        group="Output files",
        least=0,
    )


@dataclasses.dataclass(frozen=True)
class ReportChoices:
    """What a report is written in, and what it computes."""

    report_language: str = flag(
        LANGUAGES[0],
        "Language of the report: en for English, zh for Chinese.",
        group="Output files",
        choices=LANGUAGES,
    )
    report_reasons: int = _reasons(20)


@dataclasses.dataclass(frozen=True)
class ReportFlags(ReportChoices):
    """Whether and how a job reports on itself."""

    report: bool = flag(
        True,
        "Write report.html in --output_dir after a training or an evaluation: "
        "a page for a browser that shows how good the model is, where it is "
        "wrong, whether the data is sound, and how the training went.",
        group="Output files",
        needs=("do_train", "do_eval"),
    )
    # A short training should not wait for it.
    report_reasons: int = _reasons(0)
