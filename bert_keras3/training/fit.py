"""The training loop: steps, evaluations, the best weights, exact resuming.

A step itself is in `step`, what is written so that a training can go on in
`state`, what is shown meanwhile in `callbacks`; what surrounds the loop is in
`session`. Ctrl-C and SIGTERM wait for the end of a step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import keras

from bert_keras3.safekeeping.errors import StoppedError, UserError
from bert_keras3.training import state
from bert_keras3.training.concurrency import Batch
from bert_keras3.training.devices import ONE_DEVICE, Devices
from bert_keras3.training.state import differences, refuse_another
from bert_keras3.training.step import LossFunction, StepSettings, TrainStep

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptError(KeyboardInterrupt):
    """The user wants to stop, while that is possible at any moment."""


class Stop:
    """The wish to stop, which the loop looks at between the steps.

    Attributes:
        signal: number of the signal that came; None: go on.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Takes the signals that anybody waits for.

        Those that are ignored stay so, as in the background of a shell.
        """
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._take)

    def leave(self) -> None:
        """Gives the signals back."""
        while self._before:
            signal.signal(*self._before.popitem())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Does not wait for the end of the block.

        Raises:
            InterruptError: a signal came.
        """
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        # The next one finds what it would have found without a training.
        self.leave()
        if self._at_once:
            raise InterruptError


@contextlib.contextmanager
def stop_on_signals(wanted: bool = True) -> Iterator[Stop]:
    """Lets signals wait for the end of a step.

    The second one waits for nothing: it does what it would have done without
    this. Only a process' main thread gets signals; in others nothing is
    done, as without `wanted`.

    Args:
        wanted: whether to do so.

    Yields:
        Whether a signal came.
    """
    stop = Stop()
    if wanted and threading.current_thread() is threading.main_thread():
        stop.listen()
    try:
        yield stop
    finally:
        stop.leave()


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How long, and what happens between the steps."""

    num_train_steps: int
    """Optimiser steps in all."""
    epoch_ends: tuple[int, ...] = ()
    """Numbers of steps done at the end of each epoch."""
    eval_steps: int | None = None
    """Also evaluate whenever this many steps more are done."""
    save_steps: int = 1000
    """Save the state whenever this many steps more are done."""
    step: StepSettings = dataclasses.field(default_factory=StepSettings)
    """How a batch is computed."""
    best_metric: str | None = None
    """The metric of an evaluation that decides which weights are best; None:
    the last weights are."""
    patience: int | None = None
    """Stop after this many evaluations in a row without a better one."""


@dataclasses.dataclass(frozen=True)
class FitResult:
    """How a training ended."""

    step: int
    """Steps done in all."""
    resumed_from: int
    """Steps that had been done before; equal to `step` if all."""
    best_step: int | None
    """After which step the best evaluation was, if there was any."""
    best_value: float | None
    """Its value of the metric chosen."""
    stopped_early: bool
    """Whether patience ran out."""


def lower_is_better(metric: str) -> bool:
    """Returns whether a metric is an error rather than a merit."""
    return metric.endswith(("loss", "error"))


@dataclasses.dataclass
class _Progress:
    """The loop's own numbers, saved with every state."""

    step: int = 0
    best_step: int | None = None
    best_value: float | None = None
    evaluations_since_best: int = 0
    evaluation_due: bool = False
    finished: bool = False
    stopped_early: bool = False

    def note(self, metric: str, value: float) -> bool:
        """Counts an evaluation; returns whether it is the best so far."""
        better = self.best_value is None or (
            value < self.best_value
            if lower_is_better(metric)
            else value > self.best_value
        )
        if better:
            self.best_step, self.best_value = self.step, value
            self.evaluations_since_best = 0
        else:
            self.evaluations_since_best += 1
        return better


@dataclasses.dataclass(frozen=True)
class Training:
    """What is trained, and what is done with it."""

    model: keras.Model
    """Built, its first weights assigned."""
    loss: LossFunction
    """Mean loss of a batch; see `step`."""
    optimizer: keras.optimizers.Optimizer
    """Applies the gradients."""
    batches: Callable[[int], Iterator[Batch]]
    """Returns the endless (or long enough) iterator of batches that begins
    with the batch of the step given, the first being 0."""
    identity: Mapping[str, Any]
    """What makes this training what it is (data, learning rate, seed…); a
    state of another identity is refused."""
    save_weights: Callable[[], None]
    """Writes the model's present weights as the result."""
    evaluate: Callable[[], Mapping[str, float]] | None = None
    """Returns metrics of the present weights."""


def fit(
    training: Training,
    settings: FitSettings,
    state_path: str | os.PathLike[str],
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    devices: Devices = ONE_DEVICE,
) -> FitResult:
    """Trains a model, from the start or from where it was stopped.

    A run that is killed and called again with the same arguments ends with
    the same bits as one that was not, given a deterministic device: the
    state holds weights, slots, random states and the step, and `batches` is
    a function of the step. Ctrl-C and SIGTERM wait for the end of a step
    and save the state first; but not where several workers would have to
    agree on the step.

    Args:
        training: what is trained.
        settings: how long, and what happens in between.
        state_path: where the state is; made if absent.
        callbacks: Keras callbacks; `on_train_begin` gets `step` and
            `num_train_steps`, `on_train_batch_end` the number of the step
            with `loss` and `learning_rate`, `on_test_end` gets the metrics.
        devices: what takes the steps, all with the same arguments. Of
            several workers only the chief evaluates, calls back and writes;
            the others need no state, since they begin as the chief does.

    Returns:
        How it ended.

    Raises:
        UserError: the state is of another training or broken; a worker was
            given another training than the chief.
        StoppedError: a signal came; the state is saved.
    """
    model, optimizer = training.model, training.optimizer
    if not devices.is_chief:
        callbacks = ()
        training = dataclasses.replace(training, save_weights=_write_nothing)
    training = dataclasses.replace(
        training, evaluate=_on_chief(devices, training.evaluate)
    )
    train_step = TrainStep(
        model,
        training.loss,
        optimizer,
        settings.step,
        devices,
    )
    progress = _Progress()
    if devices.is_chief:
        progress = _resume(state_path, training)
    if devices.cluster is not None:
        progress = _follow(devices, progress, training.identity)
    state.align(devices, model, optimizer)
    resumed_from = progress.step
    listeners = keras.callbacks.CallbackList(list(callbacks), model=model)

    def save_state() -> None:
        if not devices.is_chief:
            return
        numbers = {
            **dataclasses.asdict(progress),
            "identity": training.identity,
        }
        state.save(state_path, model, optimizer, numbers)

    if not progress.finished:
        model.stop_training = False
        numbers = {
            "step": progress.step,
            "num_train_steps": settings.num_train_steps,
        }
        try:
            listeners.on_train_begin(numbers)
            with (
                stop_on_signals(devices.cluster is None) as stop,
                contextlib.suppress(InterruptError),
            ):
                loop = _Loop(training, settings, progress, listeners, stop)
                loop.run(train_step, save_state)
            if stop.signal is not None and not progress.finished:
                save_state()
        finally:
            listeners.on_train_end()
        if stop.signal is not None:
            raise StoppedError(
                stop.signal,
                f"stopped at step {progress.step} of "
                f"{settings.num_train_steps}; run the same command again to "
                "go on (--overwrite_output_dir would start anew)",
            )
    return FitResult(
        progress.step,
        resumed_from,
        progress.best_step,
        progress.best_value,
        progress.stopped_early,
    )


@dataclasses.dataclass(frozen=True)
class _Loop:
    """The steps of one call of `fit`."""

    training: Training
    settings: FitSettings
    progress: _Progress
    listeners: keras.callbacks.CallbackList
    stop: Stop

    def run(
        self, train_step: TrainStep, save_state: Callable[[], None]
    ) -> None:
        """Takes the steps that are left, until a signal comes."""
        settings, progress = self.settings, self.progress
        stream = self.training.batches(progress.step)
        while (
            progress.step < settings.num_train_steps or progress.evaluation_due
        ):
            if not progress.evaluation_due:
                self.listeners.on_train_batch_begin(progress.step)
                logs = train_step(next(stream))
                progress.step += 1
                progress.evaluation_due = _is_due(settings, progress.step)
                self.listeners.on_train_batch_end(progress.step, logs)
            if self.stop.signal is not None:
                return
            evaluated = progress.evaluation_due and self._evaluate()
            progress.evaluation_due = False
            if progress.stopped_early or self.training.model.stop_training:
                break
            if (
                evaluated
                or progress.step in settings.epoch_ends
                or progress.step % settings.save_steps == 0
            ):
                save_state()
        if self._best_metric is None or progress.best_step is None:
            self.training.save_weights()
        progress.finished = True
        save_state()

    @property
    def _best_metric(self) -> str | None:
        if self.training.evaluate is None:
            return None
        return self.settings.best_metric

    def _evaluate(self) -> bool:
        """Evaluates, if that is possible, and keeps the best weights."""
        if self.training.evaluate is None:
            return False
        progress, metric = self.progress, self._best_metric
        self.listeners.on_test_begin()
        # It changes nothing, so it can be done again as well.
        with self.stop.at_once():
            metrics = dict(self.training.evaluate())
        if metric is not None and progress.note(metric, metrics[metric]):
            self.training.save_weights()
        self.listeners.on_test_end({"step": progress.step, **metrics})
        patience = self.settings.patience
        if patience is not None and progress.evaluations_since_best >= patience:
            progress.stopped_early = True
        return True


def _is_due(settings: FitSettings, step: int) -> bool:
    return (
        step in settings.epoch_ends
        or step == settings.num_train_steps
        or bool(settings.eval_steps and step % settings.eval_steps == 0)
    )


def _resume(
    state_path: str | os.PathLike[str], training: Training
) -> _Progress:
    numbers = state.read_numbers(state_path)
    if numbers is None:
        return _Progress()
    refuse_another(state_path, numbers.pop("identity"), training.identity)
    state.restore(state_path, training.model, training.optimizer)
    return _Progress(**numbers)


def _follow(
    devices: Devices, progress: _Progress, identity: Mapping[str, Any]
) -> _Progress:
    """Returns the chief's progress, if the chief trains the same.

    Raises:
        UserError: this worker was given another training.
    """
    theirs, numbers = devices.from_chief(
        [dict(identity), dataclasses.asdict(progress)]
    )
    # As it comes out of JSON, where tuples are lists.
    mine = json.loads(json.dumps(dict(identity)))
    if mine != theirs:
        raise UserError(
            "this worker was given another training than the chief: "
            f"{differences(theirs, mine)}. Start all workers with the same "
            "files and flags."
        )
    return _Progress(**numbers)


def _on_chief(
    devices: Devices, evaluate: Callable[[], Mapping[str, float]] | None
) -> Callable[[], Mapping[str, float]] | None:
    """Lets the chief evaluate for all, so that all decide alike."""
    if evaluate is None or devices.cluster is None:
        return evaluate

    def evaluated() -> Mapping[str, float]:
        metrics = {}
        if devices.is_chief:
            metrics = {name: float(x) for name, x in evaluate().items()}
        found: Mapping[str, float] = devices.from_chief(metrics)
        return found

    return evaluated


def _write_nothing() -> None:
    """What workers other than the chief do to save weights."""
