r"""Fine-tunes, evaluates and applies a BERT classifier of texts or text pairs.

    python run_classifier.py --do_train --do_eval --train_file=tickets.csv \
        --init_checkpoint=uncased_L-12_H-768_A-12 --output_dir=out
    python run_classifier.py --do_predict --test_file=new.csv --output_dir=out

tickets.csv is a file of your own with a column of texts and one of labels. The
pretrained model is a folder or, as here, the name of one that Google published,
which is downloaded. The second command writes out/predictions.csv.

Command lines for run_classifier.py of google-research/bert work unchanged.
"""

from __future__ import annotations

import os

from bert_keras3.commands import entry, flags
from bert_keras3.finetuning.settings import ExportFlags, LabelledJob
from bert_keras3.training.settings import TpuFlags

COMMAND = flags.Command(__doc__, LabelledJob, ExportFlags, TpuFlags)


def main() -> None:
    """Runs the job, and exports the model with --do_export."""
    job = COMMAND.read(LabelledJob)
    is_job = job.do_train or job.do_eval or job.do_predict
    if is_job or not COMMAND.values.do_export:
        job = entry.with_device_defaults(job, COMMAND)
        from bert_keras3.commands.screen import Screen
        from bert_keras3.finetuning.job import run

        run(job, Screen())
    if COMMAND.values.do_export:
        _export(COMMAND.read(ExportFlags), os.fspath(job.output_dir))


def _export(wanted: ExportFlags, model_dir: str) -> None:
    entry.load_tensorflow()
    from bert_keras3.commands.screen import Screen
    from bert_keras3.serving.exporter import export

    export_dir = wanted.export_dir or os.path.join(model_dir, "export")
    folder = export(model_dir, export_dir, quantize=wanted.quantize)
    Screen().say(f"exported: {folder}")


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
