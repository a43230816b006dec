r"""Fine-tunes, evaluates and applies a BERT that answers questions on texts.

    python run_squad.py --do_train --do_eval --do_predict \
        --train_file=train-v2.0.json --predict_file=dev-v2.0.json \
        --init_checkpoint=uncased_L-12_H-768_A-12 --output_dir=out
    python run_squad.py --do_predict --predict_file=new.csv --output_dir=out

An answer is a stretch of the text. Files are in the form of SQuAD 1.1 or 2.0,
of CMRC 2018, or CSV with the columns context, question and answer. The second
command writes out/predictions.json and out/nbest_predictions.json.

Command lines for run_squad.py of google-research/bert work unchanged.
"""

from __future__ import annotations

from bert_keras3.batch_inference.settings import PredictionFlags
from bert_keras3.commands import entry, flags
from bert_keras3.commands.fine_tuning import run_job
from bert_keras3.finetuning.settings import ExportFlags
from bert_keras3.finetuning.span_settings import OriginalFlags, QuestionJob
from bert_keras3.reports.settings import ReportFlags
from bert_keras3.training.settings import TpuFlags

COMMAND = flags.Command(
    __doc__,
    QuestionJob,
    ReportFlags,
    ExportFlags,
    PredictionFlags,
    TpuFlags,
    OriginalFlags,
)


def main() -> None:
    """Runs the job of the flags."""
    run_job(COMMAND, QuestionJob)


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
