"""Kernels in int8: smaller files, and answers near those of float32."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.serving import export
from bert_keras3.serving.versions import latest_version

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


@pytest.fixture(scope="module")
def onnx_pair(wide_run, tmp_path_factory):
    """The files of one run: float32 and int8."""
    pytest.importorskip("tf2onnx", reason="needs the extra `onnx`")
    top = tmp_path_factory.mktemp("onnx")
    return [
        export(wide_run.path, top / name, format_name="onnx", quantize=quantize)
        for name, quantize in (("float32", None), ("int8", "int8"))
    ]


@pytest.mark.slow
def test_an_onnx_answer_does_not_depend_on_the_batch(onnx_pair):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(onnx_pair[1] / "model.onnx"))
    together = ask_onnx(onnx_pair[1])
    for number in range(len(IDS)):
        (alone,) = session.run(
            ["probabilities"],
            {name: ids[number : number + 1] for name, ids in INPUTS.items()},
        )
        np.testing.assert_allclose(
            alone[0], together[number], rtol=0, atol=1e-6
        )


@pytest.mark.slow
def test_onnx_rounds_the_encoder_and_no_more(onnx_pair):
    onnx = pytest.importorskip("onnx")
    exact, rounded = (
        [
            node
            for node in onnx.load(folder / "model.onnx").graph.node
            if not node.domain
        ]
        for folder in onnx_pair
    )
    counts = [
        [
            sum(node.op_type == name for node in nodes)
            for nodes in (exact, rounded)
        ]
        for name in ("MatMulInteger", "LayerNormalization", "Reciprocal")
    ]
    # One layer: query, key, value, three more; two norms within.
    assert counts == [[0, 6], [0, 2], [3, 1]]
    assert all(
        "/encoder" in node.name
        for node in rounded
        if node.op_type == "MatMulInteger"
    )


def test_a_file_without_anything_to_round_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    from bert_keras3.safekeeping.errors import UserError
    from bert_keras3.serving.quantization import quantize_onnx

    kernel = onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    x, y = (
        onnx.helper.make_tensor_value_info(name, 1, [None, 2]) for name in "xy"
    )
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"], "pooler/MatMul")
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.helper.make_model(
            onnx.helper.make_graph([node], "graph", [x], [y], [kernel])
        ),
        path,
    )
    before = path.read_bytes()
    with pytest.raises(UserError, match="nothing to round"):
        quantize_onnx(path)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_onnx_layer_norms_and_gelus_stay_what_they_were(runs, tmp_path):
    pytest.importorskip("tf2onnx", reason="needs the extra `onnx`")
    import onnx

    from bert_keras3.serving.onnx_rewriting import Rewriting

    for name in ("single", "pairs"):
        folder = export(runs[name].path, tmp_path / name, format_name="onnx")
        expected = ask_onnx(folder)
        path = str(folder / "model.onnx")
        model = onnx.load(path)
        rewriting = Rewriting(model.graph)
        assert rewriting.name_layer_norms() == 2
        rewriting.divide_before_erf()
        onnx.checker.check_model(model)
        onnx.save(model, path)
        np.testing.assert_allclose(
            ask_onnx(folder), expected, rtol=0, atol=1e-6
        )
