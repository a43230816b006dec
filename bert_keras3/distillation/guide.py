"""What a fine-tuning job learns from a teacher: `finetuning.objective.Guide`.

loss = label_weight · loss of the task
     + logits_weight · divergence from the teacher's probabilities
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.distillation.layers import CHOICES, layers_of, with_layers
from bert_keras3.distillation.loss import IS_LABELLED, DistillationLoss
from bert_keras3.distillation.settings import TOP, UNIFORM, DistillationSettings
from bert_keras3.distillation.student import Student
from bert_keras3.distillation.teacher import Teacher
from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.dataset import Dataset, Source
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.objective import Objective, columns_of
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import CSV, DataChoices, Job
from bert_keras3.finetuning.task import Examples, Task
from bert_keras3.inputs.feature_store import Column, joined
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import Session
from modeling import BertWithHeads


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
        # The teacher's layer for each of the student's.
        self._mapping: tuple[int, ...] = ()
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
        student = self._student(checkpoint)
        if self._settings.hidden_weight or self._settings.attention_weight:
            self._mapping = layers_of(
                "layer_mapping",
                self._settings.layer_mapping,
                student.config.num_hidden_layers,
                self._checkpoint.config.num_hidden_layers,
                (UNIFORM, TOP),
            )
        if self._settings.attention_weight:
            self._check_heads(student)
        return student

    def _check_heads(self, student: Checkpoint) -> None:
        mine, theirs = (
            one.config.num_attention_heads
            for one in (student, self._checkpoint)
        )
        if mine != theirs:
            raise UserError(
                f"--attention_weight={self._settings.attention_weight:g}: the "
                f"student has {mine} attention heads and the teacher {theirs}; "
                "maps are compared head by head. Leave it out"
            )

    def _student(self, checkpoint: Checkpoint) -> Checkpoint:
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
            student = Student(model, self._checkpoint.config, job.training.seed)
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
        # What is compared beside them needs the whole teacher in each step.
        online = settings.online or settings.compared
        stored = settings.logits_weight > 0 and not online
        return Objective(
            student,
            DistillationLoss(settings, task, teacher, self._mapping),
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
        return {
            **values,
            "layer_mapping": [*self._mapping],
            "teacher": teacher.weights,
        }
