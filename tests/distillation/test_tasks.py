"""Every kind of task has students: from its files to a run folder."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys

import pytest

from bert_keras3.commands import distill as command
from bert_keras3.distillation.job import distill
from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    LabelledJob,
    TrainingChoices,
)
from bert_keras3.finetuning.span_settings import (
    QuestionEncoder,
    QuestionFiles,
    QuestionJob,
)
from bert_keras3.finetuning.tagging_settings import (
    TaggedFiles,
    TaggerEncoder,
    TaggerJob,
)


def table(path, *rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def multi_label(folder):
    rows = [("a b", "x y"), ("c d", "y"), ("e f", "x"), ("g", "y x")] * 2
    path = table(folder / "train.csv", ("text", "label"), *rows)
    return DataChoices(
        train_file=path, problem_type="multi_label", label_separator=" "
    )


def regression(folder):
    rows = [("a b", 0.5), ("c d", 1.25), ("e f", 2.5), ("g", 3.125)] * 2
    path = table(folder / "train.csv", ("text", "score"), *rows)
    return DataChoices(train_file=path, problem_type="regression")


def choice(folder):
    rows = [("a", "b c", "d", 0), ("c", "e", "f g", 1)] * 4
    path = table(
        folder / "train.csv", ("text", "ending0", "ending1", "label"), *rows
    )
    return DataChoices(train_file=path)


def windows(folder):
    rows = [("a b c d e f g h " * 3, "one"), ("c d", "two")] * 4
    path = table(folder / "train.csv", ("text", "label"), *rows)
    return DataChoices(train_file=path, long_text="windows")


def tagging(folder):
    path = folder / "train.conll"
    path.write_text("a B-PER\nb I-PER\nc O\n\nd O\ne B-LOC\n\n" * 4, "utf-8")
    return TaggedFiles(train_file=str(path))


def span(folder):
    questions = [
        {
            "id": str(number),
            "question": "a b ?",
            "answers": [{"text": "d e", "answer_start": 2}],
        }
        for number in range(8)
    ]
    document = {"paragraphs": [{"context": "c d e f g", "qas": questions}]}
    path = folder / "train.json"
    path.write_text(json.dumps({"version": "1.1", "data": [document]}), "utf-8")
    return QuestionFiles(train_file=str(path), doc_stride=4, max_query_length=4)


KINDS = {
    multi_label: (LabelledJob, EncoderChoices),
    regression: (LabelledJob, EncoderChoices),
    choice: (LabelledJob, EncoderChoices),
    windows: (LabelledJob, EncoderChoices),
    tagging: (TaggerJob, TaggerEncoder),
    span: (QuestionJob, QuestionEncoder),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", KINDS, ids=lambda one: one.__name__)
def test_a_student(data, tmp_path, small_bert, screen):
    kind, encoder = KINDS[data]
    files = data(tmp_path)
    job = kind(
        output_dir=tmp_path / "teacher",
        data=files,
        encoder=encoder(init_checkpoint=str(small_bert), max_seq_length=16),
        training=TrainingChoices(
            train_batch_size=4, num_train_epochs=1, learning_rate=1e-3
        ),
        do_train=True,
    )
    run(job, screen)
    weights = {"hidden_weight": 1.0, "attention_weight": 1.0}
    for name, more in (("stored", {}), ("online", weights)):
        student = dataclasses.replace(
            job, output_dir=tmp_path / name, encoder=encoder()
        )
        settings = DistillationSettings(
            teacher=str(job.output_dir), num_student_layers=2, **more
        )
        distill(student, settings, screen)
        kept = json.loads(
            (tmp_path / name / "classifier.json").read_text("utf-8")
        )
        before = json.loads(
            (tmp_path / "teacher" / "classifier.json").read_text("utf-8")
        )
        for key in ("problem", "labels", "options", "max_seq_length"):
            assert kept[key] == before[key]


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"classifier.json": {"problem": "tagging"}}, "--tag_column"),
        (
            {"config.json": {"architectures": ["BertForQuestionAnswering"]}},
            "--predict_file",
        ),
        ({"config.json": {"architectures": ["BertModel"]}}, "--label_column"),
        ({}, "--label_column"),
    ],
)
def test_flags_are_those_of_the_teachers_task(
    settings, flag, tmp_path, monkeypatch, capsys
):
    for name, content in settings.items():
        (tmp_path / name).write_text(json.dumps(content), "utf-8")
    monkeypatch.setattr(
        sys, "argv", ["distill.py", f"--teacher={tmp_path}", "--help"]
    )
    with pytest.raises(SystemExit) as done:
        command.command()
    assert done.value.code == 0
    assert flag in capsys.readouterr().out


def test_flags_of_the_general_stage(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["distill.py", "--input_file=x", "--help"])
    with pytest.raises(SystemExit):
        command.command()
    assert "--num_train_steps" in capsys.readouterr().out
