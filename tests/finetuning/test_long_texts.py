"""Long texts: what is read of them, and that a text has one answer.

Each text is twenty words, and only its last one says what the label is.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.long_texts import (
    ATTENTION,
    MAX,
    MEAN,
    with_long_texts,
)
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    LabelledJob,
    TrainingChoices,
)
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.inputs.row_groups import RowGroups
from bert_keras3.safekeeping.errors import UserError
from tokenization.packing import pack_windows

# float32 logits of a few units.
CLOSE = {"rtol": 0, "atol": 1e-5}


def rows_of(number, seed):
    rng = np.random.default_rng(seed)
    fillers = ["film", "food", "very", "the", "was"]
    for place in range(number):
        label = ("praise", "blame")[place % 2]
        words = rng.choice(fillers, 20 + place % 3)
        last = "good" if label == "praise" else "bad"
        yield str(place), f"{' '.join(words)} {last}", label


@pytest.fixture(scope="module")
def make_job(tmp_path_factory, checkpoint, write_csv):
    def make(num_train_epochs=6, **data):
        folder = tmp_path_factory.mktemp("long")
        train = write_csv(folder / "train.csv", list(rows_of(96, 1)))
        test = write_csv(folder / "test.csv", list(rows_of(12, 2)))
        return Job(
            output_dir=folder / "out",
            data=DataChoices(
                train_file=str(train),
                test_file=str(test),
                dev_fraction=0.25,
                **data,
            ),
            encoder=EncoderChoices(
                init_checkpoint=str(checkpoint), max_seq_length=16
            ),
            training=TrainingChoices(
                train_batch_size=8,
                learning_rate=5e-3,
                num_train_epochs=num_train_epochs,
            ),
            do_train=True,
            do_eval=True,
            do_predict=True,
        )

    return make


def accuracy(job):
    text = (job.output_dir / "eval_results.json").read_text("utf-8")
    return json.loads(text)["accuracy"]


def predictions(job):
    with open(job.output_dir / "predictions.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("probability_blame", "probability_praise")
    return np.array([[float(row[name]) for name in names] for row in rows])


@pytest.fixture(scope="module")
def windows_job(make_job, new_screen):
    job = make_job(10, long_text="windows")
    screen = new_screen()
    run(job, screen)
    return job, screen


@pytest.mark.slow
def test_head_and_tail_have_it(make_job, screen):
    job = make_job(long_text="head_tail")
    run(job, screen)
    assert accuracy(job) == 1.0


def test_windows_have_it_and_give_one_answer_for_each_text(windows_job):
    job, screen = windows_job
    assert accuracy(job) > 0.9
    assert "held out 24 of 96 rows" in screen.text
    assert "predicted 12 rows" in screen.text
    assert len(predictions(job)) == 12


def plain_logits(job):
    """Window by window, and pooled by hand; float64 [E, C]."""
    folder = FinetuningFolder(job.output_dir)
    tokenizer, model = folder.load_tokenizer(), folder.load_model()
    found = []
    for _, text, _ in rows_of(12, 2):
        windows = pack_windows(
            tokenizer.encode(text),
            stride=None,
            most=16,
            max_seq_length=16,
            cls_id=tokenizer.vocab["[CLS]"],
            sep_id=tokenizer.vocab["[SEP]"],
        )
        assert len(windows) == 2
        logits = [
            np.asarray(
                model({"input_ids": np.array([row.input_ids])})["logits"]
            )[0]
            for row in windows
        ]
        found.append(np.mean(logits, axis=0))
    return np.array(found, np.float64)


def softmax(logits):
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def test_the_answer_is_the_mean_of_the_windows(windows_job):
    job, _ = windows_job
    wanted = softmax(plain_logits(job))
    # Files have six digits.
    np.testing.assert_allclose(predictions(job), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", [MEAN, MAX, ATTENTION])
@pytest.mark.parametrize("name", ["single_label", "multi_label", "regression"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_a_batch_is_that_of_its_texts(pooling, name, weighted):
    """Rows 0 0 0 1 2 2, pooled by hand, beside a task without windows."""
    import tensorflow as tf

    rng = np.random.default_rng(5)
    examples = np.array([0, 0, 0, 1, 2, 2], np.int32)
    classes = 1 if name == "regression" else 3
    logits = rng.normal(size=(6, classes)).astype(np.float32)
    targets = {
        "single_label": np.array([2, 0, 1], np.int32),
        "multi_label": rng.integers(0, 2, (3, 3)).astype(np.uint8),
        "regression": rng.normal(size=3).astype(np.float32),
    }[name]
    scores = rng.normal(size=6).astype(np.float32)
    pooled = np.stack(
        [
            softmax(scores[examples == one]) @ logits[examples == one]
            if pooling == ATTENTION
            else getattr(np, pooling)(logits[examples == one], axis=0)
            for one in range(3)
        ]
    )
    labels = tuple("abc"[:classes])
    plain = TASKS[name](labels)
    task = dataclasses.replace(
        plain, long_text="windows", window_pooling=pooling
    )
    whole = {"targets": targets}
    rows = {"targets": targets[examples], "example": examples}
    if weighted:
        weights = np.array([0.5, 2, 1], np.float32)
        whole["example_weights"] = weights
        rows["example_weights"] = weights[examples]
    tensors = [
        {key: tf.constant(value) for key, value in part.items()}
        for part in (whole, rows)
    ]
    wanted = plain.loss({"logits": tf.constant(pooled)}, tensors[0])
    outputs = {
        "logits": tf.constant(logits),
        "window_logits": tf.constant(scores),
    }
    found = task.loss(outputs, tensors[1])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_trained_model_reads_as_it_was_trained(windows_job, change, screen):
    job, _ = windows_job
    before = predictions(job)
    again = change(job, do_train=False, do_eval=False, long_text=None)
    again = change(again, train_file=None)
    run(again, screen)
    np.testing.assert_array_equal(predictions(job), before)
    with pytest.raises(UserError, match=r"long_text=truncate: .* with windows"):
        run(change(again, long_text="truncate"), screen)


def test_calibration_is_of_texts(windows_job, change, screen, tmp_path):
    job, _ = windows_job
    shutil.copytree(job.output_dir, tmp_path / "out")
    shared = {field.name for field in dataclasses.fields(Job)}
    values = {name: getattr(job, name) for name in shared}
    values["output_dir"] = tmp_path / "out"
    again = LabelledJob(**values, calibrate=True)
    again = change(again, do_train=False, do_predict=False, train_file=None)
    again = change(again, test_file=None)
    run(again, screen)
    assert "calibrated on 24 examples: temperature" in screen.text


@pytest.mark.parametrize(
    "format_name",
    [
        "saved_model",
        pytest.param("onnx", marks=pytest.mark.slow),
        pytest.param("litert", marks=pytest.mark.slow),
    ],
)
def test_an_exported_model_answers_alike(windows_job, tmp_path, format_name):
    from bert_keras3.serving import Predictor, export

    job, _ = windows_job
    export(job.output_dir, tmp_path / "exported", format_name=format_name)
    predictor = Predictor(tmp_path / "exported")
    texts = [text for _, text, _ in rows_of(12, 2)]
    found = predictor.predict(texts)
    labels = np.array(["blame", "praise"])[predictions(job).argmax(-1)]
    assert [one.label for one in found] == labels.tolist()
    np.testing.assert_allclose(
        [one.probabilities for one in found],
        softmax(plain_logits(job)),
        **CLOSE,
    )
    with pytest.raises(UserError, match="must be a string"):
        predictor.predict([3])


@pytest.mark.slow
def test_attention_over_windows(make_job, screen, tmp_path):
    """The weights are learnt; files and exports pool alike."""
    from bert_keras3.serving import Predictor, export

    job = make_job(10, long_text="windows", window_pooling=ATTENTION)
    run(job, screen)
    assert accuracy(job) > 0.9
    model = FinetuningFolder(job.output_dir).load_model()
    weights = {one.path: one.numpy() for one in model.weights}
    assert weights["cls/windows/output_weights"].shape == (1, 16)
    texts = [text for _, text, _ in rows_of(12, 2)]
    for format_name in ("saved_model", "onnx", "litert"):
        folder = tmp_path / format_name
        export(job.output_dir, folder, format_name=format_name)
        found = Predictor(folder).predict(texts)
        np.testing.assert_allclose(
            [one.probabilities for one in found], predictions(job), **CLOSE
        )


def test_flags_that_do_not_fit(make_job, screen):
    with pytest.raises(UserError, match=r"long_text=windows is for .* choice"):
        with_long_texts(TASKS["choice"](), DataChoices(long_text="windows"))
    with pytest.raises(UserError, match="more than the 14 tokens"):
        run(make_job(long_text="windows", window_stride=15), screen)


def test_pooling_by_hand():
    """Of the rows 0 0 1, both ways."""
    logits = np.array([[1, -4], [3, 0], [5, 6]], np.float32)
    groups = RowGroups.of(np.array([0, 0, 1]))
    assert groups.mean(logits).tolist() == [[2, -2], [5, 6]]
    assert groups.max(logits).tolist() == [[3, 0], [5, 6]]
    assert groups.spread(np.array([7, 8])).tolist() == [7, 7, 8]
    shares = groups.softmax(np.array([0, np.log(3), 5]))
    np.testing.assert_allclose(shares, [0.25, 0.75, 1])
    assert groups.sum(logits).tolist() == [[4, -4], [5, 6]]
