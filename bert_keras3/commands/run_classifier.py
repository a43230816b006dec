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

import pathlib

from bert_keras3.batch_inference.settings import PredictionFlags
from bert_keras3.commands import entry, flags
from bert_keras3.commands.fine_tuning import report, run_job
from bert_keras3.finetuning.settings import ExportFlags, LabelledJob
from bert_keras3.reports.settings import ReportFlags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.settings import TpuFlags

# Of the tasks of a collection.
_RESULTS = "*/eval_results.json"

COMMAND = flags.Command(
    __doc__, LabelledJob, ReportFlags, ExportFlags, PredictionFlags, TpuFlags
)


def main() -> None:
    """Runs the job of the flags, or one for each task of a collection."""
    from bert_keras3.inputs.benchmarks import COLLECTIONS

    if COMMAND.values.task_name.lower() in COLLECTIONS:
        _run_collection()
    else:
        run_job(COMMAND, LabelledJob)


def _run_collection() -> None:
    job = COMMAND.read(LabelledJob)
    if COMMAND.values.do_export:
        raise UserError(
            f"--do_export and --task_name={job.data.task_name}: export the "
            "model of each task by itself, with export_saved_model "
            "--model_dir and its folder in --output_dir"
        )
    if job.search.wanted or job.find_label_errors:
        raise UserError(
            f"--search, --num_restarts, --find_label_errors and --task_name="
            f"{job.data.task_name}: give the name of one task"
        )
    job = entry.with_device_defaults(job, COMMAND)
    from bert_keras3.commands.screen import Screen
    from bert_keras3.finetuning.collection import run_collection

    run_collection(job, Screen())
    for results in sorted(pathlib.Path(job.output_dir).glob(_RESULTS)):
        report(COMMAND.read(ReportFlags), results.parent)


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
