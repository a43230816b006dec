"""LiteRT and ONNX files, each asked on its own runtime."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import export
from tokenization.packing import pack, pad
from tokenization.tokenizers import FullTokenizer

TEXTS = ("good film", "", "very very bad food, not fine!", "电影好")


def litert_interpreter(path):
    """The runtime's own package or, without it, TensorFlow's copy of it.

    (The package asks for one that newer Pythons cannot install from a lock
    file, so it is in none.)
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings():
        # TensorFlow's says that it will go.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprec")
        return Interpreter(str(path))


def run_litert(path, batch):
    return litert_interpreter(path).get_signature_runner()(**batch)


def run_onnx(path, batch):
    runtime = pytest.importorskip(
        "onnxruntime", reason="needs the extra `onnx`"
    )
    session = runtime.InferenceSession(str(path))
    assert [one.name for one in session.get_inputs()] == list(batch)
    outputs = [one.name for one in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, batch), strict=True))


# (format, its file, its runtime, the package its exporter needs)
FORMATS = [
    ("litert", "model.tflite", run_litert, "tensorflow"),
    ("onnx", "model.onnx", run_onnx, "tf2onnx"),
]


def encode(folder, pairs):
    """Does what docs/serving.md tells to do with the two files beside."""
    description = json.loads((folder / "classifier.json").read_text("utf-8"))
    tokenizer = FullTokenizer(
        folder / "vocab.txt", description["do_lower_case"]
    )
    return pad(
        [
            pack(
                *(tokenizer.encode(text) for text in texts),
                max_seq_length=description["max_seq_length"],
                cls_id=tokenizer.vocab["[CLS]"],
                sep_id=tokenizer.vocab["[SEP]"],
            )
            for texts in pairs
        ]
    )


# The pairs' model has the exact GELU, the others the tanh form.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["pairs", "number", "several"])
@pytest.mark.parametrize(("format_name", "file", "ask", "package"), FORMATS)
def test_equal_outputs(
    runs, predictors, tmp_path, name, format_name, file, ask, package
):
    pytest.importorskip(package, reason=f"needs the extra `{format_name}`")
    folder = export(
        runs[name].path, tmp_path / "export", format_name=format_name
    )
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["classifier.json", "vocab.txt", file]
    )
    assert b"/home/somebody" not in (folder / "classifier.json").read_bytes()
    texts = (
        [(text, TEXTS[number - 1]) for number, text in enumerate(TEXTS)]
        if name == "pairs"
        else [(text,) for text in TEXTS]
    )
    ours = predictors[name].predict(
        texts if name == "pairs" else [text for (text,) in texts]
    )
    output, expected = (
        ("value", [one.value for one in ours])
        if name == "number"
        else ("probabilities", [one.probabilities for one in ours])
    )
    for chosen in (slice(None), slice(1), slice(2, 4)):
        outputs = ask(folder / file, encode(folder, texts[chosen]))
        assert list(outputs) == [output]
        np.testing.assert_allclose(
            outputs[output], expected[chosen], rtol=0, atol=1e-5
        )


def test_a_missing_package_is_named(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"onnx and tf2onnx.*'\.\[onnx\]'"):
        export(runs["single"].path, tmp_path / "export", format_name="onnx")
    assert not (tmp_path / "export").exists()
