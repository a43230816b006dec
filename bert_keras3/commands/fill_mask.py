r"""Asks a pretrained model: words for [MASK], how likely texts and pairs are.

    python fill_mask.py --init_checkpoint=uncased_L-12_H-768_A-12 \
        --text='Paris is the [MASK] of France.'
    python fill_mask.py --init_checkpoint=uncased_L-12_H-768_A-12 \
        --text='The film was [MASK].' --candidates=wonderful,boring
    python fill_mask.py --init_checkpoint=pretrained --input_file=texts.csv \
        --task=pseudo_likelihood --output_file=scores.csv
    python fill_mask.py --init_checkpoint=pretrained --task=next_sentence \
        --text='It rained all night.' --text_b='The streets were wet.'
    python fill_mask.py --init_checkpoint=pretrained --input_file=train.csv \
        --task=augment --output_file=augmented.csv

Any checkpoint with the pretraining heads will do, such as those that Google
publishes and the --output_dir of run_pretraining. A fine-tuned classifier no
longer has them. docs/fill_mask.md explains the numbers.
"""

from __future__ import annotations

import sys

from bert_keras3.commands import entry, flags
from bert_keras3.mask_filling.settings import Job
from bert_keras3.training.environment import load_tensorflow

COMMAND = flags.Command(__doc__, Job)


def main() -> None:
    """Runs the job."""
    job = COMMAND.read(Job)
    from bert_keras3.training.concurrency import (
        suitable_concurrency,
        suitable_threads,
    )

    load_tensorflow(suitable_threads(suitable_concurrency()))
    from bert_keras3.commands.screen import Screen
    from bert_keras3.mask_filling.job import run

    run(job, Screen(), sys.stdin)


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
