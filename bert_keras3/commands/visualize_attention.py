r"""Shows what each attention head of a model looks at in a text.

    python visualize_attention.py --init_checkpoint=uncased_L-12_H-768_A-12 \
        --text='The cat sat on the mat because it was tired.'
    python visualize_attention.py --init_checkpoint=out --text='It rained.' \
        --text_pair='The streets are wet.' --input_file=texts.csv \
        --output_file=rain.html

Writes one page for a browser, which needs no network: all layers and heads,
one of them large, for each token where it looks and who looks at it, attention
followed through the layers, and what each head attends to on the texts of a
file. docs/attention.md explains it.
"""

from __future__ import annotations

from bert_keras3.commands import entry, flags
from bert_keras3.explaining.settings import AttentionJob
from bert_keras3.training.environment import load_tensorflow

COMMAND = flags.Command(__doc__, AttentionJob)


def main() -> None:
    """Runs the job."""
    job = COMMAND.read(AttentionJob)
    from bert_keras3.training.concurrency import suitable_threads

    load_tensorflow(suitable_threads(1))
    from bert_keras3.commands.screen import Screen
    from bert_keras3.explaining.attention_job import run

    run(job, Screen())


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
