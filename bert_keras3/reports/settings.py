"""Settings of reports, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.safekeeping.settings import flag

LANGUAGES = ("en", "zh")


@dataclasses.dataclass(frozen=True)
class ReportLanguage:
    """What a report is written in."""

    report_language: str = flag(
        LANGUAGES[0],
        "Language of the report: en for English, zh for Chinese.",
        group="Output files",
        choices=LANGUAGES,
    )


@dataclasses.dataclass(frozen=True)
class ReportFlags(ReportLanguage):
    """Whether and how a job reports on itself."""

    report: bool = flag(
        True,
        "Write report.html in --output_dir after a training or an evaluation: "
        "a page for a browser that shows how good the model is, where it is "
        "wrong, whether the data is sound, and how the training went.",
        group="Output files",
        needs=("do_train", "do_eval"),
    )
