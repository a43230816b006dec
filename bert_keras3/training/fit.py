"""The training loop: steps, evaluations, the best weights, exact resuming.

The state is saved every `save_steps` steps, at the end of each epoch, after
each evaluation, at the end, and on Ctrl-C and SIGTERM, which wait for the end
of a step (`_Loop`). An interrupted training resumes from its last saved state
and ends with the same bits. What is in the state, `state` says.
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
from bert_keras3.training.step import LossFunction, StepSettings, TrainStep

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptError(KeyboardInterrupt):
    """A signal arrived in a block that may be interrupted at any moment."""


class StopRequest:
    """Whether the training should stop; read by the loop between steps.

    Attributes:
        signal: number of the signal that arrived; None: continue.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._at_once = False
        self._earlier_handlers: dict[int, Any] = {}

    def handle_signals(self) -> None:
        """Installs the handlers.

        Signals that are ignored, as in the background of a shell, stay so.
        """
        for number in SIGNALS:
            earlier = signal.getsignal(number)
            if earlier not in (signal.SIG_IGN, None):
                self._earlier_handlers[number] = signal.signal(
                    number, self._handle
                )

    def restore_handlers(self) -> None:
        """Puts the earlier handlers back."""
        while self._earlier_handlers:
            signal.signal(*self._earlier_handlers.popitem())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Lets a signal interrupt the block.

        Raises:
            InterruptError: a signal arrived.
        """
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        # A second signal has the effect it has without a training.
        self.restore_handlers()
        if self._at_once:
            raise InterruptError


@contextlib.contextmanager
def stop_on_signals(wanted: bool = True) -> Iterator[StopRequest]:
    """Makes Ctrl-C and SIGTERM wait for the end of a step.

    A second signal does not wait. Only the main thread of a process receives
    signals; in other threads, as without `wanted`, no handler is installed.
    """
    stop = StopRequest()
    if wanted and threading.current_thread() is threading.main_thread():
        stop.handle_signals()
    try:
        yield stop
    finally:
        stop.restore_handlers()


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """The length of a training, and when it evaluates and saves."""

    num_train_steps: int
    """Total number of optimizer steps."""
    epoch_ends: tuple[int, ...] = ()
    """Number of steps done at the end of each epoch."""
    eval_steps: int | None = None
    """Also evaluate every this many steps."""
    save_steps: int = 1000
    """Save the state every this many steps."""
    step: StepSettings = dataclasses.field(default_factory=StepSettings)
    """How a batch is computed."""
    best_metric: str | None = None
    """The metric by which the best weights are saved; None: the last weights
    are."""
    patience: int | None = None
    """Stop after this many evaluations in a row without improvement."""


@dataclasses.dataclass(frozen=True)
class FitResult:
    """How a training ended."""

    step: int
    """Total number of steps done."""
    resumed_from: int
    """Number of steps done by earlier runs; `step` if nothing was left."""
    best_step: int | None
    """Step of the best evaluation, if there was any."""
    best_value: float | None
    """Value of `best_metric` then."""
    stopped_early: bool
    """Whether it ended because of `patience`."""


def lower_is_better(metric: str) -> bool:
    """Returns whether smaller values of a metric are better."""
    return metric.endswith(("loss", "error"))


@dataclasses.dataclass
class _Progress:
    """The numbers of the loop, saved with every state."""

    step: int = 0
    best_step: int | None = None
    best_value: float | None = None
    evaluations_since_best: int = 0
    evaluation_due: bool = False
    finished: bool = False
    stopped_early: bool = False

    def note(self, metric: str, value: float) -> bool:
        """Records an evaluation; returns whether it is the best so far."""
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
    """Model, loss, optimizer and batches of a training, and its callbacks."""

    model: keras.Model
    """Built, with its initial weights."""
    loss: LossFunction
    """Mean loss of a batch."""
    optimizer: keras.optimizers.Optimizer
    """Applies the gradients."""
    batches: Callable[[int], Iterator[Batch]]
    """Step → iterator of the batches from that step on; the first is 0."""
    identity: Mapping[str, Any]
    """What identifies this training (data, learning rate, seed, …); a state
    with another identity is refused."""
    save_weights: Callable[[], None]
    """Writes the current weights as the result."""
    evaluate: Callable[[], Mapping[str, float]] | None = None
    """Returns the metrics of the current weights."""


def fit(
    training: Training,
    settings: FitSettings,
    state_path: str | os.PathLike[str],
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    devices: Devices = ONE_DEVICE,
) -> FitResult:
    """Trains a model, from the start or from the saved state.

    A run that is killed and called again with the same arguments ends with
    the same bits as one that was not, given deterministic kernels: the state
    has the weights, optimizer slots, random states and the step, and `batches`
    is a function of the step. Ctrl-C and SIGTERM wait for the end of a step
    and save the state, except with several workers, which would have to agree
    on the step.

    Args:
        training: what to train.
        settings: how long, and when to evaluate and save.
        state_path: of the state file; created if it does not exist.
        callbacks: Keras callbacks; `on_train_begin` gets `step` and
            `num_train_steps`, `on_train_batch_end` the number of the step
            with `loss`, `learning_rate` and `tokens`, `on_test_end` gets the
            metrics.
        devices: of the training; every worker calls this with the same
            arguments. Only the chief evaluates, calls the callbacks and
            writes; the others copy its state.

    Returns:
        How the training ended.

    Raises:
        UserError: the state is of another training or damaged; a worker has
            another training than the chief.
        StoppedError: a signal arrived; the state is saved.
    """
    model, optimizer = training.model, training.optimizer
    if not devices.is_chief:
        callbacks = ()
        training = dataclasses.replace(training, save_weights=lambda: None)
    training = dataclasses.replace(
        training, evaluate=_evaluated_by_chief(devices, training.evaluate)
    )
    train_step = TrainStep(
        model, training.loss, optimizer, settings.step, devices
    )
    progress = _Progress()
    if devices.is_chief:
        progress = _restored_progress(state_path, training)
    if devices.cluster is not None:
        progress = _progress_of_chief(devices, progress, training.identity)
    state.align(devices, model, optimizer)
    resumed_from = progress.step

    def save_state() -> None:
        if devices.is_chief:
            numbers = {
                **dataclasses.asdict(progress),
                "identity": training.identity,
            }
            state.save(state_path, model, optimizer, numbers)

    if not progress.finished:
        listeners = keras.callbacks.CallbackList(list(callbacks), model=model)
        _Loop(
            training, settings, progress, listeners, train_step, save_state
        ).run(handle_signals=devices.cluster is None)
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
    train_step: TrainStep
    save_state: Callable[[], None]

    def run(self, *, handle_signals: bool) -> None:
        """Trains to the last step, or until a signal arrives.

        Raises:
            StoppedError: a signal arrived; the state is saved.
        """
        progress, num_train_steps = self.progress, self.settings.num_train_steps
        self.training.model.stop_training = False
        try:
            self.listeners.on_train_begin(
                {"step": progress.step, "num_train_steps": num_train_steps}
            )
            with (
                stop_on_signals(handle_signals) as stop,
                contextlib.suppress(InterruptError),
            ):
                self._take_steps(stop)
            if stop.signal is not None and not progress.finished:
                self.save_state()
        finally:
            self.listeners.on_train_end()
        if stop.signal is not None:
            raise StoppedError(
                stop.signal,
                f"stopped at step {progress.step} of {num_train_steps}; run "
                "the same command again to go on (--overwrite_output_dir "
                "would start anew)",
            )

    def _take_steps(self, stop: StopRequest) -> None:
        settings, progress = self.settings, self.progress
        stream = self.training.batches(progress.step)
        while (
            progress.step < settings.num_train_steps or progress.evaluation_due
        ):
            if not progress.evaluation_due:
                self.listeners.on_train_batch_begin(progress.step)
                batch = next(stream)
                logs = {**self.train_step(batch), "tokens": _tokens_in(batch)}
                progress.step += 1
                progress.evaluation_due = _is_due(settings, progress.step)
                self.listeners.on_train_batch_end(progress.step, logs)
            if stop.signal is not None:
                return
            evaluated = progress.evaluation_due and self._evaluate(stop)
            progress.evaluation_due = False
            if progress.stopped_early or self.training.model.stop_training:
                break
            if (
                evaluated
                or progress.step in settings.epoch_ends
                or progress.step % settings.save_steps == 0
            ):
                self.save_state()
        if self._best_metric is None or progress.best_step is None:
            self.training.save_weights()
        progress.finished = True
        self.save_state()

    @property
    def _best_metric(self) -> str | None:
        if self.training.evaluate is None:
            return None
        return self.settings.best_metric

    def _evaluate(self, stop: StopRequest) -> bool:
        """Evaluates, if there is `evaluate`, and saves the best weights."""
        if self.training.evaluate is None:
            return False
        progress, metric = self.progress, self._best_metric
        self.listeners.on_test_begin()
        # It changes nothing and is repeated when the training resumes.
        with stop.at_once():
            metrics = dict(self.training.evaluate())
        if metric is not None and progress.note(metric, metrics[metric]):
            self.training.save_weights()
        self.listeners.on_test_end({"step": progress.step, **metrics})
        patience = self.settings.patience
        if patience is not None and progress.evaluations_since_best >= patience:
            progress.stopped_early = True
        return True


def _tokens_in(batch: Batch) -> int:
    """Returns how many tokens a batch has, padding left out."""
    return int(batch["input_mask"].sum()) if "input_mask" in batch else 0


def _is_due(settings: FitSettings, step: int) -> bool:
    return (
        step in settings.epoch_ends
        or step == settings.num_train_steps
        or bool(settings.eval_steps and step % settings.eval_steps == 0)
    )


def _restored_progress(
    state_path: str | os.PathLike[str], training: Training
) -> _Progress:
    state.check_same_training(state_path, training.identity)
    numbers = state.read_numbers(state_path)
    if numbers is None:
        return _Progress()
    state.restore(state_path, training.model, training.optimizer)
    del numbers["identity"]
    return _Progress(**numbers)


def _progress_of_chief(
    devices: Devices, progress: _Progress, identity: Mapping[str, Any]
) -> _Progress:
    """Returns the chief's progress.

    Raises:
        UserError: this worker was started with other files or flags.
    """
    theirs, numbers = devices.from_chief(
        [dict(identity), dataclasses.asdict(progress)]
    )
    # As read from JSON, where tuples are lists.
    mine = json.loads(json.dumps(dict(identity)))
    if mine != theirs:
        raise UserError(
            "this worker was given another training than the chief: "
            f"{state.differences(theirs, mine)}. Start all workers with the "
            "same files and flags."
        )
    return _Progress(**numbers)


def _evaluated_by_chief(
    devices: Devices, evaluate: Callable[[], Mapping[str, float]] | None
) -> Callable[[], Mapping[str, float]] | None:
    """Evaluates in the chief and sends the metrics to all workers."""
    if evaluate is None or devices.cluster is None:
        return evaluate

    def evaluated() -> Mapping[str, float]:
        metrics = {}
        if devices.is_chief:
            metrics = {name: float(x) for name, x in evaluate().items()}
        found: Mapping[str, float] = devices.from_chief(metrics)
        return found

    return evaluated
