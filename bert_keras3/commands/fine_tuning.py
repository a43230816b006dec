"""Runs a fine-tuning job from flags: what run_classifier and its kin share."""

from __future__ import annotations

import os
from typing import cast

from bert_keras3.batch_inference.devices import DeviceChoices
from bert_keras3.batch_inference.settings import PredictionFlags
from bert_keras3.commands import entry, flags
from bert_keras3.finetuning.settings import ExportFlags, Job, LabelledJob
from bert_keras3.parallel_work.pipelines import local_processes, require_beam
from bert_keras3.parallel_work.settings import check_runner
from bert_keras3.reports.settings import ReportFlags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.environment import load_tensorflow


def run_job(command: flags.Command, kind: type[Job]) -> None:
    """Runs the job, and exports the model with --do_export.

    Args:
        command: whose flags are parsed.
        kind: the class of the job's settings.
    """
    job = command.read(kind)
    beyond = command.read(PredictionFlags)
    check_runner(beyond)
    if beyond.runner is not None:
        _predict_shards(command, job, beyond)
        return
    is_job = job.do_train or job.do_eval or job.do_predict
    if is_job or job.finds_label_errors or not command.values.do_export:
        job = entry.with_device_defaults(job, command)
        _run(job, command.read(ReportFlags))
    if command.values.do_export:
        _export(command.read(ExportFlags), os.fspath(job.output_dir))


def _run(job: Job, reporting: ReportFlags) -> None:
    from bert_keras3.commands.screen import Screen

    if job.finds_label_errors:
        from bert_keras3.finetuning.label_errors import find_label_errors

        find_label_errors(cast(LabelledJob, job), Screen())
    elif job.search.wanted:
        from bert_keras3.finetuning.search import run_search

        run_search(job, Screen())
        report(reporting, job.output_dir)
    else:
        from bert_keras3.finetuning.job import run

        is_chief = run(job, Screen())
        if is_chief and (job.do_train or job.do_eval):
            report(reporting, job.output_dir)


def report(wanted: ReportFlags, folder: str | os.PathLike[str]) -> None:
    """Writes the report on a finished job, if it is wanted.

    A report that cannot be made is a warning: the results are written already.

    Args:
        wanted: whether and how.
        folder: of the job.
    """
    if not wanted.report:
        return
    from bert_keras3.commands.screen import Screen

    screen = Screen()
    try:
        from bert_keras3.reports.job import run

        run([folder], wanted, screen)
    except Exception as error:  # noqa: BLE001
        what = " ".join(str(error).split()) or type(error).__name__
        screen.say(f"warning: no report was written: {what}")


def _predict_shards(
    command: flags.Command, job: Job, beyond: PredictionFlags
) -> None:
    for name in ("do_train", "do_eval", "do_export"):
        if command.values[name].value:
            raise UserError(
                f"--{name} and --runner={beyond.runner}: the runner predicts "
                "alone; give another command before it without --runner"
            )
    require_beam(str(beyond.runner))
    given = command.values
    processes = local_processes(str(beyond.runner), beyond.runner_options)
    devices = DeviceChoices(given.mixed_precision, given.concurrency, processes)
    # It may compute in this process, which passes its environment on if not.
    load_tensorflow(devices.threads if processes is None else None)
    from bert_keras3.batch_inference.predictions import predict_shards
    from bert_keras3.commands.screen import Screen

    predict_shards(job, devices, beyond, Screen())


def _export(wanted: ExportFlags, model_dir: str) -> None:
    load_tensorflow()
    from bert_keras3.commands.screen import Screen
    from bert_keras3.serving.exporter import export

    export_dir = wanted.export_dir or os.path.join(model_dir, "export")
    folder = export(model_dir, export_dir, quantize=wanted.quantize)
    Screen().say(f"exported: {folder}")
