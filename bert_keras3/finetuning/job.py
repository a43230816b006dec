"""One fine-tuning job from files to files: train, evaluate, predict.

    checkpoint ─▶ files ─▶ checks ─▶ encode ─▶ train or load ─▶ answer ─▶ write

Everything that can be wrong is found before the output folder is touched,
but for what only training can show.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.checkpointing.labels import read_labels
from bert_keras3.finetuning import checks, run_folder
from bert_keras3.finetuning.datasets import (
    Dataset,
    Source,
    find_dataset,
    reopen_rows,
)
from bert_keras3.finetuning.encoding import EncodedFile, TextEncoder, encode
from bert_keras3.finetuning.heldout import check_fraction, hold_out
from bert_keras3.finetuning.lora import add_lora
from bert_keras3.finetuning.run_folder import RunFolder, RunSettings, new_model
from bert_keras3.finetuning.settings import FinetuningSettings
from bert_keras3.finetuning.task import Evaluation, Examples, LabelSource
from bert_keras3.finetuning.tasks import TASKS, AnyTask, TaskType
from bert_keras3.finetuning.training import (
    data_checksum,
    steps_of,
    with_class_weights,
)
from bert_keras3.inputs.columns import Columns
from bert_keras3.inputs.feature_store import INPUT_MASK
from bert_keras3.inputs.report import num_shared
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.computing import computing_in, make_deterministic
from bert_keras3.training.predict import Predictor
from bert_keras3.training.screen import Screen
from bert_keras3.training.session import Session, open_session
from bert_keras3.training.state import read_numbers, refuse_another_training
from modeling import BertWithHeads

# Lengths of batches are multiples of this where each is compiled for itself.
_LENGTH_STEP = 32

# New for every task, so a checkpoint may lack them or have other ones.
_HEAD = ("output_weights$", "output_bias$")

# What a model with one head reads.
_MODEL_INPUTS = ("input_ids", INPUT_MASK, "segment_ids")


def run(job: FinetuningSettings, screen: Screen) -> None:
    """Does a job.

    Args:
        job: what is to be done.
        screen: where to show it.

    Raises:
        UserError: something that was given is wrong; nothing that was there
            before has been overwritten.
    """
    with open_session(job.output_dir, job.distribution, screen) as session:
        folder = RunFolder(session.folder)
        checks.check_flags(job)
        checks.check_folder(job, folder)
        session.devices.check(job.training)
        with session.own_folder():
            scratch = folder / run_folder.SCRATCH
            shutil.rmtree(scratch, ignore_errors=True)  # of a killed run
            try:
                _Job(job, folder, session).go()
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class _Ready:
    """A model with its weights, and the examples that it is for."""

    model: BertWithHeads
    task: AnyTask
    dev: Examples | None
    """To evaluate on, if that is wanted."""
    test: Examples | None
    """To predict, if that is wanted."""


class _Job:
    """One job while it runs."""

    def __init__(
        self, job: FinetuningSettings, folder: RunFolder, session: Session
    ) -> None:
        self._job = job
        self._folder = folder
        self._session = session
        self._say = session.screen.say
        # What was found out about each file, for the data report.
        self._report: dict[str, dict[str, Any]] = {}

    def go(self) -> None:
        """Gets a model ready, and its answers."""
        job, folder = self._job, self._folder
        given = job.encoder.init_checkpoint is not None
        if job.do_train:
            ready = self._train()
        elif not folder.holds_a_model or (job.overwrite_output_dir and given):
            ready = self._take_checkpoint()
        else:
            ready = self._open_folder()
        if not self._session.devices.is_chief:
            return
        predictor = self._predictor(ready.model)
        if ready.dev is not None:
            self._evaluate(ready.task, predictor, ready.dev)
        if ready.test is not None:
            self._predict(ready.task, predictor, ready.test)

    # The model is trained.

    def _train(self) -> _Ready:
        """Trains a model, or goes on with a training that was stopped."""
        job, folder, training = self._job, self._folder, self._job.training
        checkpoint = self._open_checkpoint()
        checkpoint.check_encoder(job.encoder.allow_missing)
        encoder = self._text_encoder(checkpoint)
        dataset = find_dataset(job.data)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, {"task_name": dataset.name})
        sources = self._sources(dataset)
        if job.do_eval and "dev" not in sources:
            check_fraction(job.data.dev_fraction)
        source = sources["train"]
        self._show(source)
        task_type, why = dataset.task(source)
        self._say(f"problem: {task_type.name} ({why})")
        best_metric = (
            training.best_metric or dataset.metric or task_type.default_metric
        )
        checks.check_metric(best_metric, task_type)
        checks.check_class_weight(training.class_weight, task_type)

        file = self._encode(source, encoder, "train", task_type, dataset.labels)
        task = file.task
        self._say(f"labels: {', '.join(task.labels)}")
        checks.check_metric(best_metric, task_type, len(task.labels))
        settings = self._settings(dataset, task, source, checkpoint)
        if not job.overwrite_output_dir:
            checks.check_same_run(folder, dataclasses.asdict(settings))
        train, dev = self._split(file, sources, encoder)
        num_steps, epoch_ends = steps_of(len(train), training)
        test = None
        if "test" in sources:
            test = self._encode(sources["test"], encoder, "test", task_type)

        make_deterministic(training.seed)
        model = self._new_model(checkpoint, task)
