"""What a fine-tuning job learns from a teacher: `finetuning.objective.Guide`.

The teacher's task is the job's; its logits for each row are columns of the row,
computed before the first step, or it is computed in every step.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.distillation.loss import IS_LABELLED, DistillationLoss
from bert_keras3.distillation.pair import Pair
from bert_keras3.distillation.student import Student
from bert_keras3.distillation.teacher import Teacher
from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.dataset import Dataset, Source
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.objective import Objective, columns_of
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import CSV, DataChoices, Job
from bert_keras3.finetuning.task import Task
from bert_keras3.inputs.feature_store import Column, joined
from bert_keras3.training.session import Session
from modeling import BertWithHeads


class TaskGuide:
    """The teacher of a fine-tuning job."""

    def __init__(self, job: Job, pair: Pair) -> None:
        """Takes the settings of the job, and the teacher."""
        self._job = job
        self._settings = pair.settings
        self._pair = pair

    # `Guide`.

    def start(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Guide`."""
        return self._pair.start(checkpoint)

    def task(self, dataset: Dataset) -> Task:
        """See `Guide`."""
        return dataset.task_of(self._pair.teacher)

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
        job: Job,
        task: Task,
        model: BertWithHeads,
        examples: Examples,
        unlabelled: Examples | None,
    ) -> Objective:
        """See `Guide`."""
        settings = self._settings
        precision = job.training.computing.mixed_precision
        with session.making_model(precision):
            teacher = Teacher.load(self._pair.teacher, task)
            student = Student(
                model, self._pair.teacher.config, job.training.seed
            )
        teacher.model.unpad = job.unpad
        columns: tuple[str, ...] = ()
        if unlabelled is not None:
            # The scratch folder is that of all trainings of a search.
            scratch = session.output_dir / run_folder.SCRATCH / "joined"
            path = scratch / folder.path.name
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
        kept = session.output_dir / run_folder.TEACHER
        if settings.teacher_answers is not None:
            kept = pathlib.Path(settings.teacher_answers)
        return Objective(
            student,
            DistillationLoss(settings, task, teacher, self._pair.mapping),
            examples,
            (*columns_of(task, examples), *columns),
            teacher.columns if stored else {},
            (lambda: teacher.answers(examples.store, kept, job.concurrency))
            if stored
            else None,
            self._pair.identity(teacher),
        )
