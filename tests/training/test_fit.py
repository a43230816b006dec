"""The loop on a tiny model: when it evaluates, stops, saves and goes on."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import re
import signal
import threading

import keras
import numpy as np
import pytest
from rich.console import Console

from bert_keras3.safekeeping.errors import StoppedError, UserError
from bert_keras3.training.callbacks import ProgressBar, TrainingLog
from bert_keras3.training.fit import (
    FitSettings,
    Training,
    fit,
    lower_is_better,
)
from bert_keras3.training.state import check_same_training


@pytest.fixture
def training(make, loss, batches, tmp_path, weights_of):
    """A function that fits and returns (result, weights, saved weights)."""

    def run(
        folder="one",
        figures=None,
        callbacks=(),
        identity=None,
        optimizer=None,
        **kwargs,
    ):
        model, optimizer, _ = make(rate=0.5, **(optimizer or {}))
        saved = []
        settings = FitSettings(
            **{"num_train_steps": 6, "epoch_ends": (2, 4, 6), **kwargs}
        )
        evaluate = None
        if figures is not None:
            values = iter(figures)
            evaluate = lambda: {"accuracy": next(values), "loss": 1.0}  # noqa: E731
        result = fit(
            Training(
                model,
                loss,
                optimizer,
                batches,
                identity or {"seed": 1},
                lambda: saved.append(weights_of(model)),
                evaluate,
            ),
            settings,
            tmp_path / folder / "state.safetensors",
            callbacks=callbacks,
        )
        return result, weights_of(model), saved

    return run


class StopAtError(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self._step = step

    def on_train_batch_end(self, batch, logs=None):
        if batch == self._step:
            raise StopAtError


class SignalIn(keras.callbacks.Callback):
    """As if Ctrl-C were pressed in a step, so many times."""

    def __init__(self, step, number=signal.SIGINT, times=1):
        super().__init__()
        self._step, self._number, self._times = step, number, times

    def on_train_batch_begin(self, batch, logs=None):
        if batch + 1 == self._step:
            for _ in range(self._times):
                signal.raise_signal(self._number)


def assert_same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_evaluations_the_last_weights_are_kept(training):
    result, weights, saved = training()
    assert dataclasses.astuple(result) == (6, 0, None, None, False)
    assert len(saved) == 1
    assert_same_bits(saved[0], weights)


def test_the_best_weights_are_kept(training):
    result, weights, saved = training(
        figures=[0.5, 0.7, 0.6], best_metric="accuracy"
    )
    assert (result.best_step, result.best_value) == (4, 0.7)
    assert len(saved) == 2
    with pytest.raises(AssertionError):
        assert_same_bits(saved[-1], weights)


def test_evaluations_between_the_passes(training):
    """After steps 2, 4 and 6, and every third: 2, 3, 4, 6."""
    result, _, _ = training(
        figures=[0.1, 0.2, 0.3, 0.4], eval_steps=3, best_metric="accuracy"
    )
    assert result.best_step == 6


def test_patience(training):
    result, _, _ = training(
        figures=[0.7, 0.6, 0.7], patience=2, best_metric="accuracy"
    )
    assert (result.step, result.best_step, result.stopped_early) == (6, 2, True)


def test_errors_are_to_be_small():
    assert lower_is_better("loss")
    assert lower_is_better("mean_absolute_error")
    assert not lower_is_better("accuracy")


@pytest.mark.parametrize("stop", [1, 5])
def test_a_run_that_was_stopped_ends_with_the_same_bits(training, stop):
    """Saved after steps 2 and 4; dropout and the order of data go on."""
    _, whole, _ = training("whole")
    with pytest.raises(StopAtError):
        training("stopped", callbacks=[StopAt(stop)])
    result, weights, _ = training("stopped")
    assert result.resumed_from == (stop - 1) // 2 * 2
    assert_same_bits(weights, whole)
    again, weights, saved = training("stopped")
    assert (again.resumed_from, again.step, saved) == (6, 6, [])
    assert_same_bits(weights, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_signal_waits_for_the_step_and_the_state(training, number, step):
    """After step 3 nothing would be saved; 6 is the last."""
    before = signal.getsignal(number)
    figures = [0.5, 0.7, 0.6]
    kept = {"figures": figures, "best_metric": "accuracy"}
    whole_result, whole, whole_saved = training("whole", **kept)
    with pytest.raises(
        StoppedError, match=f"^stopped at step {step} of 6; run"
    ):
        training("stopped", callbacks=[SignalIn(step, number)], **kept)
    assert signal.getsignal(number) is before
    # What was due after the step comes first when it goes on.
    kept["figures"] = figures[(step - 1) // 2 :]
    result, weights, saved = training("stopped", **kept)
    assert result == dataclasses.replace(whole_result, resumed_from=step)
    assert_same_bits(weights, whole)
    if saved:
        assert_same_bits(saved[-1], whole_saved[-1])


def test_the_signal_that_came_is_told(training):
    with pytest.raises(StoppedError) as caught:
        training(callbacks=[SignalIn(2, signal.SIGTERM)])
    assert caught.value.signal == signal.SIGTERM


def test_a_signal_does_not_wait_for_an_evaluation(training):
    """Which may be long; it is made again."""

    def figures():
        yield 0.5
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the evaluation went on")

    kept = {"best_metric": "accuracy"}
    whole = training("whole", figures=[0.5, 0.7, 0.6], **kept)[1:]
    with pytest.raises(StoppedError, match="at step 4 of 6"):
        training("stopped", figures=figures(), **kept)
    result, *again = training("stopped", figures=[0.7, 0.6], **kept)
    assert (result.resumed_from, result.best_step) == (4, 4)
    for ours, theirs in zip(again[1], whole[1][1:], strict=True):
        assert_same_bits(ours, theirs)
    assert_same_bits(again[0], whole[0])


def test_the_second_signal_waits_for_nothing(training):
    """The state is the one after step 2."""
    _, whole, _ = training("whole")
    with pytest.raises(KeyboardInterrupt) as caught:
        training("stopped", callbacks=[SignalIn(4, times=2)])
    assert caught.type is KeyboardInterrupt
    result, weights, _ = training("stopped")
    assert result.resumed_from == 2
    assert_same_bits(weights, whole)


def test_signals_are_left_alone_where_they_cannot_be_had(training):
    """In other threads; and those that are ignored, as behind `nohup`."""
    results = []
    thread = threading.Thread(target=lambda: results.append(training()[0]))
    thread.start()
    thread.join()
    assert results[0].step == 6
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        result, _, _ = training("ignoring", callbacks=[SignalIn(3)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.step == 6


@pytest.mark.parametrize(
    "optimizer",
    [{"name": "adamw", "lazy_embeddings": True}, {"name": "lamb"}],
)
def test_every_optimizer_goes_on_with_its_slots(training, optimizer):
    _, whole, _ = training("whole", optimizer=optimizer)
    with pytest.raises(StopAtError):
        training("stopped", callbacks=[StopAt(5)], optimizer=optimizer)
    result, weights, _ = training("stopped", optimizer=optimizer)
    assert result.resumed_from == 4
    assert_same_bits(weights, whole)


def test_another_training_is_refused(training, tmp_path):
    training()
    with pytest.raises(UserError, match=r"one: .* seed was 1 and is now 2"):
        training(identity={"seed": 2})
    path = tmp_path / "one" / "state.safetensors"
    with pytest.raises(UserError, match="rate was None and is now 1"):
        check_same_training(path, {"seed": 1, "rate": 1})
    with pytest.raises(UserError, match="settings: the data is not the same"):
        check_same_training(path, {"seed": 1, "data": 7})
    check_same_training(path, {"seed": 1})
    check_same_training(tmp_path / "nothing", {"seed": 1})


def test_of_another_configuration_the_fields_that_differ_are_told(training):
    config = dict.fromkeys("abcdefgh", 1)
    training(identity={"seed": 1, "config": config})
    with pytest.raises(UserError) as caught:
        training(identity={"seed": 1, "config": {**config, "c": 2}})
    assert "settings: config.c was 1 and is now 2. Give" in str(caught.value)
    with pytest.raises(
        UserError, match=r"config\.e was 1 .*; and 3 more\. Give"
    ):
        training(identity={"seed": 1, "config": dict.fromkeys(config, 2)})


def test_the_log_goes_on_where_the_state_is(training, tmp_path):
    path = tmp_path / "log.jsonl"
    with pytest.raises(StopAtError):
        training(
            figures=itertools.repeat(0.5),
            best_metric="accuracy",
            callbacks=[TrainingLog(path), StopAt(5)],
        )
    # As a full disk leaves it.
    with path.open("a", encoding="utf-8") as file:
        file.write('{"step": 5, "lo')
    training(
        figures=itertools.repeat(0.5),
        best_metric="accuracy",
        callbacks=[TrainingLog(path)],
    )
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 4, 6, 6]
    assert lines[1]["evaluation"] == {"accuracy": 0.5, "loss": 1.0}
    assert lines[3]["learning_rate"] == pytest.approx(0.075)


def test_a_log_that_cannot_be_written_is_told_as_it_is(training, tmp_path):
    """And not as the fault of whoever closes the file that is not open."""
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        training(callbacks=[TrainingLog(path)])


def test_the_bar_without_a_terminal(training):
    """One line when it is done and one for each evaluation."""
    shown = io.StringIO()
    training(
        figures=[0.5, 0.25, 0.125],
        callbacks=[
            ProgressBar(
                "accuracy",
                Console(file=shown, width=80),
                itertools.count().__next__,
            )
        ],
    )
    lines = shown.getvalue().splitlines()
    assert lines[:2] == [
        "step 2: accuracy 0.5, loss 1",
        "step 4: accuracy 0.25, loss 1",
    ]
    assert lines[2].startswith("step 6/6: mean loss ")
    assert "learning rate 0.075, " in lines[2]
    # The batches of these trainings have no tokens.
    assert "tokens/s" not in lines[2]
    assert re.search(r", \d+ MB, best accuracy 0\.5000, 0 s left$", lines[2])


def test_the_bar_tells_how_fast_it_is():
    """Tokens of the steps since the last line, without the evaluation."""
    shown = io.StringIO()
    clock = iter([0, 10, 20, 30, 40, 60]).__next__
    bar = ProgressBar("loss", Console(file=shown, width=80), clock)
    bar.on_train_begin({"step": 0, "num_train_steps": 3})
    step = {"loss": 1.0, "learning_rate": 0.1, "tokens": 300}
    bar.on_train_batch_end(1, step)  # at 10 s
    bar.on_test_begin()  # at 20 s
    bar.on_test_end({"step": 1, "loss": 0.75})  # at 30 s
    bar.on_train_batch_end(2, step)  # at 40 s: 600 tokens in 30 s
    bar.on_train_batch_end(3, step)  # at 60 s: 300 in 20 s
    lines = shown.getvalue().splitlines()
    assert ", 20 tokens/s, " in lines[1]
    assert ", best loss 0.7500, 20 s left" in lines[1]
    assert ", 15 tokens/s, " in lines[2]


def test_the_bar_on_a_terminal(training):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    training(callbacks=[ProgressBar(console=console)])
    assert "6/6" in shown.getvalue()
    assert "rate 0.075" in shown.getvalue()
