"""Trains a student: a fine-tuning job that learns from a teacher, too.

The student is an ordinary run of `run_classifier.py`, `run_squad.py` or
`run_tagger.py` afterwards.
"""

from __future__ import annotations

import dataclasses
import pathlib

from bert_keras3.distillation.pair import Pair, check_pair, check_remat
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.distillation.task_stage import TaskGuide
from bert_keras3.finetuning import job as finetuning
from bert_keras3.finetuning.search import run_search
from bert_keras3.finetuning.settings import Job
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import Screen


def distill(job: Job, settings: DistillationSettings, screen: Screen) -> bool:
    """Trains a student or several, and evaluates or predicts with the best.

    Args:
        job: the student's training; what it says of a checkpoint, a
            configuration or a vocabulary is the student's.
        settings: the teacher, and what is learnt from it.
        screen: where to print.

    Returns:
        Whether this process wrote the results: that of several which is the
        chief.

    Raises:
        UserError: a flag or file is wrong; no existing file has been
            overwritten.
    """
    _check(job, settings)
    encoder = job.encoder
    pair = Pair(settings, encoder.vocab_file, encoder.do_lower_case)
    if settings.num_student_layers is not None:
        encoder = dataclasses.replace(encoder, init_checkpoint=settings.teacher)
    if encoder.max_seq_length is None:
        encoder = dataclasses.replace(
            encoder, max_seq_length=pair.teacher.max_seq_length
        )
    if encoder.init_checkpoint is None:
        encoder = dataclasses.replace(
            encoder,
            vocab_file=pair.vocab_file,
            do_lower_case=pair.teacher.do_lower_case,
        )
    job = dataclasses.replace(job, encoder=encoder)
    guide = TaskGuide(job, pair)
    if job.search.wanted:
        run_search(job, screen, guide)
        return True
    return finetuning.run(job, screen, guide)


def _check(job: Job, settings: DistillationSettings) -> None:
    """Checks flags against each other.

    Raises:
        UserError: there is no student, or nothing to learn.
    """
    if not job.do_train:
        raise UserError(
            "there is no --do_train: a student is only trained here. "
            "run_classifier, run_squad or run_tagger evaluates it and predicts "
            "with it"
        )
    if job.finds_label_errors:
        raise UserError(
            "--find_label_errors: is for a training without a teacher; "
            "run_classifier has it"
        )
    check_pair(settings, job.encoder)
    of_teacher = settings.logits_weight or settings.compared
    if settings.unlabelled_file is not None and not of_teacher:
        raise UserError(
            f"--unlabelled_file={settings.unlabelled_file}: nothing is learnt "
            "from it with --logits_weight=0 and no other weight"
        )
    answers = settings.teacher_answers
    if answers is not None and pathlib.Path(answers).is_file():
        raise UserError(
            f"--teacher_answers={answers}: is a file; give a folder, which "
            "need not exist yet"
        )
    check_remat(settings, job.training.computing)
    if settings.unlabelled_file and job.training.computing.jit_compile:
        raise UserError(
            "--jit_compile and --unlabelled_file: XLA needs to know how many "
            "examples of a batch have labels; leave one out"
        )
