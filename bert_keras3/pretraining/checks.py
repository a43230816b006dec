"""Flags of a pretraining that are out of range or at odds.

Checked before any file is opened.
"""

from __future__ import annotations

from bert_keras3.checkpointing.formats import FORMATS
from bert_keras3.optimization import OPTIMIZERS
from bert_keras3.pretraining.checkpoint_files import GOOGLE
from bert_keras3.pretraining.model import SENTENCE_QUESTIONS
from bert_keras3.pretraining.settings import Job, TrainingChoices
from bert_keras3.pretraining_data import masking
from bert_keras3.pretraining_data.masking import MaskingSettings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.ranges import Range, check_range
from bert_keras3.training import session
from bert_keras3.training.devices import check_not_distributed
from tokenization.packing import check_max_seq_length

_TRAINING_RANGES = (
    Range("train_batch_size", 1),
    Range("num_train_steps", 1),
    Range("num_warmup_steps", 0),
    Range("gradient_accumulation_steps", 1),
    Range("seed", 0, 2**32 - 1),
    Range("eval_steps", 1),
    Range("save_checkpoints_steps", 1),
    Range("keep_checkpoint_max", 1),
)


def check_job(job: Job) -> None:
    """Checks a job's flags against each other.

    Raises:
        UserError: there is nothing to do, a number is out of its range, or
            two flags contradict each other.
    """
    if not (job.do_train or job.do_eval):
        raise UserError(
            "there is nothing to do: give --do_train or --do_eval, or both"
        )
    if job.sentence_objective not in SENTENCE_QUESTIONS:
        raise UserError(
            f"--sentence_objective={job.sentence_objective} is not known; "
            f"use {', '.join(SENTENCE_QUESTIONS)}"
        )
    check_range(job.eval_batch_size, Range("eval_batch_size", 1))
    check_range(job.max_eval_steps, Range("max_eval_steps", 1))
    check_max_seq_length(job.max_seq_length, job.sentence_objective != "none")
    masking.check_settings(
        job.masking
        or MaskingSettings(max_predictions_per_seq=job.max_predictions_per_seq),
        job.max_seq_length,
    )
    if job.input_file is None and (job.do_train or job.eval_file is None):
        raise UserError(
            "--input_file is missing: name the records to train on"
            + ("" if job.do_train else ", or an --eval_file")
        )
    if job.eval_file is not None and not job.do_eval:
        raise UserError(
            f"--eval_file={job.eval_file} is to be evaluated; add --do_eval, "
            "or leave it out"
        )
    if job.do_train:
        check_training(job.training, do_eval=job.do_eval)
    else:
        check_not_distributed(job.distribution)


def check_training(choices: TrainingChoices, *, do_eval: bool) -> None:
    """Checks how to train.

    Args:
        choices: what the user said.
        do_eval: whether there will be evaluations.

    Raises:
        UserError: a number is out of range, or a flag needs another one.
    """
    for allowed in _TRAINING_RANGES:
        check_range(getattr(choices, allowed.name), allowed)
    session.check_training(choices, do_eval=do_eval)
    if choices.optimizer not in OPTIMIZERS:
        raise UserError(
            f"--optimizer={choices.optimizer} is not known; use "
            f"{', '.join(OPTIMIZERS)}"
        )
    if choices.checkpoint_format not in FORMATS:
        raise UserError(
            f"--checkpoint_format={choices.checkpoint_format} is not known; "
            f"use {', '.join(FORMATS)}"
        )
    if choices.with_optimizer and choices.checkpoint_format != GOOGLE:
        raise UserError(
            f"--with_optimizer: --checkpoint_format="
            f"{choices.checkpoint_format} has no place for the optimiser's "
            "slots; only google has"
        )
