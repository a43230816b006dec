"""One pretraining job from files to files: train, evaluate.

Ties the rooms together: the model comes from `starting_point`, records from
`supply`, the loop is in `train`, figures in `evaluation`, and what results is
written by `run_folder` and `checkpoint_files`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

from bert_keras3 import checkpointing
from bert_keras3.pretraining import run_folder
from bert_keras3.pretraining.batches import TrainingMasks
from bert_keras3.pretraining.checkpoint_files import CheckpointFiles
from bert_keras3.pretraining.checks import check_job
from bert_keras3.pretraining.evaluation import example_figures, metrics
from bert_keras3.pretraining.run_folder import RunFolder
from bert_keras3.pretraining.starting_point import (
    ModelChoices,
    find_starting_point,
)
from bert_keras3.pretraining.supply import Supply, open_supply
from bert_keras3.pretraining.train import TrainingChoices, identity_of, train
from bert_keras3.pretraining_data.masking import MaskingSettings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import own_folder
from bert_keras3.training.computing import computing_in
from bert_keras3.training.determinism import make_deterministic
from bert_keras3.training.devices import Devices
from bert_keras3.training.distributions import devices_of
from bert_keras3.training.fit import FitResult
from bert_keras3.training.identity import refuse_another_training
from bert_keras3.training.predict import Predictor
from bert_keras3.training.state import read_numbers

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done, as the flags of `run_pretraining.py` say it."""

    output_dir: str | os.PathLike[str]
    model: ModelChoices
    input_file: str | None = None
    training: TrainingChoices = dataclasses.field(
        default_factory=TrainingChoices
    )
    eval_file: str | None = None
    sentence_objective: str = "nsp"
    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masking: MaskingSettings | None = None
    """How masks are drawn for records that have none; None: they have."""
    skip_corrupt: bool = False
    do_train: bool = False
    do_eval: bool = False
    eval_batch_size: int = 8
    max_eval_steps: int = 100
    overwrite_output_dir: bool = False
    distribution: str = "off"
    """Which devices train: key of `training.distributions.DISTRIBUTIONS`."""
    concurrency: int = 1
    """Parts of a training batch, and batches of an evaluation, that are
    computed at the same time."""


def run(job: Job, say: Say) -> None:
    """Does a job.

    Whatever can be wrong is found before anything is written, but for what
    only training can show.

    Args:
        job: what is to be done.
        say: shows a line.

    Raises:
        UserError: something that was given is wrong; nothing that was there
            before has been overwritten.
    """
    check_job(job)
    with (
        devices_of(job.distribution) as devices,
        devices.folder(job.output_dir) as output_dir,
    ):
        if devices.strategy is not None:
            say(devices.description)
        devices.check(
            job.training.train_batch_size,
            job.training.gradient_accumulation_steps,
            job.training.computing,
        )
        _run(job, RunFolder(output_dir), devices, say)


def _run(job: Job, folder: RunFolder, devices: Devices, say: Say) -> None:
    _check_folder(job, folder)
    # Others may evaluate what is there while it is trained.
    with (
        own_folder(folder.path, "output_dir")
        if job.do_train
        else contextlib.nullcontext()
    ):
        _Run(job, folder, devices, say).go()


def _check_folder(job: Job, folder: RunFolder) -> None:
    """Checks that nothing in the folder would be lost."""
    if folder.path.exists() and not folder.path.is_dir():
        raise UserError(
            f"--output_dir={folder.path}: is a file; give a folder, which "
            "need not exist yet"
        )
    if not job.do_train:
        return
    checkpoint = job.model.init_checkpoint
    if checkpoint is not None and folder.path.exists():
        beside = checkpointing.locate(checkpoint).weights.parent
        if beside.samefile(folder.path):
            raise UserError(
                f"--output_dir={folder.path}: holds the --init_checkpoint, "
                "whose files would be replaced; give another folder"
            )
    foreign = folder.foreign_file()
    if foreign is not None and not job.overwrite_output_dir:
        raise UserError(
            f"{foreign}: is there already, and of no run of this program. "
            "Give another --output_dir, or --overwrite_output_dir to replace "
            "it."
        )


class _Run:
    """One job while it runs: what is known so far."""

    def __init__(
        self, job: Job, folder: RunFolder, devices: Devices, say: Say
    ) -> None:
        self._job = job
        self._folder = folder
        self._devices = devices
        # The others would say the same.
        self._say = say if devices.is_chief else _nothing
        self._eval_supply: Supply | None = None
        self._train_supply: Supply | None = None

    def go(self) -> None:
        job = self._job
        self._start = find_starting_point(self._model_choices())
        self._check_length()
        if job.input_file is not None:
            self._train_supply = self._open("input_file", job.input_file)
        if job.do_eval:
            self._eval_supply = self._open_for_evaluation()
        make_deterministic(job.training.seed)
        computing = job.training.computing
        with (
            self._devices.scope(),
            computing_in(computing.mixed_precision),
        ):
            self._model, report = self._start.make_model(
                job.sentence_objective,
                lazy_embeddings=job.training.lazy_embeddings,
            )
        self._model.bert.encoder.remat = computing.remat
        self._say(report)
        self._predictor = Predictor(
            self._model,
            example_figures,
            concurrency=job.concurrency,
            jit_compile=computing.jit_compile,
        )
        if job.do_train and self._train_supply is not None:
            self._train(self._train_supply)
        if self._eval_supply is not None and self._devices.is_chief:
            self._write_evaluation(self._eval_supply)

    def _model_choices(self) -> ModelChoices:
        """Returns where the weights are; to evaluate, the folder's own."""
        job, folder = self._job, self._folder
        if job.do_train or not folder.holds_a_run:
            if not job.do_train and job.model.init_checkpoint is None:
                raise UserError(
                    f"{folder.path}: has no pretrained model to evaluate. "
                    "Train one with --do_train, or name one with "
                    "--init_checkpoint"
                )
            return job.model
        given = job.model.init_checkpoint
        if given is not None:
            self._say(
                f"note: the model in {folder.path} is evaluated, not "
                f"--init_checkpoint={given}"
            )
        return dataclasses.replace(
            job.model, init_checkpoint=str(folder.path), bert_config_file=None
        )

    def _check_length(self) -> None:
        longest = self._start.config.max_position_embeddings
        if self._job.max_seq_length > longest:
            raise UserError(
                f"--max_seq_length={self._job.max_seq_length}: the model has "
                f"positions for {longest} tokens "
                "(`max_position_embeddings`); give at most that, and make "
                "the records so"
            )

    # Records.

    def _open(self, flag: str, pattern: str) -> Supply:
        job = self._job
        masks = None
        if job.masking is not None:
            masks = TrainingMasks(job.masking, self._start.masking_vocabulary())
        supply = open_supply(
            flag,
            pattern,
            self._start.config,
            max_seq_length=job.max_seq_length,
            max_predictions_per_seq=job.max_predictions_per_seq,
            masks=masks,
            skip_corrupt=job.skip_corrupt,
        )
        self._say(supply.line())
        return supply

    def _open_for_evaluation(self) -> Supply:
        """Returns what is evaluated, and says so if it is trained on."""
        job = self._job
        if job.eval_file is None:
            assert self._train_supply is not None  # as `check_job` saw to
            self._say(
                "note: there is no --eval_file, so the records of "
                "--input_file are evaluated, as in the original; if the "
                "model was trained on them, the figures flatter"
            )
            return self._train_supply
        supply = self._open("eval_file", job.eval_file)
        common = self._num_trained_on(supply)
        if common:
            self._say(
                f"note: {common} of the {len(supply)} records of --eval_file "
                "are also in --input_file; the figures flatter"
            )
        return supply

    def _num_trained_on(self, supply: Supply) -> int:
        if self._train_supply is None:
            return 0
        return supply.num_also_in(self._train_supply)

    # Training.

    def _train(self, supply: Supply) -> None:
        job, folder = self._job, self._folder
        identity = identity_of(self._model, supply, job.training)
        files = CheckpointFiles(
            folder.path,
            self._start.config,
            self._start.tokens,
            self._start.sentence_pieces,
            self._start.do_lower_case,
            format=job.training.checkpoint_format,
            with_optimizer=job.training.with_optimizer,
            keep=job.training.keep_checkpoint_max,
        )
        state = folder / run_folder.STATE
        if job.overwrite_output_dir:
            folder.clear()
            files.remove_all()
        else:
            refuse_another_training(state, identity)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_settings(dataclasses.asdict(job))
        is_new = self._devices.is_chief and not state.exists()
        if self._eval_supply is not None and is_new:
            before = self._evaluate()
            self._say(f"before training: {_shown(before)}")
            folder.write_before(before)
        result = train(
            self._model,
            supply,
            job.training,
            folder,
            files,
            identity=identity,
            evaluate=self._evaluate if job.training.eval_steps else None,
            concurrency=job.concurrency,
            devices=self._devices,
        )
        self._show_result(result)

    def _show_result(self, result: FitResult) -> None:
        resuming = result.resuming(self._folder.path)
        if resuming is not None:
            self._say(resuming)
        self._say(
            f"{result.step} steps done; the model is in {self._folder.path}"
        )

    # Evaluation.

    def _evaluate(self) -> dict[str, float]:
        job, supply = self._job, self._eval_supply
        assert supply is not None
        batch_size = job.eval_batch_size
        figures = self._predictor(
            supply.evaluation_batches(batch_size, job.max_eval_steps),
            min(len(supply), batch_size * job.max_eval_steps),
        )["figures"]
        return metrics(figures, batch_size, job.sentence_objective)

    def _write_evaluation(self, supply: Supply) -> None:
        folder, job = self._folder, self._job
        found = self._evaluate()
        before = folder.read_evaluation().get("before")
        most = job.eval_batch_size * job.max_eval_steps
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_evaluation(
            found,
            {
                "global_step": self._steps_done(),
                "examples": min(len(supply), most),
                "examples_left_out": max(0, len(supply) - most),
                "examples_also_trained_on": self._num_trained_on(supply),
                "eval_files": list(supply.found.paths),
                **({"before": before} if before else {}),
            },
        )
        if before and job.do_train:
            self._say(f"before training: {_shown(before)}")
        self._say(f"evaluation: {_shown(found)}")
        self._say(f"written: {folder / run_folder.EVAL_TEXT}")

    def _steps_done(self) -> int:
        numbers = read_numbers(self._folder / run_folder.STATE)
        return 0 if numbers is None else int(numbers["step"])


def _nothing(line: str) -> None:
    """Says nothing."""


def _shown(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in found.items())
