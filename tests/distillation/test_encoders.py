"""Vectors, attention maps and embeddings of two encoders are compared."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from bert_keras3.distillation.loss import DistillationLoss
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.distillation.student import Student
from bert_keras3.distillation.teacher import Teacher
from bert_keras3.finetuning.single_label import SingleLabel
from modeling import BertConfig, BertWithHeads

TASK = SingleLabel(("a", "b"))
INPUTS = {
    "input_ids": np.array([[1, 2, 4, 0], [1, 3, 0, 0]], "int32"),
    "input_mask": np.array([[1, 1, 1, 0], [1, 1, 0, 0]], "int32"),
    "segment_ids": np.zeros([2, 4], "int32"),
}


def model_of(layers, width, seed):
    keras.utils.set_random_seed(seed)
    config = BertConfig(
        vocab_size=5,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        initializer_range=0.5,
    )
    return BertWithHeads(config, TASK.heads, TASK.labels)


@pytest.fixture(scope="module")
def teacher():
    return Teacher(model_of(3, 6, 1), TASK, 0)


@pytest.fixture(scope="module")
def student(teacher):
    return Student(model_of(2, 4, 2), teacher.model.bert.config, seed=3)


def loss_of(student, teacher, mapping=(0, 2), training=False, **weights):
    settings = DistillationSettings(
        teacher="", label_weight=0, logits_weight=0, **weights
    )
    loss = DistillationLoss(settings, TASK, teacher, mapping)
    return float(loss(student, INPUTS, training))


def of_rows(of_tokens):
    """[B, S] → the mean over tokens, then over rows."""
    mask = INPUTS["input_mask"]
    return ((of_tokens * mask).sum(1) / mask.sum(1)).mean()


def difference(mine, theirs, matrix):
    return of_rows(np.square(mine @ matrix - theirs).mean(-1))


# Tolerance: sums of a few hundred numbers in float32, in another order.
TOLERANCE = 1e-5


def test_vectors_of_layers(student, teacher):
    mine, theirs = (
        [np.asarray(one) for one in model.bert(INPUTS)["all_encoder_layers"]]
        for model in (student.model, teacher.model)
    )
    matrix = np.asarray(student.hidden_map.kernel)
    assert matrix.shape == (4, 6)
    expected = np.mean(
        [
            difference(mine[0], theirs[0], matrix),
            difference(mine[1], theirs[2], matrix),
        ]
    )
    found = loss_of(student, teacher, hidden_weight=2)
    assert found == pytest.approx(2 * expected, rel=TOLERANCE)


def test_embeddings(student, teacher):
    mine, theirs = (
        np.asarray(model.bert(INPUTS)["embedding_output"])
        for model in (student.model, teacher.model)
    )
    expected = difference(
        mine, theirs, np.asarray(student.embedding_map.kernel)
    )
    found = loss_of(student, teacher, mapping=(), embedding_weight=3)
    assert found == pytest.approx(3 * expected, rel=TOLERANCE)


def test_attention_maps(student, teacher):
    mine, theirs = (
        [
            np.asarray(one, np.float64)
            for one in model.bert.encode(
                INPUTS, outputs=["attention"], unpad=False
            ).attention
        ]
        for model in (student.model, teacher.model)
    )
    expected = np.mean(
        [
            of_rows(
                (
                    theirs[t]
                    * (np.log(theirs[t] + 1e-9) - np.log(mine[m] + 1e-9))
                )
                .sum(-1)
                .mean(1)
            )
            for m, t in ((0, 0), (1, 2))
        ]
    )
    found = loss_of(student, teacher, attention_weight=1)
    # A difference of logarithms of probabilities near 0.
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_copy_of_the_teacher_has_nothing_to_learn(teacher):
    copy = model_of(3, 6, 4)
    copy.set_weights(teacher.model.get_weights())
    student = Student(copy, teacher.model.bert.config, seed=3)
    weights = {
        "hidden_weight": 1,
        "attention_weight": 1,
        "embedding_weight": 1,
    }
    # The maps begin as the identity.
    assert loss_of(student, teacher, (0, 1, 2), **weights) == 0


def test_the_teacher_is_no_part_of_the_student(student):
    names = {weight.path for weight in student.weights}
    assert sum("hidden_map" in name for name in names) == 1
    # Weights of 2 layers, not of 5.
    assert sum("query/kernel" in name for name in names) == 2
