"""Kernels in int8: smaller files, and answers near those of float32."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from safekeeping.errors import UserError
from serving import export
from serving.versions import latest_version

IDS = np.arange(24, dtype=np.int32).reshape(3, 8) % 17 + 5
INPUTS = {
    "input_ids": IDS,
    "input_mask": np.tri(8, dtype=np.int32)[[7, 3, 5]],
    "segment_ids": np.zeros((3, 8), np.int32),
}


def ask_saved_model(folder):
    # Held on to, since the signatures live no longer than it does.
    loaded = tf.saved_model.load(str(folder))
    answer = loaded.signatures["tokenized"](
        **{name: tf.constant(ids) for name, ids in INPUTS.items()}
    )
    return answer["probabilities"].numpy()


def ask_litert(folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprec")
        interpreter = tf.lite.Interpreter(str(folder / "model.tflite"))
    return interpreter.get_signature_runner()(**INPUTS)["probabilities"]


def ask_onnx(folder):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(folder / "model.onnx"))
    return session.run(["probabilities"], INPUTS)[0]


ASK = {
    "saved_model": ask_saved_model,
    "litert": ask_litert,
    "onnx": ask_onnx,
}


# Where the weights are; a SavedModel has its tokenizer in another file.
WEIGHTS = {
    "saved_model": "variables/variables.data-*",
    "litert": "model.tflite",
    "onnx": "model.onnx",
}


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ASK)
def test_int8_is_smaller_and_near(wide_run, tmp_path, format_name):
    if format_name == "onnx":
        pytest.importorskip("tf2onnx", reason="needs the extra `onnx`")
    exact, rounded = (
        export(
            wide_run.path,
            tmp_path / f"{quantize}",
            format_name=format_name,
            quantize=quantize,
        )
        for quantize in (None, "int8")
    )
    ((before,), (after,)) = (
        folder.glob(WEIGHTS[format_name]) for folder in (exact, rounded)
    )
    assert after.stat().st_size < 0.7 * before.stat().st_size
    expected, found = ASK[format_name](exact), ASK[format_name](rounded)
    assert (found != expected).any()
    # These weights are random and wide; trained ones are nearer.
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.1)
    assert latest_version(tmp_path / "int8") == rounded


def test_a_missing_quantizer_is_named(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == "onnxruntime" else name,
    )
    with pytest.raises(UserError, match=r"needs onnxruntime.*'\.\[onnx\]'"):
        export(
            runs["single"].path,
            tmp_path / "export",
            format_name="onnx",
            quantize="int8",
        )
    assert not (tmp_path / "export").exists()
