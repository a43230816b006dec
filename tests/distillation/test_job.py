"""A student learns from its teacher, from beginning to end."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bert_keras3.distillation.job import distill
from bert_keras3.distillation.teacher import Teacher
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import SearchChoices
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import export
from bert_keras3.training import fit
from bert_keras3.training.settings import Computing
from modeling import heads


def weights_of(job):
    """Returns {name: array} of the trained model in a folder."""
    from bert_keras3 import checkpointing

    arrays = checkpointing.read(job.output_dir)
    return {name: arrays[name] for name in arrays}


def losses_of(job):
    """Returns the loss of each step."""
    with open(job.output_dir / "training_log.jsonl", encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    return [entry["loss"] for entry in entries if "loss" in entry]


@pytest.fixture
def plain_teacher(teacher, small_bert, screen, tmp_path, monkeypatch):
    """A teacher whose students have no dropout."""
    monkeypatch.setattr(heads, "CLASSIFIER_DROPOUT_PROB", 0.0)
    config = json.loads((small_bert / "bert_config.json").read_text("utf-8"))
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        config[name] = 0.0
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), "utf-8")
    encoder = dataclasses.replace(teacher.encoder, bert_config_file=str(path))
    path = tmp_path / "plain_teacher"
    run(dataclasses.replace(teacher, output_dir=path, encoder=encoder), screen)
    return path


def test_a_student_is_an_ordinary_run(job, settings, screen, folder):
    distill(job, settings, screen)
    assert "problem: single_label (as the teacher's)" in screen.text
    assert json.loads((job.output_dir / "classifier.json").read_text("utf-8"))[
        "labels"
    ] == ["one", "two"]
    weights = weights_of(job)
    assert "bert/encoder/layer_1/output/dense/kernel" in weights
    assert "bert/encoder/layer_2/output/dense/kernel" not in weights
    # What the teacher said is not needed any more.
    assert not (job.output_dir / ".teacher").exists()

    data = dataclasses.replace(
        job.data, train_file=None, test_file=str(folder / "unlabelled.csv")
    )
    run(
        dataclasses.replace(job, do_train=False, do_predict=True, data=data),
        screen,
    )
    with open(job.output_dir / "predictions.csv", encoding="utf-8") as file:
        assert len([*csv.reader(file)]) == 1 + 3


@pytest.mark.slow
def test_stored_and_recomputed_answers_are_the_same(
    job, settings, screen, tmp_path
):
    distill(job, settings, screen)
    other = dataclasses.replace(job, output_dir=tmp_path / "online")
    distill(other, dataclasses.replace(settings, online=True), screen)
    mine, theirs = weights_of(job), weights_of(other)
    for name, array in mine.items():
        # Six steps of float32, whose batches are padded differently.
        np.testing.assert_allclose(array, theirs[name], atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_restarts_learn_from_one_computation(
    job, settings, screen, tmp_path, monkeypatch, folder
):
    """Two students by one command, the better of which is kept."""
    computed = []
    compute = Teacher._compute

    def counting(self, store, *others):
        computed.append(len(store))
        compute(self, store, *others)

    monkeypatch.setattr(Teacher, "_compute", counting)
    settings = dataclasses.replace(
        settings, unlabelled_file=str(folder / "unlabelled.csv")
    )
    data = dataclasses.replace(job.data, dev_file=job.data.train_file)
    job = dataclasses.replace(job, do_eval=True, data=data)
    several = dataclasses.replace(job, search=SearchChoices(num_restarts=2))
    distill(several, settings, screen)
    assert computed == [12 + 3]
    assert not (job.output_dir / ".teacher").exists()
    assert not (job.output_dir / ".encoded").exists()
    with open(job.output_dir / "search_results.csv", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    best = min(
        rows, key=lambda row: (-float(row["accuracy"]), float(row["loss"]))
    )
    alone = dataclasses.replace(
        job,
        output_dir=tmp_path / "alone",
        training=dataclasses.replace(job.training, seed=int(best["seed"])),
    )
    distill(alone, settings, screen)
    mine, theirs = weights_of(job), weights_of(alone)
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.slow
def test_a_teacher_that_was_exported(teacher, job, settings, screen, tmp_path):
    """A SavedModel teaches what the folder of its run does."""
    path = tmp_path / "exported"
    export(teacher.output_dir, path)
    distill(job, settings, screen)
    other = dataclasses.replace(job, output_dir=tmp_path / "other")
    from_export = dataclasses.replace(settings, teacher=str(path))
    distill(other, from_export, screen)
    mine, theirs = weights_of(job), weights_of(other)
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    kept, before = (
        json.loads((one.output_dir / "classifier.json").read_text("utf-8"))
        for one in (job, other)
    )
    del kept["init_checkpoint"], before["init_checkpoint"]
    assert kept == before
    (path / "1" / "bert_config.json").unlink()
    with pytest.raises(UserError, match=r"without bert_config\.json beside it"):
        distill(
            other, dataclasses.replace(from_export, teacher=str(path)), screen
        )


@pytest.mark.slow
def test_students_that_share_the_answers_of_their_teacher(
    job, settings, screen, tmp_path, monkeypatch
):
    answers = tmp_path / "answers"
    distill(job, settings, screen)
    settings = dataclasses.replace(settings, teacher_answers=str(answers))
    for name in ("first", "second"):
        student = dataclasses.replace(job, output_dir=tmp_path / name)
        distill(student, settings, screen)
        mine, theirs = weights_of(job), weights_of(student)
        for name, array in mine.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)
        # The second finds what the first computed.
        monkeypatch.setattr(Teacher, "_compute", None)
    (kept,) = answers.iterdir()
    assert [one.name for one in kept.iterdir()] == ["logits.float32"]


@pytest.mark.slow
@pytest.mark.parametrize("ways", [{"unpad": False}, {"concurrency": 2}])
def test_padding_and_parts_of_batches_change_nothing(
    plain_teacher, job, settings, screen, tmp_path, folder, ways
):
    """The losses of a training without dropout are the same."""
    settings = dataclasses.replace(
        settings,
        teacher=str(plain_teacher),
        unlabelled_file=str(folder / "unlabelled.csv"),
        hidden_weight=1.0,
        attention_weight=1.0,
    )
    distill(job, settings, screen)
    other = dataclasses.replace(job, output_dir=tmp_path / "other", **ways)
    distill(other, settings, screen)
    np.testing.assert_allclose(losses_of(job), losses_of(other), rtol=2e-5)


_ON_TWO_DEVICES = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
from modeling import heads
heads.CLASSIFIER_DROPOUT_PROB = 0.0
from bert_keras3.commands.distill import command
command()
"""


@pytest.mark.slow
def test_two_devices_train_as_one(
    plain_teacher, job, settings, screen, tmp_path, folder
):
    settings = dataclasses.replace(
        settings,
        teacher=str(plain_teacher),
        unlabelled_file=str(folder / "unlabelled.csv"),
    )
    distill(job, settings, screen)
    training = job.training
    other = tmp_path / "two_devices"
    done = subprocess.run(
        [
            *(sys.executable, "-c", _ON_TWO_DEVICES),
            *("--do_train", "--distribution=mirrored"),
            f"--teacher={plain_teacher}",
            f"--num_student_layers={settings.num_student_layers}",
            f"--unlabelled_file={settings.unlabelled_file}",
            f"--train_file={job.data.train_file}",
            f"--train_batch_size={training.train_batch_size}",
            f"--num_train_epochs={training.num_train_epochs}",
            f"--learning_rate={training.learning_rate}",
            f"--output_dir={other}",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "2 devices: " in done.stdout
    other = dataclasses.replace(job, output_dir=other)
    np.testing.assert_allclose(losses_of(job), losses_of(other), rtol=2e-5)


@pytest.mark.slow
def test_a_student_of_the_teachers_own_size_begins_as_it(
    job, settings, screen, teacher
):
    """Nothing is to be learnt from its logits: the loss is 0."""
    settings = dataclasses.replace(
        settings, num_student_layers=3, label_weight=0.0
    )
    training = dataclasses.replace(job.training, learning_rate=1e-9)
    distill(dataclasses.replace(job, training=training), settings, screen)
    with open(job.output_dir / "training_log.jsonl", encoding="utf-8") as file:
        first = json.loads(next(file))
    # Of its own dropout alone: without, it would be 0.
    assert 0 <= first["loss"] < 0.1
    mine, theirs = weights_of(job), weights_of(teacher)
    for name, array in mine.items():
        np.testing.assert_allclose(array, theirs[name], atol=1e-7, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"hidden_weight": 1.0, "attention_weight": 1, "embedding_weight": 1.0},
    ],
    ids=["stored", "online"],
)
def test_a_killed_training_goes_on_to_the_same_bits(
    job, settings, screen, tmp_path, folder, monkeypatch, weights
):
    settings = dataclasses.replace(
        settings, unlabelled_file=str(folder / "unlabelled.csv"), **weights
    )
    training = dataclasses.replace(job.training, save_checkpoints_steps=2)
    job = dataclasses.replace(job, training=training)
    distill(job, settings, screen)
    assert "unlabelled.csv: 3 rows" in screen.text

    killed = dataclasses.replace(job, output_dir=tmp_path / "killed")
    step = fit.TrainStep.__call__
    batches = []

    def kill_in_the_fifth(self, batch):
        batches.append(batch)
        if len(batches) == 5:
            raise MemoryError
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(fit.TrainStep, "__call__", kill_in_the_fifth)
        with pytest.raises(MemoryError):
            distill(killed, settings, screen)
    names = {name for batch in batches for name in batch}
    assert "is_labelled" in names
    assert ("teacher/logits" in names) == (not weights)
    # What the teacher said is still there, and is not computed again.
    monkeypatch.setattr(Teacher, "_compute", None)
    distill(killed, settings, screen)
    assert "resumed after step 4" in screen.text
    mine, theirs = weights_of(job), weights_of(killed)
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_the_answers_of_a_teacher_are_its_own(teacher, tmp_path, monkeypatch):
    """One row for each row, in order, as the teacher alone computes them."""
    from bert_keras3 import checkpointing
    from bert_keras3.finetuning.run_folder import FinetuningFolder
    from bert_keras3.inputs.feature_store import (
        INPUT_COLUMNS,
        store_in_memory,
    )

    task = FinetuningFolder(teacher.output_dir).read_settings().task
    found = Teacher.load(checkpointing.open(teacher.output_dir), task)
    rows = [[2, 10, 11, 3], [2, 12, 3], [2, 13, 14, 15, 16, 3]]
    store, fewer = (
        store_in_memory(
            enumerate(
                {"input_ids": row, "segment_ids": [0] * len(row)}
                for row in some
            ),
            INPUT_COLUMNS,
        )
        for some in (rows, rows[1:])
    )
    for one in (store, fewer):
        found.answers(one, tmp_path, 1)
    # Both are kept, and not computed again.
    monkeypatch.setattr(Teacher, "_compute", None)
    answered = found.answers(store, tmp_path, 1)
    for number in range(3):
        expected = found.model(store.padded([number]), training=False)
        np.testing.assert_allclose(
            answered.arrays["teacher/logits"][number],
            expected["logits"][0],
            atol=1e-6,
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_student_layers": None}, "there is no student"),
        ({"num_student_layers": 4}, "the teacher has layers 1 to 3"),
        ({"label_weight": 0, "logits_weight": 0}, "nothing to learn"),
        ({"teacher": "nowhere"}, "nowhere: there is no such checkpoint"),
        (
            {"hidden_weight": 1.0, "layer_mapping": ("1", "2", "3")},
            "--layer_mapping=1,2,3: names 3 layers, the student has 2",
        ),
    ],
)
def test_mistakes(job, settings, screen, changes, message):
    with pytest.raises(UserError, match=message):
        distill(job, dataclasses.replace(settings, **changes), screen)
    assert not job.output_dir.exists()


def test_a_teacher_that_is_not_trained(job, settings, screen, small_bert):
    settings = dataclasses.replace(settings, teacher=str(small_bert))
    with pytest.raises(UserError, match="is no trained classifier"):
        distill(job, settings, screen)


def test_a_teacher_that_is_still_trained(job, settings, screen, tmp_path):
    state = tmp_path / "teacher" / "training_state"
    state.mkdir(parents=True)
    (state / "state.safetensors").write_bytes(b"")
    settings = dataclasses.replace(settings, teacher=str(state.parent))
    with pytest.raises(UserError, match="has not written a model yet"):
        distill(job, settings, screen)


def test_labels_that_the_teacher_does_not_know(job, settings, screen, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("text,label\na b,one\nc d,three\n", "utf-8")
    data = dataclasses.replace(job.data, train_file=str(path))
    with pytest.raises(UserError, match=r"other.csv, line 3: .*three"):
        distill(dataclasses.replace(job, data=data), settings, screen)


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        {"lora_rank": 2},
        {"lazy_embeddings": True},
        {"gradient_accumulation_steps": 2},
        {"computing": Computing(mixed_precision="bfloat16")},
        {"computing": Computing(jit_compile=True)},
        {"computing": Computing(remat=True)},
    ],
    ids=str,
)
def test_ways_to_train(job, settings, screen, flags):
    training = dataclasses.replace(job.training, num_train_epochs=1, **flags)
    settings = dataclasses.replace(settings, hidden_weight=1.0)
    distill(dataclasses.replace(job, training=training), settings, screen)
    assert (job.output_dir / "model.keras").exists()
