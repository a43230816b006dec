"""Wrong labels: found by models that have not learnt them."""

from __future__ import annotations

import csv
import dataclasses
import json
import random

import numpy as np
import pytest

pytest.importorskip("cleanlab")

from bert_keras3.finetuning.doubtful_labels import (
    LabelSets,
    find_doubts,
    half_at_most,
)
from bert_keras3.finetuning.label_errors import find_label_errors
from bert_keras3.finetuning.settings import LabelledJob
from bert_keras3.safekeeping.errors import UserError

WRONG = {7, 30, 51, 88}
# The same text as the row before, and the other label.
TWIN = 60


@pytest.fixture
def noisy(tmp_path, checkpoint, write_csv, finished):
    draw = random.Random(1)
    fillers = ["film", "food", "very", "the", "was"]
    rows = []
    for number in range(120):
        label = ("praise", "blame")[number % 2]
        word = draw.choice([("good", "fine"), ("bad", "poor")][number % 2])
        text = " ".join([*draw.choices(fillers, k=4), word])
        rows.append([str(number), text, label])
    for number in WRONG:
        rows[number][2] = ("blame", "praise")[number % 2]
    rows[TWIN][1] = rows[TWIN - 1][1]
    rows.append(["rare", "a film of its own", "neither"])
    train = write_csv(tmp_path / "train.csv", rows)
    job = finished[0]
    return LabelledJob(
        output_dir=tmp_path / "out",
        data=dataclasses.replace(job.data, train_file=str(train)),
        encoder=job.encoder,
        training=job.training,
        find_label_errors=True,
        folds=3,
    )


@pytest.mark.slow
def test_changed_labels_are_found(noisy, screen):
    find_label_errors(noisy, screen)
    out = noisy.output_dir
    with open(out / "label_issues.csv", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    unlikely = {
        int(row["id"]) for row in found if row["reason"] == "unlikely label"
    }
    assert "not looked at: neither (1)" in screen.text
    assert unlikely >= WRONG
    assert len(unlikely) <= len(WRONG) + 2
    assert {TWIN, TWIN - 1} <= {int(row["id"]) for row in found}
    scores = [float(row["score"]) for row in found]
    assert scores == sorted(scores)
    row = next(row for row in found if int(row["id"]) == 7)
    assert (row["label"], row["suggested_label"]) == ("praise", "blame")
    assert row["line"] == "9"
    with open(out / "without_label_issues.csv", encoding="utf-8") as file:
        kept = {row["id"] for row in csv.DictReader(file)}
    assert kept == {"rare"} | {str(n) for n in {*range(120)} - unlikely}

    # The same command takes what is there.
    screen.lines.clear()
    before = (out / "label_issues.csv").read_text("utf-8")
    find_label_errors(noisy, screen)
    assert screen.text.count("was finished before") == 3
    assert (out / "label_issues.csv").read_text("utf-8") == before
    # Equal texts are never on both sides.
    record = json.loads((out / "folds/1/finished.json").read_text("utf-8"))
    assert record["identity"]["task_name"] == "csv"


def test_no_label_loses_more_than_half_of_its_rows():
    """Of the label 0 all four rows are doubtful, of the label 1 one of two."""
    given = np.array([0, 1, 0, 0, 1, 0])
    scores = np.array([0.4, 0.1, 0.2, 0.3, 0.9, 0.1])
    found = half_at_most(np.array([0, 1, 2, 3, 5]), given, scores)
    assert found.tolist() == [1, 2, 5]
    assert half_at_most(np.array([], int), given, scores).tolist() == []


def test_mistakes(noisy, screen, write_csv, tmp_path):
    with pytest.raises(UserError, match="in a command of its own"):
        find_label_errors(dataclasses.replace(noisy, do_eval=True), screen)
    rare = write_csv(
        tmp_path / "rare.csv",
        [(str(n), f"good {n}", "a" if n else "b") for n in range(9)],
    )
    data = dataclasses.replace(noisy.data, train_file=str(rare))
    with pytest.raises(UserError, match="fewer than two labels"):
        find_label_errors(dataclasses.replace(noisy, data=data), screen)
    assert not list(noisy.output_dir.glob("*.csv"))


def test_each_of_several_labels_is_a_question_of_its_own():
    """Row 0 lacks `a`, row 55 has a `b` too many; `c` is too rare to ask."""
    rng = np.random.default_rng(0)
    right = np.zeros((60, 3), int)
    right[:30, 0] = right[20:50, 1] = 1
    right[59, 2] = 1
    given = right.copy()
    given[0, 0], given[55, 1] = 0, 1
    certain = rng.uniform(0.8, 0.9, right.shape)
    probabilities = np.where(right == 1, certain, 1 - certain)
    probabilities[0, 0], probabilities[55, 1] = 0.98, 0.095
    sets = LabelSets(("a", "b", "c"), given, folds=3)
    (note,) = sets.notes
    assert note.endswith("not looked at: c (1)")
    doubts = find_doubts(sets, probabilities)
    assert doubts.unlikely.tolist() == [0, 55]
    np.testing.assert_allclose(doubts.scores[[0, 55]], [0.02, 0.095])
    assert [sets.shown(row) for row in (0, 25, 55)] == ["", "a|b", "b"]
    assert [doubts.suggested[row] for row in (0, 25, 55)] == ["a", "a|b", ""]
    # One of 31 rows without `a` is above all with it, one of 31 with `b` below.
    said, note = sets.learnt(probabilities)
    assert said.endswith(f"learnt: {30 / 31:.4f}")
    assert note is None
    # 0.905 is not ten times 0.095.
    assert doubts.left_out.tolist() == [0]
    # Each fold has its share of the rarest label that a row has.
    assert sets.strata[[1, 35, 50]].tolist() == [0, 1, 3]


@pytest.mark.slow
def test_changed_ones_of_several_labels_are_found(
    noisy, screen, write_csv, tmp_path
):
    """The words say which labels a text has; two lack `film`."""
    draw = random.Random(2)
    rows = []
    for number in range(120):
        is_good, is_film = number % 2, number // 2 % 2
        words = [
            draw.choice(["very", "the", "was"]),
            draw.choice([("bad", "poor"), ("good", "fine")][is_good]),
            ("food", "film")[is_film],
        ]
        rows.append([str(number), " ".join(words), is_good, is_film])
    for number in (7, 30):
        rows[number][3] = 1 - rows[number][3]
    names = ("id", "text", "good", "film")
    train = write_csv(tmp_path / "sets.csv", rows, names)
    file = dataclasses.replace(noisy.data.file, label="good,film")
    data = dataclasses.replace(noisy.data, train_file=str(train), file=file)
    training = dataclasses.replace(noisy.training, num_train_epochs=20)
    job = dataclasses.replace(noisy, data=data, training=training)
    find_label_errors(job, screen)
    assert "mean area under the ROC curve" in screen.text
    with open(job.output_dir / "label_issues.csv", encoding="utf-8") as file:
        found = {
            int(row["id"]): row
            for row in csv.DictReader(file)
            if row["reason"] == "unlikely label"
        }
    assert set(found) >= {7, 30}
    assert len(found) <= 4
    assert (found[7]["label"], found[7]["suggested_label"]) == (
        "good",
        "good|film",
    )
    assert (found[30]["label"], found[30]["suggested_label"]) == ("", "film")


def test_a_label_that_is_not_learnt_is_not_looked_at():
    """Of `a` the models know nothing, and so all that have it are unlikely."""
    given = np.zeros((40, 2), int)
    given[:10, 0] = given[20:, 1] = 1
    probabilities = np.where(given == 1, 0.9, 0.1)
    probabilities[:, 0] = 0.05
    sets = LabelSets(("a", "b"), given, folds=3)
    _, note = sets.learnt(probabilities)
    assert note == "too little is learnt to look at a (0.50)"
    doubts = find_doubts(sets, probabilities)
    assert not len(doubts.unlikely)
    assert doubts.suggested == [sets.shown(row) for row in range(40)]
