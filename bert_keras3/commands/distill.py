r"""Trains a smaller BERT that learns from a trained one.

    python distill.py --do_train --do_eval --teacher=out \
        --num_student_layers=3 --train_file=tickets.csv --output_dir=small
    python run_classifier.py --do_predict --test_file=new.csv \
        --output_dir=small

The teacher is the --output_dir of run_classifier, run_squad or run_tagger, a
SavedModel exported from one, or a fine-tuned checkpoint. The flags are those of
the script that trained it, and --teacher=FOLDER --help lists them; the student
is an ordinary run of that script. With --input_file, records of raw text, the
teacher may be a pretrained model, and the flags are those of run_pretraining.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
import sys
from collections.abc import Sequence

from bert_keras3.checkpointing.architectures import FINE_TUNED
from bert_keras3.checkpointing.json_file import read_json
from bert_keras3.commands import entry, flags
from bert_keras3.commands.fine_tuning import report
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.finetuning.settings import Job, LabelledJob
from bert_keras3.finetuning.span_settings import QuestionJob
from bert_keras3.finetuning.tagging_settings import TaggerJob
from bert_keras3.pretraining.settings import Job as PretrainingJob
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.reports.settings import ReportFlags
from bert_keras3.training.settings import TpuFlags

# By the task of the teacher.
_KINDS: dict[str, type[Job]] = {"span": QuestionJob, "tagging": TaggerJob}

COMMAND = flags.Command(
    __doc__, DistillationSettings, LabelledJob, ReportFlags, TpuFlags
)
# With --input_file.
_FROM_TEXT = flags.Command(
    __doc__,
    DistillationSettings,
    PretrainingJob,
    TpuFlags,
    needs={"masked_lm_prob": ("masking",)},
)


def main(command: flags.Command, kind: type[Job]) -> None:
    """Runs the job of the flags.

    Args:
        command: whose flags are parsed.
        kind: the class of the job's settings.
    """
    settings = command.read(DistillationSettings)
    job = entry.with_device_defaults(command.read(kind), command)
    from bert_keras3.commands.screen import Screen
    from bert_keras3.distillation.job import distill

    if distill(job, settings, Screen()):
        report(command.read(ReportFlags), job.output_dir)


def main_from_text() -> None:
    """Runs the general stage."""
    job = _FROM_TEXT.read(PretrainingJob)
    if _FROM_TEXT.values.masking is not None:
        masking = _FROM_TEXT.read(MaskingSettings)
        job = dataclasses.replace(job, masking=masking)
    job = entry.with_device_defaults(job, _FROM_TEXT)
    from bert_keras3.commands.screen import Screen
    from bert_keras3.distillation.general import distill_from_text

    distill_from_text(job, _FROM_TEXT.read(DistillationSettings), Screen())


def _value_among(arguments: Sequence[str], flag: str) -> str | None:
    """Returns the value of a flag that decides what other flags there are."""
    for argument, following in itertools.zip_longest(arguments, arguments[1:]):
        name, equals, value = argument.partition("=")
        if name.lstrip("-") == flag and name.startswith("-"):
            return value if equals else following or ""
    return None


def _problem_of(teacher: pathlib.Path) -> str | None:
    """Returns the task of a trained model, if a file of its folder names it.

    The whole checkpoint is opened later, with TensorFlow.
    """
    folder = teacher if teacher.is_dir() else teacher.parent
    # Exports lie one level down.
    for file in (
        folder / "classifier.json",
        *sorted(folder.glob("*/classifier.json")),
    ):
        if file.is_file():
            return str(read_json(file).get("problem"))
    if not (folder / "config.json").is_file():
        return None
    stated = read_json(folder / "config.json").get("architectures") or [""]
    architecture = str(stated[0])
    return next(
        (
            name
            for name, row in FINE_TUNED.items()
            if architecture.endswith(row.ending)
        ),
        None,
    )


def command() -> None:
    """Runs the command with the arguments of the process."""
    arguments = sys.argv[1:]
    if _value_among(arguments, "input_file") is not None:
        entry.run(main_from_text, _FROM_TEXT)

    def parse_and_run() -> None:
        teacher = _value_among(arguments, "teacher")
        problem = _problem_of(pathlib.Path(teacher)) if teacher else None
        kind = _KINDS.get(problem or "")
        if kind is None:
            entry.run(functools.partial(main, COMMAND, LabelledJob), COMMAND)
        own = flags.Command(
            __doc__, DistillationSettings, kind, ReportFlags, TpuFlags
        )
        entry.run(functools.partial(main, own, kind), own)

    entry.exit_after(parse_and_run)
