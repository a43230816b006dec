r"""Shows which tokens made a trained model's answers.

    python explain.py --model_dir=out --text='The food was not good at all.'
    python explain.py --model_dir=out --input_file=reviews.csv \
        --output_file=why.html
    python explain.py --model_dir=out --text='Who wrote it?' \
        --text_pair='The book was written by Mary Shelley in 1818.'

For classifiers, also of long texts and with columns beside the text, taggers
(each entity) and models of questions. The answers' logits are taken apart into
what each token gives, by integrated gradients, and the parts sum to what the
words change. docs/explain.md explains it.
"""

from __future__ import annotations

from bert_keras3.commands import entry, flags
from bert_keras3.explaining.settings import ExplainJob
from bert_keras3.training.environment import load_tensorflow

COMMAND = flags.Command(__doc__, ExplainJob)


def main() -> None:
    """Runs the job."""
    job = COMMAND.read(ExplainJob)
    from bert_keras3.training.concurrency import suitable_threads

    load_tensorflow(suitable_threads(1))
    from bert_keras3.commands.screen import Screen
    from bert_keras3.explaining.explanation_job import run

    run(job, Screen())


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
