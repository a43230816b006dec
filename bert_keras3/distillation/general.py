"""The general stage: a student learns from its teacher on raw text.

The text is records of `create_pretraining_data.py`, as for pretraining, and
the student a checkpoint as pretraining writes it, to be fine-tuned or to begin
the task stage with (Jiao et al. 2020, section 3.2; Sanh et al. 2019).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.distillation.loss import DistillationLoss
from bert_keras3.distillation.pair import Pair, check_pair, check_remat
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.distillation.student import Student
from bert_keras3.distillation.teacher import Teacher
from bert_keras3.finetuning.task import Tensors
from bert_keras3.inputs import records
from bert_keras3.pretraining import job as pretraining
from bert_keras3.pretraining.objective import (
    PREDICTIONS_PER_EXAMPLE,
    heads_for,
    sum_of_losses,
)
from bert_keras3.pretraining.settings import Job
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import Screen, Session
from bert_keras3.training.step import LossFunction
from modeling import BertWithHeads
from modeling.losses import (
    NO_PREDICTIONS,
    divergence,
    soft_classification_loss,
)
from modeling.shapes import Tensor


def distill_from_text(
    job: Job, settings: DistillationSettings, screen: Screen
) -> None:
    """Trains a student on records of text.

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
    model = job.model
    pair = Pair(settings, model.vocab_file)
    if settings.num_student_layers is not None:
        model = dataclasses.replace(model, init_checkpoint=settings.teacher)
    elif model.init_checkpoint is None:
        model = dataclasses.replace(model, vocab_file=pair.vocab_file)
    job = dataclasses.replace(job, model=model)
    pretraining.run(job, screen, GeneralGuide(job, pair))


def _check(job: Job, settings: DistillationSettings) -> None:
    check_pair(settings, job.model)
    check_remat(settings, job.training.computing)
    if not job.do_train:
        raise UserError(
            "there is no --do_train: a student is only trained here. "
            "run_pretraining evaluates it"
        )
    if settings.unlabelled_file is not None:
        raise UserError(
            f"--unlabelled_file={settings.unlabelled_file}: is for the "
            "examples of a task, and --input_file for raw text. Leave one out"
        )
    if settings.teacher_answers is not None:
        raise UserError(
            f"--teacher_answers={settings.teacher_answers}: is for the "
            "examples of a task; on raw text the teacher is computed in every "
            "step. Leave it out"
        )
    if job.training.with_optimizer:
        raise UserError(
            "--with_optimizer: a student is trained with matrices that no "
            "checkpoint has a place for; leave it out"
        )
    if job.do_eval and not (settings.label_weight or settings.logits_weight):
        raise UserError(
            "--do_eval with --label_weight=0 and --logits_weight=0: the "
            "student has no masked-LM head that could be evaluated"
        )


@dataclasses.dataclass(frozen=True)
class MaskedWords:
    """Masked tokens and pairs of sentences; `Taught`.

    Attributes:
        heads: that are trained.
    """

    heads: tuple[str, ...]

    name: ClassVar[str] = "pretraining"
    labels: ClassVar[tuple[str, ...]] = ()
    per_token: ClassVar[tuple[str, ...]] = ()

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """The loss of pretraining."""
        return sum_of_losses(
            outputs,
            features[records.MASKED_LM_IDS],
            features[records.MASKED_LM_WEIGHTS],
            features,
        )

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """The mean over masked tokens, and that over pairs."""
        # [B·P, V] -> [B·P]
        losses = divergence(
            outputs["masked_lm_logits"],
            teacher["masked_lm_logits"],
            temperature,
        )
        weights = ops.reshape(features[records.MASKED_LM_WEIGHTS], (-1,))
        share = features.get(PREDICTIONS_PER_EXAMPLE)
        number = ops.sum(weights) + NO_PREDICTIONS
        if share is not None:
            number = ops.sum(share)
        total = ops.sum(weights * losses) / number
        if "next_sentence_logits" in outputs:
            total += soft_classification_loss(
                outputs["next_sentence_logits"],
                teacher["next_sentence_logits"],
                temperature,
            )
        return total


class GeneralGuide:
    """The teacher of a pretraining job; `pretraining.objective.Guide`."""

    def __init__(self, job: Job, pair: Pair) -> None:
        """Takes the settings of the training, and the teacher.

        Raises:
            UserError: the teacher lacks a head.
        """
        self._job = job
        self._pair = pair
        settings = pair.settings
        heads = heads_for(job.sentence_objective)
        self._of_teacher = heads if settings.logits_weight else ()
        read = settings.label_weight or settings.logits_weight
        self.heads = heads if read else ()
        absent = {*self._of_teacher} - {*pair.teacher.heads}
        if absent:
            raise UserError(
                f"--teacher={settings.teacher}: has no {min(absent)} head, as "
                "many that are published for other uses; give "
                "--logits_weight=0, and --hidden_weight or --attention_weight"
            )

    def start(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Guide`."""
        return self._pair.start(checkpoint)

    def objective(
        self, session: Session, model: BertWithHeads
    ) -> tuple[keras.Model, LossFunction, Mapping[str, Any]]:
        """See `Guide`."""
        pair, training = self._pair, self._job.training
        with session.making_model(training.computing.mixed_precision):
            teacher = Teacher.load(pair.teacher, MaskedWords(self._of_teacher))
            student = Student(model, pair.teacher.config, training.seed)
        loss = DistillationLoss(
            pair.settings, MaskedWords(self.heads), teacher, pair.mapping
        )
        return student, loss, pair.identity(teacher)
