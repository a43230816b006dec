"""A teacher, and the student that begins beside it."""

from __future__ import annotations

import dataclasses
from typing import Any

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.distillation.layers import CHOICES, layers_of, with_layers
from bert_keras3.distillation.settings import TOP, UNIFORM, DistillationSettings
from bert_keras3.distillation.teacher import Teacher
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.settings import Computing, ModelChoices


class Pair:
    """The checkpoints of both.

    Attributes:
        settings: given by the user.
        teacher: its checkpoint.
        mapping: the teacher's layer for each of the student's, from 0, once
            the student is known; () if no layers are compared.
    """

    def __init__(
        self,
        settings: DistillationSettings,
        vocab_file: str | None = None,
        do_lower_case: bool | None = None,
    ) -> None:
        """Opens the teacher's files.

        Args:
            settings: given by the user.
            vocab_file: of both, if not the one beside the teacher.
            do_lower_case: whether texts are lower-cased for both, if given.

        Raises:
            UserError: there is no such checkpoint.
        """
        self.settings = settings
        self.teacher = checkpointing.open(
            settings.teacher, vocab_file=vocab_file, do_lower_case=do_lower_case
        )
        self.mapping: tuple[int, ...] = ()

    @property
    def vocab_file(self) -> str | None:
        """The teacher's vocabulary."""
        file = self.teacher.vocab_file
        return None if file is None else str(file)

    def start(self, checkpoint: Checkpoint) -> Checkpoint:
        """Returns what the student starts from.

        Args:
            checkpoint: that of the job's flags.

        Raises:
            UserError: teacher and student do not fit together.
        """
        student = self._student(checkpoint)
        if self.settings.hidden_weight or self.settings.attention_weight:
            self.mapping = layers_of(
                "layer_mapping",
                self.settings.layer_mapping,
                student.config.num_hidden_layers,
                self.teacher.config.num_hidden_layers,
                (UNIFORM, TOP),
            )
        if self.settings.attention_weight:
            self._check_heads(student)
        return student

    def _check_heads(self, student: Checkpoint) -> None:
        mine, theirs = (
            one.config.num_attention_heads for one in (student, self.teacher)
        )
        if mine != theirs:
            raise UserError(
                f"--attention_weight={self.settings.attention_weight:g}: the "
                f"student has {mine} attention heads and the teacher {theirs}; "
                "maps are compared head by head. Leave it out"
            )

    def _student(self, checkpoint: Checkpoint) -> Checkpoint:
        wanted, teacher = self.settings.num_student_layers, self.teacher
        if wanted is not None:
            chosen = layers_of(
                "take_layers",
                self.settings.take_layers,
                wanted,
                teacher.config.num_hidden_layers,
                (*CHOICES,),
            )
            return with_layers(teacher, chosen)
        mine = (checkpoint.vocabulary, checkpoint.do_lower_case)
        if mine != (teacher.vocabulary, teacher.do_lower_case):
            raise UserError(
                f"{checkpoint.source or checkpoint.vocab_file}: has another "
                f"vocabulary than --teacher={teacher.source}, or other case; "
                "both must read the same tokens"
            )
        return checkpoint

    def identity(self, teacher: Teacher) -> dict[str, Any]:
        """Returns what identifies a training with this teacher.

        The examples and the weights to begin with are compared themselves.
        """
        values = dataclasses.asdict(self.settings)
        for name in ("unlabelled_file", "take_layers", "teacher_answers"):
            del values[name]
        values |= {
            "layer_mapping": [*self.mapping],
            "teacher": teacher.weights,
        }
        return {"distillation": values}


def check_pair(settings: DistillationSettings, model: ModelChoices) -> None:
    """Checks the flags about teacher and student.

    Args:
        settings: given by the user.
        model: the student, if it has files of its own.

    Raises:
        UserError: there is no student, or nothing to learn.
    """
    check_ranges(settings)
    of_its_own = {
        "init_checkpoint": model.init_checkpoint,
        "bert_config_file": model.bert_config_file,
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


def check_remat(settings: DistillationSettings, computing: Computing) -> None:
    """Checks that attention maps can be compared.

    Raises:
        UserError: they are not kept.
    """
    if settings.attention_weight and computing.remat:
        raise UserError(
            "--remat and --attention_weight: attention maps cannot be "
            "recomputed in the backward pass; leave one out"
        )
