"""The loop on a tiny model: when it evaluates, stops, saves and goes on."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json

import keras
import numpy as np
import pytest
from rich.console import Console

from safekeeping.errors import UserError
from training.callbacks import ProgressBar, TrainingLog
from training.fit import (
    FitSettings,
    fit,
    lower_is_better,
)
from training.identity import refuse_another_training


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
            model,
            loss,
            optimizer,
            batches,
            settings,
            state_path=tmp_path / folder / "state.safetensors",
            identity=identity or {"seed": 1},
            save_weights=lambda: saved.append(weights_of(model)),
            evaluate=evaluate,
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
        refuse_another_training(path, {"seed": 1, "rate": 1})
    with pytest.raises(UserError, match="settings: the data is not the same"):
        refuse_another_training(path, {"seed": 1, "data": 7})
    refuse_another_training(path, {"seed": 1})
    refuse_another_training(tmp_path / "nothing", {"seed": 1})


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
        callbacks=[ProgressBar(Console(file=shown, width=80), lambda: 0.0)],
    )
    lines = shown.getvalue().splitlines()
    assert lines[:2] == [
        "step 2: accuracy 0.5, loss 1",
        "step 4: accuracy 0.25, loss 1",
    ]
    assert lines[2].startswith("step 6/6: mean loss ")
    assert lines[2].endswith("rate 0.075, 0 s left")


def test_the_bar_on_a_terminal(training):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    training(callbacks=[ProgressBar(console)])
    assert "6/6" in shown.getvalue()
    assert "rate 0.075" in shown.getvalue()
