"""What a fine-tuning job learns from a teacher: `finetuning.objective.Guide`.

loss = label_weight · loss of the task
     + logits_weight · divergence from the teacher's probabilities
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.distillation.layers import CHOICES, layers_of, with_layers
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.distillation.teacher import PREFIX, Teacher
from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.dataset import Dataset, Source
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.objective import Objective, columns_of
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import CSV, DataChoices, Job
from bert_keras3.finetuning.task import (
    EXAMPLE_WEIGHTS,
    Examples,
    Task,
    Tensors,
)
from bert_keras3.inputs.batches import EXAMPLE
from bert_keras3.inputs.feature_store import Column, joined
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import Session
from modeling import BertWithHeads
from modeling.shapes import Tensor

IS_LABELLED = "is_labelled"
"""Column of a training with unlabelled examples: 1 where there are targets."""


class DistillationGuide:
    """The teacher of a job."""

    def __init__(self, job: Job, settings: DistillationSettings) -> None:
        """Opens the teacher's files.

        Args:
            job: of the training.
            settings: given by the user.

        Raises:
            UserError: there is no such checkpoint.
        """
        self._job = job
        self._settings = settings
        self._checkpoint = checkpointing.open(
            settings.teacher,
            vocab_file=job.encoder.vocab_file,
            do_lower_case=job.encoder.do_lower_case,
        )

    @property
    def max_seq_length(self) -> int | None:
        """The longest input that the teacher was trained with, if known."""
        return self._checkpoint.max_seq_length

    @property
    def vocab_file(self) -> str | None:
        """The teacher's vocabulary."""
        file = self._checkpoint.vocab_file
        return None if file is None else str(file)

    @property
    def do_lower_case(self) -> bool:
        """Whether the teacher's texts are lower-cased."""
        return self._checkpoint.do_lower_case

    # `Guide`.

    def start(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Guide`."""
        wanted, teacher = self._settings.num_student_layers, self._checkpoint
        if wanted is not None:
            chosen = layers_of(
                "take_layers",
                self._settings.take_layers,
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

    def task(self, dataset: Dataset) -> Task:
        """See `Guide`."""
        return dataset.task_of(self._checkpoint)

    def unlabelled(self, settings: RunSettings) -> Source | None:
        """See `Guide`."""
        file = self._settings.unlabelled_file
        if file is None:
            return None
        data: Any = dataclasses.replace(self._job.data, test_file=file)
        if isinstance(data, DataChoices):
            # Of a benchmark, too: the columns of such a file are detected.
            data = dataclasses.replace(data, task_name=CSV, data_dir=None)
        dataset = kind_of(data, settings).find(data, settings)
        return dataset.source("test")

    def objective(
        self,
        session: Session,
        folder: FinetuningFolder,
        task: Task,
        model: BertWithHeads,
        examples: Examples,
        unlabelled: Examples | None,
    ) -> Objective:
        """See `Guide`."""
        job, settings = self._job, self._settings
        precision = job.training.computing.mixed_precision
        with session.making_model(precision):
            teacher = Teacher.load(self._checkpoint, task)
        teacher.model.unpad = job.unpad
        columns: tuple[str, ...] = ()
        if unlabelled is not None:
            path = folder / run_folder.SCRATCH / "joined"
            path.mkdir(parents=True, exist_ok=True)
            store = joined(path, examples.store, unlabelled.store)
            is_labelled = np.arange(len(store)) < len(examples.store)
            examples = dataclasses.replace(
                examples,
                store=store.with_column(
                    IS_LABELLED,
                    Column("int32", stored="uint8"),
                    is_labelled.astype(np.uint8),
                ),
                numbers=np.concatenate(
                    [
                        examples.numbers,
                        examples.store.num_examples + unlabelled.numbers,
                    ]
                ),
            )
            columns = (IS_LABELLED,)
        loss = DistillationLoss(settings, task, teacher)
        stored = settings.logits_weight > 0 and not settings.online
        return Objective(
            model,
            loss,
            examples,
            (*columns_of(task, examples), *columns),
            teacher.columns if stored else {},
            (
                lambda: teacher.answers(
                    examples.store, folder / run_folder.TEACHER, job.concurrency
                )
            )
            if stored
            else None,
            {"distillation": self._identity(teacher)},
        )

    def _identity(self, teacher: Teacher) -> dict[str, Any]:
        values = dataclasses.asdict(self._settings)
        # The examples and the weights to begin with are compared themselves.
        for name in ("teacher", "unlabelled_file", "take_layers"):
            del values[name]
        return {**values, "teacher": teacher.weights}


@dataclasses.dataclass(frozen=True)
class DistillationLoss:
    """The loss of a student: `training.step.LossFunction`.

    Attributes:
        settings: weights of its terms.
        task: of both.
        teacher: of the student.
    """

    settings: DistillationSettings
    task: Task
    teacher: Teacher

    def __call__(
        self, model: BertWithHeads, features: Tensors, training: bool
    ) -> Tensor:
        """Returns the mean loss of a batch, float32."""
        settings = self.settings
        encoded = model.encode(features, training=training)
        outputs = model.logits_of(encoded, features, training)
        total = tf.zeros([])
        if settings.label_weight:
            loss = self._of_labels(outputs, features)
            total += settings.label_weight * loss
        if settings.logits_weight:
            teacher = self._teacher_outputs(features)
            # Weights of classes or examples are the labels' own.
            rest = {
                name: one
                for name, one in features.items()
                if name != EXAMPLE_WEIGHTS
            }
            loss = self.task.soft_loss(
                outputs, teacher, rest, settings.temperature
            )
            total += settings.logits_weight * loss
        return total

    def _teacher_outputs(self, features: Tensors) -> Tensors:
        names = [*self.teacher.columns]
        if names[0] in features:
            return {name.removeprefix(PREFIX): features[name] for name in names}
        encoded = self.teacher.encode(features, ())
        return self.teacher.model.logits_of(encoded, features, False)

    def _of_labels(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Returns the task's loss; unlabelled examples add 0 to the mean."""
        if IS_LABELLED not in features:
            return self.task.loss(outputs, features)
        is_labelled = tf.cast(features[IS_LABELLED], tf.bool)

        def of_labelled() -> Tensor:
            chosen_outputs, chosen = (
                {
                    name: tf.boolean_mask(one, is_labelled)
                    for name, one in values.items()
                }
                for values in (outputs, features)
            )
            if EXAMPLE not in features:
                share = tf.reduce_mean(tf.cast(is_labelled, tf.float32))
                return share * self.task.loss(chosen_outputs, chosen)
            # Examples are numbered anew: 0 2 2 becomes 0 1 1.
            example = chosen[EXAMPLE]
            is_next = tf.cast(example[1:] != example[:-1], example.dtype)
            chosen[EXAMPLE] = tf.concat([[0], tf.cumsum(is_next)], 0)
            number, of_all = (
                tf.cast(one[-1] + 1, tf.float32)
                for one in (chosen[EXAMPLE], features[EXAMPLE])
            )
            share = number / of_all
            return share * self.task.loss(chosen_outputs, chosen)

        return tf.cond(tf.reduce_any(is_labelled), of_labelled, lambda: 0.0)
