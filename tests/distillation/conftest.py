"""A small teacher, trained on the spot, and a job for its students."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import pytest

from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    LabelledJob,
    TrainingChoices,
)

# The vocabulary of `small_bert` has letters and pieces of words.
LABELLED = [
    (f"{word} {more}", label)
    for word, label in (("a b", "one"), ("c d", "two"))
    for more in ("e", "f e", "g h e", "h", "f g h e f", "i")
]
UNLABELLED = ["a b c", "d e", "f a b g h e i"]


class Transcript:
    """A screen that remembers what it was shown."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def table(self, headers, rows, title=None):
        pass

    @property
    def text(self):
        return "\n".join(self.lines)


@pytest.fixture
def screen() -> Transcript:
    return Transcript()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> pathlib.Path:
    """A folder with `train.csv` and `unlabelled.csv`."""
    path = tmp_path_factory.mktemp("distillation")
    for name, rows in (
        ("train.csv", [("text", "label"), *LABELLED]),
        # As `fill_mask.py --task=augment` writes it.
        ("unlabelled.csv", [("id", "text"), *enumerate(UNLABELLED)]),
    ):
        with open(path / name, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    return path


@pytest.fixture(scope="session")
def teacher(folder, small_bert) -> LabelledJob:
    """The job that trained the teacher, of three layers."""
    job = LabelledJob(
        output_dir=folder / "teacher",
        data=DataChoices(train_file=str(folder / "train.csv")),
        encoder=EncoderChoices(
            init_checkpoint=str(small_bert), max_seq_length=16
        ),
        training=TrainingChoices(
            train_batch_size=4, num_train_epochs=2, learning_rate=1e-3
        ),
        do_train=True,
    )
    run(job, Transcript())
    return job


@pytest.fixture
def job(teacher, tmp_path) -> LabelledJob:
    """The job of a student."""
    return dataclasses.replace(
        teacher, output_dir=tmp_path / "student", encoder=EncoderChoices()
    )


@pytest.fixture
def settings(teacher) -> DistillationSettings:
    """A student that begins with two layers of the teacher."""
    return DistillationSettings(
        teacher=str(teacher.output_dir), num_student_layers=2
    )
