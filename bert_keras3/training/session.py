"""What every training job does around its steps.

It opens devices and the output folder, makes the optimizer and what is shown
meanwhile, says what makes one training differ from another, and reports how
it ended. What is trained on what is a `Plan`; the loop is in `fit`.
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

from bert_keras3.optimization import check_learning_rate, create_optimizer
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
from bert_keras3.training.state import checksum, refuse_another_training
from bert_keras3.training.step import (
    LossFunction,
    StepSettings,
    check_micro_batches,
)


class Screen(Protocol):
    """Where a job shows what it found and did."""

    def say(self, line: str) -> None:
        """Shows a line."""

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Shows a table."""


class NoScreen:
    """Shows nothing, as workers other than the chief do."""

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
    """What a job works with, from its beginning to its end."""

    devices: Devices
    output_dir: pathlib.Path
    """Of the chief; other workers have one that is thrown away."""
    screen: Screen
    """Shows what the chief does, and nothing of the others, who would say
    the same."""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps the folder for this process until the block ends.

        Raises:
            UserError: another process works in it.
        """
        with own_folder(self.output_dir, "output_dir"):
            yield

    @contextlib.contextmanager
    def making_model(self, precision: str) -> Iterator[None]:
        """Is where the model that is to be trained is made.

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
    """Opens the devices of a job, and its folder.

    To be entered before TensorFlow has done anything.

    Args:
        output_dir: as the user gave it; it need not exist.
        screen: where the job shows what it does.
        distribution: a key of `DISTRIBUTIONS`.

    Raises:
        UserError: the devices cannot be had, or another worker is gone.
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
    """Checks how to train.

    Args:
        settings: as the user gave them, each in its range.
        do_eval: whether there will be evaluations.

    Raises:
        UserError: a flag contradicts or needs another one, or a package.
    """
    check_learning_rate(settings.learning_rate)
    check_micro_batches(
        settings.gradient_accumulation_steps, settings.train_batch_size
    )
    if not do_eval:
        refuse_evaluation("eval_steps", settings.eval_steps)
    check_compiled(settings.computing, lazy_embeddings=settings.lazy_embeddings)
    if settings.tensorboard:
        require_tensorboard()


def refuse_evaluation(flag: str, value: Any) -> None:
    """Refuses a flag that needs evaluations, if it was given.

    Raises:
        UserError: it was.
    """
    if value is not None:
        raise UserError(
            f"--{flag}={value} asks for evaluations while training; add "
            "--do_eval, or leave it out"
        )


def identity_of(
    settings: TrainingSettings,
    model: keras.Model,
    data: Sequence[np.ndarray],
    *,
    without_effect: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns what makes a training what it is, beside its task.

    A stopped training goes on only with an equal identity.

    Args:
        settings: how to train.
        model: its first weights assigned.
        data: what is trained and evaluated on, in an order that counts.
        without_effect: further fields of the settings that change no number.

    Returns:
        Values that JSON has; checksums of what is large.
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
    """Makes a folder ready for a training: empty, or the same training's.

    Args:
        folder: of the run.
        identity: of the training.
        overwrite: whether to remove a run that is there.

    Raises:
        UserError: there is a run of another training, and it is to stay.
    """
    if overwrite:
        folder.clear()
    else:
        refuse_another_training(folder / STATE, identity)
    folder.path.mkdir(parents=True, exist_ok=True)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is trained on what, and how long."""

    model: keras.Model
    """Built, its first weights assigned."""
    loss: LossFunction
    """Mean loss of a batch."""
    batches: Callable[[int], Iterator[Batch]]
    """Returns the batches that begin with the one of the step given."""
    identity: Mapping[str, Any]
    """As `identity_of` makes it, with what the task adds."""
    save_weights: Callable[[keras.optimizers.Optimizer], None]
    """Writes the model's present weights as the result."""
    num_train_steps: int
    num_warmup_steps: int
    per_token: tuple[str, ...] = ()
    """Names of the arrays of a batch that have a value for each token."""
    evaluate: Callable[[], Mapping[str, float]] | None = None
    """Returns metrics of the present weights."""
    epoch_ends: tuple[int, ...] = ()
    """Numbers of steps done at the end of each epoch."""
    best_metric: str | None = None
    """The metric that decides which weights are kept; None: the last are."""
    patience: int | None = None
    """Stop after this many evaluations in a row without a better one."""
    save_weights_steps: int | None = None
    """Also write the weights whenever this many steps more are done."""
    concurrency: int = 1
    """Parts of each batch that are computed at the same time."""


def train(
    plan: Plan, settings: TrainingSettings, folder: RunFolder, session: Session
) -> FitResult:
    """Trains, or goes on with a training that was stopped.

    Args:
        plan: what is trained on what.
        settings: how.
        folder: where state and log are kept.
        session: in whose scope the model was made.

    Returns:
        How it ended; the screen says so, too.

    Raises:
        UserError: the folder holds a training with other settings.
        StoppedError: a signal came; the state is saved.
    """
    with session.devices.scope():
        optimizer = create_optimizer(
            settings.learning_rate,
            plan.num_train_steps,
            plan.num_warmup_steps,
            name=settings.optimizer,
            lazy_embeddings=settings.lazy_embeddings,
        )
        applied = loss_scaled(optimizer, settings.computing.mixed_precision)

    def save_weights() -> None:
        plan.save_weights(optimizer)

    callbacks: list[keras.callbacks.Callback] = [
        ProgressBar(),
        TrainingLog(folder / LOG),
    ]
    if plan.save_weights_steps is not None:
        callbacks.append(SaveEvery(plan.save_weights_steps, save_weights))
    if settings.tensorboard:
        callbacks.append(TensorBoardScalars(folder / TENSORBOARD))
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
    elif result.resumed_from:
        screen.say(f"went on after step {result.resumed_from}")
    if result.stopped_early:
        screen.say(f"stopped early after step {result.step}")
    if result.best_step is not None and best_metric is not None:
        screen.say(
            f"best after step {result.best_step}: "
            f"{best_metric} {result.best_value:.4f}"
        )
