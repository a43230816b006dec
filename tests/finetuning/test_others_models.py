"""Models that others fine-tuned, used without a training, and ours given back.

Hugging Face folder → run folder → Hugging Face folder: the same task, labels
and answers all the way. The folders are those of `reference/huggingface`.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit, softmax

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
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
from bert_keras3.safekeeping.errors import UserError

TEXTS = 'text\nThe trains was late\n"clean, in Paris"\n'
TOKENS = "The\ntrains\nwas\nlate\n\nclean\n,\nin\nParis\n"
QUESTIONS = "question,context\nwho was late?,The train was late in Paris\n"
CHOICES = (
    "question,choice0,choice1\n"
    "who was late?,The train was late in Paris,clean\n"
)

# Folder → the job's kind, the name and content of its file, further choices.
JOBS = {
    "labels": ("texts", "t.csv", TEXTS, {}),
    "label_sets": ("texts", "t.csv", TEXTS, {}),
    "number": ("texts", "t.csv", TEXTS, {}),
    "tags": ("tokens", "t.conll", TOKENS, {"decode": "argmax"}),
    "spans": ("questions", "q.csv", QUESTIONS, {"max_query_length": 8}),
    "choices": ("texts", "c.csv", CHOICES, {"problem_type": "choice"}),
}
# What finds the class that fits each folder in transformers.
AUTO = {
    "labels": "AutoModelForSequenceClassification",
    "label_sets": "AutoModelForSequenceClassification",
    "number": "AutoModelForSequenceClassification",
    "tags": "AutoModelForTokenClassification",
    "spans": "AutoModelForQuestionAnswering",
    "choices": "AutoModelForMultipleChoice",
}
slow = pytest.mark.slow
ALL = [
    pytest.param(name, marks=() if name in ("labels", "tags") else slow)
    for name in JOBS
]


def job_of(name, reference, folder):
    """A job that predicts with a folder, and trains nothing."""
    kind, file, content, choices = JOBS[name]
    path = folder / file
    path.write_text(content, "utf-8")
    checkpoint = str(reference / "huggingface" / name)
    jobs = {
        "texts": (Job, DataChoices, EncoderChoices),
        "tokens": (TaggerJob, TaggedFiles, TaggerEncoder),
        "questions": (QuestionJob, QuestionFiles, QuestionEncoder),
    }
    job, data, encoder = jobs[kind]
    return job(
        output_dir=folder / "out",
        data=data(test_file=str(path), **choices),
        encoder=encoder(init_checkpoint=checkpoint, max_seq_length=20),
        training=TrainingChoices(),
        do_predict=True,
    )


def rows(reference, name):
    path = reference / "huggingface" / name / "expected.json"
    return json.loads(path.read_text("utf-8"))["rows"]


def predictions(folder):
    with open(folder / "predictions.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def expected_lines(name, reference):
    """What `predictions.csv` has to have in the columns after the label."""
    for row in rows(reference, name):
        logits = np.array(row["logits"])
        yield {
            "labels": softmax,
            "label_sets": expit,
            "number": lambda values: values,
        }[name](logits)


@pytest.mark.parametrize("name", ALL)
def test_a_folder_predicts_and_becomes_a_run_folder(
    name, reference, tmp_path, screen
):
    job = job_of(name, reference, tmp_path)
    run(job, screen)
    out = job.output_dir
    if name in ("labels", "label_sets"):
        for line, wanted in zip(
            predictions(out), expected_lines(name, reference), strict=True
        ):
            labels = checkpointing.open(job.encoder.init_checkpoint).labels
            found = [float(line[f"probability_{label}"]) for label in labels]
            np.testing.assert_allclose(found, wanted, atol=1e-6)
    elif name == "number":
        found = [float(line["label"]) for line in predictions(out)]
        wanted = np.ravel([*expected_lines(name, reference)])
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    elif name == "tags":
        written = (out / "predictions.conll").read_text("utf-8").split("\n\n")
        found = [line.split()[-1] for line in written[1].splitlines()]
        # [CLS] and [SEP] have no tag; each word of this text is one piece.
        logits = rows(reference, name)[1]["logits"][1:-1]
        labels = checkpointing.open(job.encoder.init_checkpoint).labels
        wanted = [labels[n] for n in np.argmax(logits, -1)]
        # A beginning is written with B, whatever it was found as.
        assert [tag[1:] for tag in found] == [tag[1:] for tag in wanted]
    before = checkpointing.open(job.encoder.init_checkpoint)
    after = checkpointing.open(out)
    assert after.task == before.task
    assert after.architecture == before.architecture
    assert after.named_labels == before.named_labels
    assert after.do_lower_case is before.do_lower_case


def test_a_model_of_another_task_is_refused(reference, tmp_path, screen):
    folders = {"labels": "run_classifier.py", "tags": "run_tagger.py"}
    for name, script in folders.items():
        other = next(one for one in folders if one != name)
        job = job_of(other, reference, tmp_path)
        path = str(reference / "huggingface" / name)
        encoder = type(job.encoder)(init_checkpoint=path, max_seq_length=20)
        wrong = type(job)(
            output_dir=job.output_dir,
            data=job.data,
            encoder=encoder,
            training=TrainingChoices(),
            do_predict=True,
        )
        with pytest.raises(UserError, match=f"was trained for .*{script}$"):
            run(wrong, screen)
        assert not (job.output_dir / "classifier.json").exists()


def test_outputs_need_names_of_their_own(reference, tmp_path, screen):
    folder = tmp_path / "labels"
    shutil.copytree(reference / "huggingface/labels", folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["id2label"] = {"0": "good", "1": "bad", "2": "good"}
    (folder / "config.json").write_text(json.dumps(config))
    job = job_of("labels", reference, tmp_path)
    wrong = type(job)(
        output_dir=job.output_dir,
        data=job.data,
        encoder=EncoderChoices(init_checkpoint=str(folder), max_seq_length=20),
        training=TrainingChoices(),
        do_predict=True,
    )
    with pytest.raises(UserError, match="names 2 of its outputs 'good'"):
        run(wrong, screen)


@pytest.mark.slow
def test_a_number_is_no_choice(reference, tmp_path, screen):
    """Both have one output, but a number's is no score among others."""
    job = job_of("choices", reference, tmp_path)
    path = str(reference / "huggingface" / "number")
    wrong = type(job)(
        output_dir=job.output_dir,
        data=job.data,
        encoder=EncoderChoices(init_checkpoint=path, max_seq_length=20),
        training=TrainingChoices(),
        do_predict=True,
    )
    with pytest.raises(UserError, match="giving each text a number"):
        run(wrong, screen)


@pytest.mark.huggingface
@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("transformers", "torch"))),
    reason="needs the extra `huggingface`",
)
def test_run_folders_open_in_transformers(
    reference, root, tmp_path, new_screen
):
    """By the class that it chooses itself, with the same answers."""
    cases, inputs = [], ("input_ids", "token_type_ids")
    for name, auto in AUTO.items():
        (tmp_path / f"job_{name}").mkdir()
        job = job_of(name, reference, tmp_path / f"job_{name}")
        run(job, new_screen())
        convert(job.output_dir, tmp_path / name, Settings("huggingface"))
        given = [
            {key: row[key] for key in inputs} for row in rows(reference, name)
        ]
        (tmp_path / name / "rows.json").write_text(json.dumps(given))
        cases.append({"folder": name, "auto": auto})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    np.savez(tmp_path / "inputs.npz")
    script = root / "tests/checkpointing/run_transformers.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    for name in AUTO:
        text = (tmp_path / name / "answers.json").read_text("utf-8")
        found = json.loads(text)
        config = json.loads(
            (reference / "huggingface" / name / "config.json").read_text()
        )
        assert [found["class"]] == config["architectures"]
        assert found["missing"] == []
        for key in ("id2label", "label2id", "problem_type"):
            assert found[key] == config.get(key, found[key]), (name, key)
        for answer, row in zip(
            found["answers"], rows(reference, name), strict=True
        ):
            for key in (one for one in row if one.endswith("logits")):
                np.testing.assert_allclose(answer[key], row[key], atol=1e-5)
