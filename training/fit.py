"""The training loop: steps, evaluations, the best weights, exact resuming.

A step itself is in `step`, what is written so that it can go on is in
`state`, what is shown meanwhile is in `callbacks`.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from safekeeping.errors import UserError
from training import state
from training.step import Batch, LossFunction, TrainStep


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
    jit_compile: bool = False
    """Let XLA compile the steps, once for each shape that a batch has."""
    best_metric: str | None = None
    """What of an evaluation decides which weights are best; None: the last
    weights are."""
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
) -> FitResult:
    """Trains a model, from the start or from where it was stopped.

    A run that is killed and called again with the same arguments ends with
    the same bits as one that was not, given a deterministic device: the
    state holds weights, slots, random states and the step, and `batches` is
    a function of the step.

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

    Returns:
        How it ended.

    Raises:
        UserError: the state is of another training or broken.
    """
    train_step = TrainStep(
        model,
        loss,
        optimizer,
        settings.micro_batches,
        jit_compile=settings.jit_compile,
    )
    progress = _resume(state_path, model, optimizer, identity)
    resumed_from = progress.step
    listeners = keras.callbacks.CallbackList(list(callbacks), model=model)

    def save_state() -> None:
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
            _run(
                train_step,
                batches,
                settings,
                progress,
                listeners,
                evaluate=evaluate,
                save_weights=save_weights,
                save_state=save_state,
                should_stop=lambda: model.stop_training,
            )
        finally:
            listeners.on_train_end()
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
) -> None:
    metric = settings.best_metric if evaluate is not None else None
    stream = batches(progress.step)
    while progress.step < settings.num_train_steps:
        listeners.on_train_batch_begin(progress.step)
        logs = train_step(next(stream))
        progress.step += 1
        listeners.on_train_batch_end(progress.step, logs)

        evaluated = evaluate is not None and _is_due(settings, progress.step)
        if evaluate is not None and evaluated:
            listeners.on_test_begin()
            metrics = dict(evaluate())
            if metric is not None and progress.note(metric, metrics[metric]):
                save_weights()
            listeners.on_test_end({"step": progress.step, **metrics})
            if (
                settings.patience is not None
                and progress.evaluations_since_best >= settings.patience
            ):
                progress.stopped_early = True
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
    _refuse_another(state_path, numbers.pop("identity"), identity)
    state.restore(state_path, model, optimizer)
    return _Progress(**numbers)


def refuse_another_training(
    state_path: str | os.PathLike[str], identity: Mapping[str, Any]
) -> None:
    """Checks that a state, if there is one, is of this training.

    `fit` checks it too; who writes other files before can ask first.

    Args:
        state_path: as for `fit`, as the next.
        identity: what makes this training what it is.

    Raises:
        UserError: the state is of another training or broken.
    """
    numbers = state.read_numbers(state_path)
    if numbers is not None:
        _refuse_another(state_path, numbers["identity"], identity)


def _refuse_another(
    state_path: str | os.PathLike[str],
    earlier: Mapping[str, Any],
    identity: Mapping[str, Any],
) -> None:
    changed = [
        f"{name} was {earlier.get(name)!r} and is now {identity.get(name)!r}"
        for name in sorted({*earlier, *identity})
        if earlier.get(name) != identity.get(name)
    ]
    if changed:
        raise UserError(
            f"{pathlib.Path(state_path).parent}: holds a training with other "
            f"settings: {'; '.join(changed)}. Give the same command to go "
            "on, another --output_dir, or --overwrite_output_dir to start "
            "anew."
        )
