"""How far a student is from its teacher, for every kind of task."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bert_keras3.distillation.loss import (
    IS_LABELLED,
    DistillationLoss,
    row_weights,
)
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.finetuning.choice import Choice
from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.finetuning.regression import Regression
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.span import Span
from bert_keras3.finetuning.tagging import Tagging
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.inputs.feature_store import Column, joined, store_in_memory
from modeling import losses

AB = ("a", "b")


def f32(*values):
    return np.array(values, "float32")


def test_divergence_by_hand():
    """Teacher (3/4, 1/4) at T = 1; at T = 2 its logits are halved."""
    student, teacher = f32(0, 0), f32(math.log(3), 0)
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(losses.divergence(student, teacher, 1.0)) == pytest.approx(
        expected, abs=1e-6
    )
    root = math.sqrt(3)
    p = root / (1 + root)
    expected = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    assert float(losses.divergence(student, teacher, 2.0)) == pytest.approx(
        expected, abs=1e-6
    )


HALF = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
LN3 = math.log(3)
# Task, teacher's outputs where the student's are all 0, features, loss.
CASES = [
    (SingleLabel(AB), {"logits": f32([LN3, 0], [0, 0])}, {}, HALF / 2),
    # Of two labels the first is 3/4.
    (MultiLabel(AB), {"logits": f32([LN3, 0])}, {}, HALF / 2),
    (Regression(("score",)), {"logits": f32([3], [1])}, {}, 5.0),
    # −10000 is padding. One end agrees.
    (
        Span(),
        {
            "start_logits": f32([LN3, 0, -10000]),
            "end_logits": f32([0, 0, -10000]),
        },
        {},
        HALF / 2,
    ),
    # Two of three tokens of the first row count, and none of them differs.
    (
        Tagging(AB),
        {"logits": f32([[0, 0], [0, 0], [9, 0]], [[LN3, 0]] * 3)},
        {"input_mask": np.array([[1, 1, 0], [1, 1, 1]])},
        HALF / 2,
    ),
    # Rows 0 and 1 are the choices of an example, row 2 is alone.
    (
        Choice(),
        {"logits": f32([LN3 + 5], [5], [7])},
        {"example": np.array([0, 0, 1])},
        HALF / 2,
    ),
    # Two windows of one text, whose mean is compared, and a text of one.
    (
        SingleLabel(AB, long_text="windows"),
        {"logits": f32([LN3 + 1, 0], [LN3 - 1, 0], [0, 0])},
        {"example": np.array([0, 0, 1])},
        HALF / 2,
    ),
]


def zeros_like(teacher):
    """The outputs of a student that knows nothing; padding stays."""
    return {
        name: np.where(one == -10000, one, 0) for name, one in teacher.items()
    }


@pytest.mark.parametrize(
    ("task", "teacher", "features", "expected"),
    CASES,
    ids=[type(case[0]).__name__ for case in CASES],
)
def test_soft_losses(task, teacher, features, expected):
    found = task.soft_loss(zeros_like(teacher), teacher, features, 1.0)
    # float32: seven digits.
    assert float(found) == pytest.approx(expected, abs=1e-6)
    assert float(task.soft_loss(teacher, teacher, features, 3.0)) == 0


def test_every_task_has_one():
    assert {type(case[0]).name for case in CASES} == set(TASKS)


class Echo:
    """A student whose logits are a feature."""

    @property
    def model(self):
        return self

    def encode(self, features, outputs=(), training=None):
        return features

    def logits_of(self, encoded, features, training):
        return {"logits": encoded["mine"]}


class Known:
    """A teacher whose outputs are stored."""

    columns = ("teacher/logits",)


def loss_of(task, features, **weights):
    settings = DistillationSettings(teacher="", temperature=1.0, **weights)
    found = DistillationLoss(settings, task, Known())(Echo(), features, True)
    return float(found)


FEATURES = {
    "mine": f32([0, 0], [0, 0], [0, 0], [0, 0]),
    "teacher/logits": f32([LN3, 0], [0, 0], [0, LN3], [0, 0]),
    "targets": np.array([0, 1, 0, 0]),
}


def test_the_loss_is_a_weighted_sum():
    task = SingleLabel(AB)
    found = loss_of(task, FEATURES, label_weight=0.5, logits_weight=3.0)
    assert found == pytest.approx(0.5 * math.log(2) + 3 * HALF / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("is_labelled", "share"),
    [([1, 1, 1, 1], 1), ([1, 0, 0, 1], 1 / 2), ([0, 0, 0, 0], 0)],
)
def test_rows_without_a_label_add_nothing_to_its_loss(is_labelled, share):
    features = {**FEATURES, IS_LABELLED: np.array(is_labelled)}
    weights = {"label_weight": 1.0, "logits_weight": 0.0}
    found = loss_of(SingleLabel(AB), features, **weights)
    assert found == pytest.approx(share * math.log(2), abs=1e-6)


def test_examples_of_several_rows_without_a_label():
    """The second of three examples, rows 1 and 2, has none."""
    features = {
        "mine": f32([0], [0], [0], [0], [0]),
        "targets": np.array([1, 0, 0, 1, 0]),
        "example": np.array([0, 1, 1, 2, 2]),
        IS_LABELLED: np.array([1, 0, 0, 1, 1]),
    }
    weights = {"label_weight": 1.0, "logits_weight": 0.0}
    found = loss_of(Choice(), features, **weights)
    assert found == pytest.approx((0 + math.log(2)) / 3, abs=1e-6)


def test_rows_weigh_so_that_the_mean_is_over_examples():
    features = {"example": np.array([0, 0, 1])}
    assert row_weights(features).numpy() == pytest.approx([0.75, 0.75, 1.5])


def test_rows_of_two_stores(tmp_path):
    """Labelled rows, and then others without a label."""
    per_token = Column("int32", per_token=True)
    first = store_in_memory(
        [
            (0, {"input_ids": [2, 7, 3], "targets": 1}),
            (1, {"input_ids": [2, 3], "targets": 1}),
        ],
        {"input_ids": per_token, "targets": Column("int32")},
    )
    second = store_in_memory(
        [(0, {"input_ids": [2, 8, 3]}), (0, {"input_ids": [2, 9, 3]})],
        {"input_ids": per_token},
    )
    store = joined(tmp_path, first, second)
    assert store.examples.tolist() == [0, 1, 2, 2]
    batch = store.padded([1, 2, 3])
    assert batch["input_ids"].tolist() == [[2, 3, 0], [2, 8, 3], [2, 9, 3]]
    assert batch["targets"].tolist() == [1, 0, 0]
