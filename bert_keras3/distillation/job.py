"""Trains a student: a fine-tuning job that learns from a teacher, too.

The student is an ordinary run of `run_classifier.py`, `run_squad.py` or
`run_tagger.py` afterwards.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.distillation.guide import DistillationGuide
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.finetuning import job as finetuning
from bert_keras3.finetuning.settings import Job
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.session import Screen


def distill(job: Job, settings: DistillationSettings, screen: Screen) -> None:
    """Trains a student, and evaluates it or predicts with it.

    Args:
        job: the student's training; what it says of a checkpoint, a
            configuration or a vocabulary is the student's.
        settings: the teacher, and what is learnt from it.
        screen: where to print.

    Raises:
        UserError: a flag or file is wrong; no existing file has been
            overwritten.
    """
    _check(job, settings)
    guide = DistillationGuide(job, settings)
    encoder = job.encoder
    if settings.num_student_layers is not None:
        encoder = dataclasses.replace(encoder, init_checkpoint=settings.teacher)
    if encoder.max_seq_length is None:
        encoder = dataclasses.replace(
            encoder, max_seq_length=guide.max_seq_length
        )
    if encoder.init_checkpoint is None:
        encoder = dataclasses.replace(
            encoder,
            vocab_file=guide.vocab_file,
            do_lower_case=guide.do_lower_case,
        )
    finetuning.run(dataclasses.replace(job, encoder=encoder), screen, guide)


def _check(job: Job, settings: DistillationSettings) -> None:
    """Checks flags against each other.

    Raises:
        UserError: there is no student, or nothing to learn.
    """
    check_ranges(settings)
    if not job.do_train:
        raise UserError(
            "there is no --do_train: a student is only trained here. "
            "run_classifier, run_squad or run_tagger evaluates it and predicts "
            "with it"
        )
    encoder = job.encoder
    of_its_own = {
        "init_checkpoint": encoder.init_checkpoint,
        "bert_config_file": encoder.bert_config_file,
    }
    given = {name: one for name, one in of_its_own.items() if one is not None}
    if settings.num_student_layers is None and not given:
        raise UserError(
            "there is no student: give --num_student_layers for one with "
            "layers of the teacher, or its --init_checkpoint, or its "
            "--bert_config_file for random weights"
        )
    if settings.num_student_layers is not None and given:
        name, value = next(iter(given.items()))
        raise UserError(
            f"--num_student_layers={settings.num_student_layers} and "
            f"--{name}={value}: the student begins with layers of the teacher, "
            "or with a checkpoint of its own. Leave one out"
        )
    of_teacher = settings.logits_weight or settings.compared
    if not (settings.label_weight or of_teacher):
        raise UserError(
            "all weights of the loss, --label_weight and so on, are 0, so "
            "there is nothing to learn"
        )
    if settings.unlabelled_file is not None and not of_teacher:
        raise UserError(
            f"--unlabelled_file={settings.unlabelled_file}: nothing is learnt "
            "from it with --logits_weight=0 and no other weight"
        )
    if settings.attention_weight and job.training.computing.remat:
        raise UserError(
            "--remat and --attention_weight: attention maps cannot be "
            "recomputed in the backward pass; leave one out"
        )
    if settings.unlabelled_file and job.training.computing.jit_compile:
        raise UserError(
            "--jit_compile and --unlabelled_file: XLA needs to know how many "
            "examples of a batch have labels; leave one out"
        )
