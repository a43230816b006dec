"""Flags of a pretraining that are out of range or at odds.

Checked before any file is opened.
"""

from __future__ import annotations

from bert_keras3.pretraining.checkpoint_files import GOOGLE
from bert_keras3.pretraining.settings import Job, TrainingChoices
from bert_keras3.pretraining_data import masking
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training import session
from bert_keras3.training.devices import check_not_distributed
from tokenization.packing import check_max_seq_length


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
    check_ranges(job)
    if job.masking is not None and job.masking.strategy == masking.NO_MASKS:
        raise UserError(
            "--masking=none is for create_pretraining_data.py, which then "
            "leaves the masks to this script; name here how they are drawn, "
            "or leave --masking out to take those of the records"
        )
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
    check_ranges(choices)
    session.check_training(choices, do_eval=do_eval)
    if choices.with_optimizer and choices.checkpoint_format != GOOGLE:
        raise UserError(
            f"--with_optimizer: --checkpoint_format="
            f"{choices.checkpoint_format} has no place for the optimiser's "
            "slots; only google has"
        )
