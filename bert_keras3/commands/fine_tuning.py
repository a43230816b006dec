"""Runs a fine-tuning job from flags: what run_classifier and its kin share."""

from __future__ import annotations

import os

from bert_keras3.commands import entry, flags
from bert_keras3.finetuning.settings import ExportFlags, Job


def run_job(command: flags.Command, kind: type[Job]) -> None:
    """Runs the job, and exports the model with --do_export.

    Args:
        command: whose flags are parsed.
        kind: the class of the job's settings.
    """
    job = command.read(kind)
    is_job = job.do_train or job.do_eval or job.do_predict
    if is_job or not command.values.do_export:
        job = entry.with_device_defaults(job, command)
        from bert_keras3.commands.screen import Screen
        from bert_keras3.finetuning.job import run

        run(job, Screen())
    if command.values.do_export:
        _export(command.read(ExportFlags), os.fspath(job.output_dir))


def _export(wanted: ExportFlags, model_dir: str) -> None:
    entry.load_tensorflow()
    from bert_keras3.commands.screen import Screen
    from bert_keras3.serving.exporter import export

    export_dir = wanted.export_dir or os.path.join(model_dir, "export")
    folder = export(model_dir, export_dir, quantize=wanted.quantize)
    Screen().say(f"exported: {folder}")
