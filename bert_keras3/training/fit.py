"""The training loop: steps, evaluations, the best weights, exact resuming.

A step itself is in `step`, what is written so that it can go on is in
`state`, what is shown meanwhile is in `callbacks`, what several workers tell
each other in `devices`, and how a user's signal gets here in `stopping`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from bert_keras3.safekeeping.errors import StoppedError, UserError
from bert_keras3.training import state
from bert_keras3.training.concurrency import Batch
from bert_keras3.training.devices import ONE_DEVICE, Devices
from bert_keras3.training.identity import differences, refuse_another
from bert_keras3.training.step import LossFunction, TrainStep
from bert_keras3.training.stopping import AskedError, Stop, stop_on_signals


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """How long, and what happens between the steps."""

    num_train_steps: int
    """Optimiser steps in all."""
    epoch_ends: tuple[int, ...] = ()
    """Numbers of steps done at the end of each pass over the data."""
    eval_steps: int | None = None
    """Also evaluate whenever this many steps more are done."""
    save_steps: int = 1000
    """Save the state whenever this many steps more are done."""
    micro_batches: int = 1
    """Parts that each batch is passed through in."""
    concurrency: int = 1
    """Parts of each batch that are computed at the same time."""
    jit_compile: bool = False
    """Let XLA compile the steps, once for each shape that a batch has."""
    per_token: tuple[str, ...] = ()
    """Names of the arrays of a batch that have a value for each token."""
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

    def resuming(self, folder: str | os.PathLike[str]) -> str | None:
        """Returns where the training went on, for the user; None if it began.

        Args:
            folder: where its state is.
        """
        if self.resumed_from == self.step:
            return (
                f"the training in {folder} is complete: {self.step} steps "
                "were done before, so no more were. --overwrite_output_dir "
                "starts anew."
            )
        if self.resumed_from:
            return f"went on after step {self.resumed_from}"
        return None


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
        """Takes an evaluation in; returns whether it is the best so far."""
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


def fit(
    model: keras.Model,
    loss: LossFunction,
    optimizer: keras.optimizers.Optimizer,
    batches: Callable[[int], Iterator[Batch]],
    settings: FitSettings,
    *,
    state_path: str | os.PathLike[str],
    identity: Mapping[str, Any],
    save_weights: Callable[[], None],
    evaluate: Callable[[], Mapping[str, float]] | None = None,
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
        model: built, its first weights assigned.
        loss: mean loss of a batch; see `training.step`.
        optimizer: applies the gradients.
        batches: returns the endless (or long enough) iterator of batches
            that begins with the batch of the step given, the first being 0.
        settings: how long, and what happens in between.
        state_path: where the state is; made if absent.
        identity: what makes this training what it is (data, rates, seed…);
            a state of another identity is refused.
        save_weights: writes the model's present weights as the result.
        evaluate: returns metrics of the present weights.
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
    train_step = TrainStep(
        model,
        loss,
        optimizer,
        settings.micro_batches,
        devices,
        concurrency=settings.concurrency,
        jit_compile=settings.jit_compile,
        per_token=settings.per_token,
    )
    progress = _Progress()
    if devices.is_chief:
        progress = _resume(state_path, model, optimizer, identity)
    if devices.cluster is not None:
        progress = _follow(devices, progress, identity)
    state.align(devices, model, optimizer)
    resumed_from = progress.step
    if not devices.is_chief:
        callbacks, save_weights = (), _write_nothing
    listeners = keras.callbacks.CallbackList(list(callbacks), model=model)

    def save_state() -> None:
        if not devices.is_chief:
            return
        numbers = {**dataclasses.asdict(progress), "identity": identity}
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
                contextlib.suppress(AskedError),
            ):
                _run(
                    train_step,
                    batches,
                    settings,
                    progress,
                    listeners,
                    evaluate=_on_chief(devices, evaluate),
                    save_weights=save_weights,
                    save_state=save_state,
                    should_stop=lambda: model.stop_training,
                    stop=stop,
                )
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


def _run(
    train_step: TrainStep,
    batches: Callable[[int], Iterator[Batch]],
    settings: FitSettings,
    progress: _Progress,
    listeners: keras.callbacks.CallbackList,
    *,
    evaluate: Callable[[], Mapping[str, float]] | None,
    save_weights: Callable[[], None],
    save_state: Callable[[], None],
    should_stop: Callable[[], bool],
    stop: Stop,
) -> None:
    metric = settings.best_metric if evaluate is not None else None
    stream = batches(progress.step)
    while progress.step < settings.num_train_steps or progress.evaluation_due:
        if not progress.evaluation_due:
            listeners.on_train_batch_begin(progress.step)
            logs = train_step(next(stream))
            progress.step += 1
            progress.evaluation_due = _is_due(settings, progress.step)
            listeners.on_train_batch_end(progress.step, logs)
        if stop.signal is not None:
            return
        evaluated = evaluate is not None and progress.evaluation_due
        if evaluate is not None and evaluated:
            listeners.on_test_begin()
            # It changes nothing, so it can be done again as well.
            with stop.at_once():
                metrics = dict(evaluate())
            if metric is not None and progress.note(metric, metrics[metric]):
                save_weights()
            listeners.on_test_end({"step": progress.step, **metrics})
            if (
                settings.patience is not None
                and progress.evaluations_since_best >= settings.patience
            ):
                progress.stopped_early = True
        progress.evaluation_due = False
        if progress.stopped_early or should_stop():
            break
        if (
            evaluated
            or progress.step in settings.epoch_ends
            or progress.step % settings.save_steps == 0
        ):
            save_state()
    if metric is None or progress.best_step is None:
        save_weights()
    progress.finished = True
    save_state()


def _is_due(settings: FitSettings, step: int) -> bool:
    return (
        step in settings.epoch_ends
        or step == settings.num_train_steps
        or bool(settings.eval_steps and step % settings.eval_steps == 0)
    )


def _resume(
    state_path: str | os.PathLike[str],
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    identity: Mapping[str, Any],
) -> _Progress:
    numbers = state.read_numbers(state_path)
    if numbers is None:
        return _Progress()
    refuse_another(state_path, numbers.pop("identity"), identity)
    state.restore(state_path, model, optimizer)
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
    """Lets the chief evaluate and tell, so that all decide alike."""
    if evaluate is None or devices.cluster is None:
        return evaluate

    def evaluated() -> Mapping[str, float]:
        metrics = {}
        if devices.is_chief:
            metrics = {name: float(x) for name, x in evaluate().items()}
        told: Mapping[str, float] = devices.from_chief(metrics)
        return told

    return evaluated


def _write_nothing() -> None:
    """What workers other than the chief do to save weights."""
