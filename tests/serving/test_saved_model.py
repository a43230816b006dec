"""What is in an exported folder, and that it needs nothing beside."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.serving import LabelSetPrediction, Prediction, ValuePrediction


def shapes_of(signature):
    return {
        name: (spec.dtype.name, spec.shape.as_list())
        for name, spec in signature.structured_outputs.items()
    }


def inputs_of(signature):
    return {
        name: (spec.dtype.name, spec.shape.as_list())
        for name, spec in signature.structured_input_signature[1].items()
    }


IDS = {
    name: ("int32", [None, None])
    for name in ("input_ids", "input_mask", "segment_ids")
}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        (
            "single",
            ["text"],
            {
                "label": ("string", [None]),
                "label_id": ("int32", [None]),
                "probabilities": ("float32", [None, 3]),
            },
        ),
        (
            "pairs",
            ["text_a", "text_b"],
            {
                "label": ("string", [None]),
                "label_id": ("int32", [None]),
                "probabilities": ("float32", [None, 2]),
            },
        ),
        (
            "several",
            ["text"],
            {
                "label": ("string", [None]),
                "is_label": ("bool", [None, 3]),
                "probabilities": ("float32", [None, 3]),
            },
        ),
        ("number", ["text"], {"value": ("float32", [None])}),
    ],
)
def test_signatures(loaded, name, inputs, outputs):
    signatures = loaded[name].signatures
    assert sorted(signatures) == [
        *("metadata", "packed", "serving_default", "tokenized"),
    ]
    strings, ids = signatures["serving_default"], signatures["tokenized"]
    assert inputs_of(strings) == {one: ("string", [None]) for one in inputs}
    assert inputs_of(ids) == IDS
    assert shapes_of(strings) == shapes_of(ids) == outputs


def test_what_the_outputs_say(loaded, predictors):
    single = loaded["single"].signatures["serving_default"](
        text=tf.constant(["good film", "bad"])
    )
    label_id = single["probabilities"].numpy().argmax(-1)
    np.testing.assert_array_equal(single["label_id"], label_id)
    names = np.array(["blame", "praise", "无"])[label_id]
    assert [label.decode() for label in single["label"].numpy()] == list(names)
    np.testing.assert_allclose(
        single["probabilities"].numpy().sum(-1), 1, atol=1e-6
    )
    assert predictors["single"].predict(["good film"]) == [
        Prediction(
            names[0],
            label_id[0],
            pytest.approx(single["probabilities"][0].numpy(), abs=1e-6),
        )
    ]


def test_several_labels_are_joined_in_their_order():
    task = MultiLabel(("a", "b", "c"))
    logits = tf.constant([[9.0, -9, 9], [-9, -9, -9], [0, 9, -9]])
    outputs = task.decisions(task.scores({"logits": logits}))
    assert outputs["label"].numpy().tolist() == [b"a|c", b"", b"a|b"]
    assert outputs["is_label"].numpy().astype(int).tolist() == [
        [1, 0, 1],
        [0, 0, 0],
        [1, 1, 0],
    ]


def test_predictions_of_the_other_problems(predictors, loaded):
    [several] = predictors["several"].predict(["good film"])
    assert isinstance(several, LabelSetPrediction)
    assert several.labels == tuple(
        name
        for name, probability in zip(
            ("price", "taste", "place"), several.probabilities, strict=True
        )
        if probability >= 0.5
    )
    [number] = predictors["number"].predict(["good film"])
    outputs = loaded["number"].signatures["serving_default"](
        text=tf.constant(["good film"])
    )
    assert number == ValuePrediction(float(outputs["value"][0]))


def test_tokens_give_what_the_text_gives(loaded, runs):
    vocab = runs["single"].load_tokenizer().vocab
    ids = [[vocab[t] for t in ("[CLS]", "good", "film", "[SEP]", "[PAD]")]]
    by_ids = loaded["single"].signatures["tokenized"](
        input_ids=tf.constant(ids),
        input_mask=tf.constant([[1, 1, 1, 1, 0]]),
        segment_ids=tf.constant([[0] * 5]),
    )
    by_text = loaded["single"].signatures["serving_default"](
        text=tf.constant(["Good film"])
    )
    assert by_ids["label"] == by_text["label"]
    np.testing.assert_allclose(
        by_ids["probabilities"], by_text["probabilities"], rtol=0, atol=1e-6
    )


def test_it_tells_what_it_is(loaded, predictors):
    said = loaded["single"].signatures["metadata"]()
    assert said.pop("labels").numpy().tolist() == [
        b"blame",
        b"praise",
        "无".encode(),
    ]
    assert said.pop("clean").numpy().tolist() == []
    assert {name: value.numpy() for name, value in said.items()} == {
        "problem": b"single_label",
        "max_seq_length": 12,
        "do_lower_case": True,
        "takes_pairs": False,
        "options": b"{}",
    }
    description = predictors["pairs"].description
    assert description.labels == ("no", "yes")
    assert description.takes_pairs
    assert description.max_seq_length == 12


def test_no_path_remains(exported, runs):
    secrets = [
        str(runs["single"].path).encode(),
        b"/home/somebody/weights",
        os.fsencode(pathlib.Path(__file__).resolve().parents[2]),
        os.fsencode(pathlib.Path(tf.__file__).parent),
        b"site-packages",
        b".py",
    ]
    files = [p for p in exported["single"].rglob("*") if p.is_file()]
    assert {path.name for path in files} >= {"saved_model.pb"}
    for path in files:
        content = path.read_bytes()
        assert not [s for s in secrets if s in content], path


@pytest.mark.slow
def test_it_answers_without_this_program(exported, predictors, tmp_path):
    """Elsewhere, in a fresh Python that knows TensorFlow and its text."""
    (exported["single"] / "1").rename(tmp_path / "moved")
    try:
        code = (
            "import sys, json, tensorflow as tf, tensorflow_text\n"
            "model = tf.saved_model.load('moved')\n"
            "out = model.signatures['serving_default'](\n"
            "    text=tf.constant(['good film', '坏']))\n"
            "print(json.dumps([out['label'].numpy()[0].decode(),\n"
            "    *out['probabilities'].numpy().tolist(),\n"
            "    'modeling' in sys.modules]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ""},
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        (tmp_path / "moved").rename(exported["single"] / "1")
    label, *rows, ours = json.loads(done.stdout.splitlines()[-1])
    expected = predictors["single"].predict(["good film", "坏"])
    assert (label, ours) == (expected[0].label, False)
    np.testing.assert_allclose(
        rows, [one.probabilities for one in expected], rtol=0, atol=1e-6
    )


@pytest.mark.slow
def test_the_scripts(runs, tmp_path, root):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=root,
            capture_output=True,
            text=True,
        )

    model_dir = runs["single"].path
    one = [f"--model_dir={model_dir}", f"--export_dir={tmp_path / 'e'}"]
    done = run("export_saved_model.py", *one)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"exported: {tmp_path / 'e' / '1'}\n"
    done = run("export_saved_model.py", *one, "--version=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is there already" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("run_classifier.py", "--do_export", f"--output_dir={model_dir}")
    assert done.returncode == 0, done.stderr
    assert (model_dir / "export/1/saved_model.pb").is_file()
