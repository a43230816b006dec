"""Which layers of a teacher become those of a student."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.distillation.layers import CHOICES, layers_of, with_layers
from bert_keras3.safekeeping.errors import UserError


@pytest.mark.parametrize(
    ("given", "student", "teacher", "chosen"),
    [
        ("uniform", 3, 6, [2, 4, 6]),
        ("uniform", 4, 6, [2, 3, 5, 6]),
        ("uniform", 1, 6, [6]),
        ("uniform", 6, 6, [1, 2, 3, 4, 5, 6]),
        ("every_other", 3, 6, [1, 3, 5]),
        ("first", 2, 6, [1, 2]),
        ("last", 2, 6, [5, 6]),
        ("top", 2, 6, [5, 6]),
        ("1,4,6", 3, 6, [1, 4, 6]),
    ],
)
def test_layers(given, student, teacher, chosen):
    found = layers_of(
        "take_layers", given.split(","), student, teacher, [*CHOICES]
    )
    assert [number + 1 for number in found] == chosen


@pytest.mark.parametrize(
    ("given", "student", "message"),
    [
        ("middle", 2, "give uniform, every_other, first, last, top, or"),
        ("1,2", 3, "names 2 layers, the student has 3"),
        ("0,2", 2, "the teacher has layers 1 to 6"),
        ("2,1", 2, "their numbers must rise"),
        ("every_other", 4, "these would be 1, 3, 5, 7; the teacher has"),
        ("last", 7, "the teacher has layers 1 to 6"),
    ],
)
def test_other_layers(given, student, message):
    with pytest.raises(UserError, match=message):
        layers_of("take_layers", given.split(","), student, 6, [*CHOICES])


def test_a_student_has_the_weights_of_its_teacher(small_bert):
    """Layers 2 and 3 become 1 and 2; all that is no layer stays."""
    teacher = checkpointing.open(small_bert)
    student = with_layers(teacher, [1, 2])
    assert student.config.num_hidden_layers == 2
    assert teacher.config.num_hidden_layers == 3
    name = "bert/encoder/layer_{}/output/dense/kernel"
    for mine, theirs in ((0, 1), (1, 2)):
        np.testing.assert_array_equal(
            student.arrays[name.format(mine)],
            teacher.arrays[name.format(theirs)],
        )
    assert name.format(2) not in student.arrays
    table = "bert/embeddings/word_embeddings"
    np.testing.assert_array_equal(student.arrays[table], teacher.arrays[table])
