r"""Trains a translator on pairs of texts, evaluates it, translates, exports.

    python create_vocab.py --input_file='train.en,train.de' \
        --output_file=vocab.txt --vocab_size=6000 --nodo_lower_case
    python examples/translate.py --do_train --do_eval \
        --source_file=train.en --target_file=train.de \
        --eval_source_file=val.en --eval_target_file=val.de \
        --bert_config_file=examples/translation_config.json \
        --vocab_file=vocab.txt --output_dir=en_de
    python examples/translate.py --output_dir=en_de < texts.txt
    python examples/translate.py --output_dir=en_de --export_dir=en_de_saved

The first two commands learn a vocabulary and train an encoder and a decoder
from random weights; with --init_checkpoint the encoder starts from a BERT. The
third translates the standard input, a text on each line. docs/translation.md
says more.
"""

from __future__ import annotations

import sys

from bert_keras3.commands import entry, flags
from bert_keras3.training.settings import TpuFlags
from bert_keras3.translation.settings import Job

COMMAND = flags.Command(__doc__, Job, TpuFlags)


def main() -> None:
    """Runs the job."""
    job = entry.with_device_defaults(COMMAND.read(Job), COMMAND)
    from bert_keras3.commands.screen import Screen
    from bert_keras3.translation.job import run

    run(job, Screen(), sys.stdin, sys.stdout)


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
