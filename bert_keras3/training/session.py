"""What fine-tuning and pretraining jobs have in common around the loop.

`open_session` opens the devices and the output folder; `begin` refuses a
folder that holds a different training; `train` makes the optimizer and the
callbacks for a `Plan`, runs the loop (`fit.py`) and reports how it ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from bert_keras3.optimization import create_optimizer
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import own_folder
from bert_keras3.training.callbacks import (
    ProgressBar,
    SaveEvery,
    TensorBoardScalars,
    TrainingLog,
    require_tensorboard,
)
from bert_keras3.training.concurrency import Batch
from bert_keras3.training.devices import (
    Devices,
    check_compiled,
    computing_in,
    devices_of,
    loss_scaled,
)
from bert_keras3.training.fit import FitResult, FitSettings, Training, fit
from bert_keras3.training.run_folder import LOG, STATE, TENSORBOARD, RunFolder
from bert_keras3.training.settings import WITHOUT_EFFECT, TrainingSettings
from bert_keras3.training.state import check_same_training, checksum
from bert_keras3.training.step import (
    LossFunction,
    StepSettings,
    check_micro_batches,
)


class Screen(Protocol):
    """Where a job prints its progress and results."""

    def say(self, line: str) -> None:
        """Prints a line."""

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Prints a table."""


class NoScreen:
    """Prints nothing: for workers other than the chief, and for callers."""

    def say(self, line: str) -> None:
        """Does nothing."""

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Does nothing."""


@dataclasses.dataclass(frozen=True)
class Session:
    """The devices, folder and screen of one job."""

    devices: Devices
    output_dir: pathlib.Path
    """The output folder; for workers other than the chief, a temporary one."""
    screen: Screen
    """Prints in the chief only; the other workers would print the same."""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the folder for this process until the block ends.

        Raises:
            UserError: another process has locked it.
        """
        with own_folder(self.output_dir, "output_dir"):
            yield

    @contextlib.contextmanager
    def making_model(self, precision: str) -> Iterator[None]:
        """Is the context in which the model to train must be created.

        Args:
            precision: a key of `PRECISIONS`.
        """
        with self.devices.scope(), computing_in(precision):
            yield


@contextlib.contextmanager
def open_session(
    output_dir: str | os.PathLike[str],
    screen: Screen,
    distribution: str = "off",
) -> Iterator[Session]:
    """Opens the devices and the output folder of a job.

    Must be entered before TensorFlow has created any tensor.

    Args:
        output_dir: the path given by the user; it need not exist.
        screen: where the job prints.
        distribution: a key of `DISTRIBUTIONS`.

    Raises:
        UserError: the devices are not available, or another worker stopped.
    """
    with (
        devices_of(distribution) as devices,
        devices.folder(output_dir) as folder,
    ):
        if devices.strategy is not None:
            screen.say(devices.description)
        yield Session(
            devices,
            pathlib.Path(folder),
            screen if devices.is_chief else NoScreen(),
        )


def check_training(settings: TrainingSettings, *, do_eval: bool) -> None:
    """Checks training flags against each other.

    Args:
        settings: each value is in its range already.
        do_eval: whether the job evaluates.

    Raises:
        UserError: a flag contradicts another one, or needs another flag or a
            package.
    """
    check_micro_batches(
        settings.gradient_accumulation_steps, settings.train_batch_size
    )
    if not do_eval:
        refuse_evaluation("eval_steps", settings.eval_steps)
    check_compiled(settings.computing, lazy_embeddings=settings.lazy_embeddings)
    if settings.tensorboard:
        require_tensorboard()


def refuse_evaluation(flag: str, value: Any) -> None:
    """Refuses a flag that needs evaluations in a job without `--do_eval`.

    Raises:
        UserError: the flag was given.
    """
    if value is not None:
        raise UserError(
            f"--{flag}={value} needs evaluations during training; add "
            "--do_eval, or leave it out"
        )


def identity_of(
    settings: TrainingSettings,
    model: keras.Model,
    data: Sequence[np.ndarray],
    *,
    without_effect: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns the values that identify a training, apart from its task.

    A training is resumed only with an equal identity.

    Args:
        settings: of the training.
        model: with its initial weights.
        data: the training and evaluation data, in a fixed order.
        without_effect: further fields of the settings that do not influence
            the weights.

    Returns:
        JSON values; large arrays as checksums.
    """
    fields = dataclasses.asdict(settings)
    for name in (*WITHOUT_EFFECT, *without_effect):
        del fields[name]
    return {
        **fields,
        "data": checksum(*data),
        "first_weights": checksum(
            *(
                keras.ops.convert_to_numpy(weight)
                for weight in model.trainable_weights
            )
        ),
    }


def begin(
    folder: RunFolder, identity: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Prepares a folder for a training that starts or resumes in it.

    Args:
        folder: of the run.
        identity: of the training.
        overwrite: whether to delete the run that the folder holds.

    Raises:
        UserError: the folder holds a different training and `overwrite` is
            not set.
    """
    if overwrite:
        folder.clear()
    else:
        check_same_training(folder / STATE, identity)
    folder.path.mkdir(parents=True, exist_ok=True)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to train, on which batches, and for how long."""

    model: keras.Model
    """Built, with its initial weights."""
    loss: LossFunction
    """Mean loss of a batch."""
    batches: Callable[[int], Iterator[Batch]]
    """Step → iterator of the batches from that step on; the first is 0."""
    identity: Mapping[str, Any]
    """The result of `identity_of`, with what the task adds."""
    save_weights: Callable[[keras.optimizers.Optimizer], None]
    """Writes the current weights as the result of the run."""
    num_train_steps: int
    num_warmup_steps: int
    per_token: tuple[str, ...] = ()
    """Names of the arrays of a batch with one value per token."""
    evaluate: Callable[[], Mapping[str, float]] | None = None
    """Returns the metrics of the current weights."""
    epoch_ends: tuple[int, ...] = ()
    """Number of steps done at the end of each epoch."""
    best_metric: str | None = None
    """The metric by which the best weights are kept; None: the last weights."""
    patience: int | None = None
    """Stop after this many evaluations in a row without improvement."""
    save_weights_steps: int | None = None
    """Also write the weights every this many steps."""
    concurrency: int = 1
    """Number of parts of each batch that are computed in parallel."""
    callbacks: Sequence[keras.callbacks.Callback] = ()
    """Further ones; see `fit.fit`. One that sets `model.stop_training` ends
    the training."""
    schedule: str = "linear"
    """How the learning rate falls, one of `optimizers.SCHEDULES`."""


def train(
    plan: Plan, settings: TrainingSettings, folder: RunFolder, session: Session
) -> FitResult:
    """Trains, or resumes an interrupted training.

    Args:
        plan: model, batches and number of steps.
        settings: of the training.
        folder: for state and log.
        session: whose devices the model was created on.

    Returns:
        How the training ended, which is also printed.

    Raises:
        UserError: the folder holds a training with other settings.
        StoppedError: a signal arrived; the state is saved.
    """
    with session.devices.scope():
        optimizer = create_optimizer(
            settings.learning_rate,
            plan.num_train_steps,
            plan.num_warmup_steps,
            name=settings.optimizer,
            lazy_embeddings=settings.lazy_embeddings,
            schedule=plan.schedule,
        )
        applied = loss_scaled(optimizer, settings.computing.mixed_precision)

    def save_weights() -> None:
        plan.save_weights(optimizer)

    def say_resumed(logs: Mapping[str, Any]) -> None:
        if logs["step"]:
            session.screen.say(f"resumed after step {int(logs['step'])}")

    callbacks: list[keras.callbacks.Callback]
    callbacks = [
        # Before the first step: the lines above are those of a new model.
        keras.callbacks.LambdaCallback(on_train_begin=say_resumed),
        TrainingLog(folder / LOG),
    ]
    if not isinstance(session.screen, NoScreen):
        callbacks.insert(1, ProgressBar(plan.best_metric))
    if plan.save_weights_steps is not None:
        callbacks.append(SaveEvery(plan.save_weights_steps, save_weights))
    if settings.tensorboard:
        callbacks.append(TensorBoardScalars(folder / TENSORBOARD))
    callbacks.extend(plan.callbacks)
    result = fit(
        Training(
            plan.model,
            plan.loss,
            applied,
            plan.batches,
            plan.identity,
            save_weights,
            plan.evaluate,
        ),
        FitSettings(
            num_train_steps=plan.num_train_steps,
            epoch_ends=plan.epoch_ends,
            eval_steps=settings.eval_steps,
            save_steps=settings.save_checkpoints_steps,
            step=StepSettings(
                settings.gradient_accumulation_steps,
                plan.concurrency,
                settings.computing.jit_compile,
                plan.per_token,
            ),
            best_metric=plan.best_metric,
            patience=plan.patience,
        ),
        folder / STATE,
        callbacks=callbacks,
        devices=session.devices,
    )
    _report(result, plan.best_metric, folder, session.screen)
    return result


def _report(
    result: FitResult,
    best_metric: str | None,
    folder: RunFolder,
    screen: Screen,
) -> None:
    if result.resumed_from == result.step:
        screen.say(
            f"the training in {folder.path} is complete: {result.step} steps "
            "were done before, so no more were. --overwrite_output_dir "
            "starts anew."
        )
    if result.stopped_early:
        screen.say(f"stopped early after step {result.step}")
    if result.best_step is not None and best_metric is not None:
        screen.say(
            f"best after step {result.best_step}: "
            f"{best_metric} {result.best_value:.4f}"
        )
