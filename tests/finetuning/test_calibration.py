"""How sure a classifier is, and what becomes of it: temperature, thresholds."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from bert_keras3.finetuning.calibration import (
    Reliability,
    fit_temperature,
    fit_thresholds,
)
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import LabelledJob
from bert_keras3.finetuning.single_label import UNSURE, SingleLabel
from bert_keras3.safekeeping.errors import UserError


def test_the_temperature_of_logits_that_are_too_large():
    """Logits are four times the log-probabilities the labels were drawn by."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 3))
    probabilities = scipy.special.softmax(logits, -1)
    targets = (
        (random.random((len(logits), 1)) > probabilities.cumsum(-1))
        .sum(-1)
        .clip(max=2)
    )
    temperature = fit_temperature(np.float32(4 * logits), targets)
    assert temperature == pytest.approx(4, rel=0.05)
    log_probs = scipy.special.log_softmax(4 * logits / temperature, -1)
    found = Reliability(log_probs, targets).values(temperature)
    # 0.7 is said where it is so; with 20,000 examples 15 bins are near.
    assert found["expected_calibration_error"] < 0.015
    assert found["expected_calibration_error_without"] > 0.2


def test_reliability_by_hand():
    """Three answers near 0.9, of which two are right, and one of 0.6."""
    log_probs = np.log([[0.9, 0.1], [0.9, 0.1], [0.08, 0.92], [0.6, 0.4]])
    found = Reliability(log_probs, np.array([0, 1, 1, 0]))
    assert [one["examples"] for one in found.bins()] == [1, 3]
    by_hand = 1 / 4 * abs(0.6 - 1) + 3 / 4 * abs(2.72 / 3 - 2 / 3)
    assert found.expected_error == pytest.approx(by_hand)
    coverage = {row["least_confidence"]: row for row in found.coverage(0.65)}
    assert coverage[0.0] == {
        **{"least_confidence": 0.0, "coverage": 1.0, "accuracy": 0.75}
    }
    assert coverage[0.65]["coverage"] == 0.75
    assert coverage[0.65]["accuracy"] == pytest.approx(2 / 3)
    assert coverage[0.99]["coverage"] == 0.0


def test_thresholds_by_hand():
    """The second label is best predicted from 0.2 on; the third never is."""
    probabilities = np.array(
        [[0.9, 0.3, 0.1], [0.7, 0.2, 0.1], [0.4, 0.1, 0.1], [0.1, 0.05, 0.9]]
    )
    targets = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(
        fit_thresholds(probabilities, targets), (0.55, 0.15, 0.5)
    )
    task = MultiLabel(("a", "b", "c"), thresholds=(0.55, 0.15, 0.5))
    assert [one.labels for one in task.predictions(probabilities)] == [
        ("a", "b"),
        ("a", "b"),
        (),
        ("c",),
    ]
    in_graph = task.decisions(tf.constant(probabilities, tf.float32))
    assert in_graph["label"].numpy().tolist() == [b"a|b", b"a|b", b"", b"c"]


def test_unsure_in_python_and_in_the_graph():
    task = SingleLabel(("no", "yes"), temperature=2.0, unsure_below=0.7)
    logits = np.float32([[3, 0], [1, 0], [0, 4]])  # 0.82, 0.62, 0.88
    scores = task.scores({"logits": tf.constant(logits)})
    np.testing.assert_allclose(
        scores, scipy.special.softmax(logits / 2, -1), atol=1e-6
    )
    outputs = task.decisions(scores)
    assert outputs["label"].numpy().tolist() == [b"no", b"unsure", b"yes"]
    assert outputs["label_id"].numpy().tolist() == [0, -1, 1]
    predictions = task.predictions(scores.numpy())
    assert [one.label for one in predictions] == ["no", UNSURE, "yes"]
    assert [one.label_id for one in predictions] == [0, -1, 1]


def labelled(job, **flags) -> LabelledJob:
    values = {
        field.name: getattr(job, field.name)
        for field in dataclasses.fields(job)
    }
    return LabelledJob(**{**values, **flags})


def test_from_training_to_predictions(job, change, screen, tmp_path):
    wanted = labelled(
        change(
            job,
            test_file=job.data.train_file,
            do_predict=True,
            do_eval=True,
            unsure_below=0.9999,
            num_train_epochs=1,
        ),
        calibrate=True,
    )
    run(wanted, screen)
    folder = FinetuningFolder(wanted.output_dir)
    options = folder.read_settings().options
    assert options["unsure_below"] == 0.9999
    assert f"temperature {options['temperature']:.4f}" in screen.text
    values = json.loads((folder / "eval_results.json").read_text("utf-8"))
    assert values["calibration"]["temperature"] == options["temperature"]
    with open(folder / "predictions.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    probabilities = [
        max(float(one["probability_blame"]), float(one["probability_praise"]))
        for one in rows
    ]
    assert {row["label"] for row in rows} <= {"blame", "praise", UNSURE}
    for row, probability in zip(rows, probabilities, strict=True):
        if abs(probability - 0.9999) > 1e-5:
            assert (row["label"] == UNSURE) == (probability < 0.9999)
    # Another threshold needs no training; the temperature stays.
    run(
        change(wanted, do_train=False, do_eval=False, unsure_below=0.0),
        screen,
    )
    with open(folder / "predictions.csv", encoding="utf-8") as file:
        again = list(csv.DictReader(file))
    assert UNSURE not in {row["label"] for row in again}
    assert folder.read_settings().options == options


def test_flags_that_do_not_fit(job, change, screen, tmp_path, write_csv):
    numbers = write_csv(
        tmp_path / "numbers.csv",
        [(str(n), "good film", f"{n}.5") for n in range(20)],
    )
    for flags, calibrate, message in (
        ({}, True, "--calibrate is for examples with one or several labels"),
        ({"unsure_below": 0.5}, False, "--unsure_below=0.5 is for problems"),
    ):
        other = change(
            job,
            train_file=str(numbers),
            output_dir=tmp_path / "none",
            **flags,
        )
        with pytest.raises(UserError, match=message):
            run(labelled(other, calibrate=calibrate), screen)
    assert not (tmp_path / "none").exists()
