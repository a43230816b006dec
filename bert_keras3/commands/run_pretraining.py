r"""Pretrains BERT or ALBERT: masked language model and sentence pairs.

    python run_pretraining.py --do_train --do_eval \
        --input_file='records/train*.tfrecord' \
        --eval_file=records/held_out.tfrecord \
        --bert_config_file=configs/bert_tiny.json --vocab_file=vocab.txt \
        --num_train_steps=10000 --num_warmup_steps=1000 --output_dir=pretrained
    python run_pretraining.py --do_train --input_file=domain.tfrecord \
        --init_checkpoint=uncased_L-12_H-768_A-12 --num_train_steps=10000 \
        --num_warmup_steps=1000 --output_dir=adapted

The first command starts from random weights, the second from a published model.
create_pretraining_data.py makes the records. run_classifier.py takes the output
folder as --init_checkpoint.

Command lines for run_pretraining.py of google-research/bert work unchanged.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.commands import entry, flags
from bert_keras3.pretraining.settings import Job
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.training.settings import TpuFlags

COMMAND = flags.Command(
    __doc__, Job, TpuFlags, needs={"masked_lm_prob": ("masking",)}
)


def main() -> None:
    """Runs the job."""
    job = COMMAND.read(Job)
    if COMMAND.values.masking is not None:
        masking = COMMAND.read(MaskingSettings)
        job = dataclasses.replace(job, masking=masking)
    job = entry.with_device_defaults(job, COMMAND)
    from bert_keras3.commands.screen import Screen
    from bert_keras3.pretraining.job import run

    run(job, Screen())


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
