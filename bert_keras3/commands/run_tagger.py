r"""Fine-tunes, evaluates and applies a BERT tagger: names, terms, entities.

    python run_tagger.py --do_train --do_eval --train_file=train.conll \
        --init_checkpoint=cased_L-12_H-768_A-12 --output_dir=out
    python run_tagger.py --do_predict --test_file=new.conll --output_dir=out

train.conll has a token a line with its tag in the last column, and a blank
line behind each sentence; JSON lines and CSV files of texts with marked spans
are read as well. The second command writes the file again with what was
found, as out/predictions.conll (.jsonl, .csv).
"""

from __future__ import annotations

from bert_keras3.batch_inference.settings import PredictionFlags
from bert_keras3.commands import entry, flags
from bert_keras3.commands.fine_tuning import run_job
from bert_keras3.finetuning.settings import ExportFlags
from bert_keras3.finetuning.tagging_settings import TaggerJob
from bert_keras3.reports.settings import ReportFlags
from bert_keras3.training.settings import TpuFlags

COMMAND = flags.Command(
    __doc__, TaggerJob, ReportFlags, ExportFlags, PredictionFlags, TpuFlags
)


def main() -> None:
    """Runs the job of the flags."""
    run_job(COMMAND, TaggerJob)


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
