"""The commands and requests of docs/serving.md, as a new user would try them.

Each code block is taken from the page; what is a server there is a stand-in
that runs the signature which a request names.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def blocks(root):
    """[(language, code)] of the page."""
    page = (root / "docs/serving.md").read_text("utf-8")
    return re.findall(r"```(\w+[ \w]*)\n(.*?)```", page, re.DOTALL)


def block(blocks, language, part):
    [code] = [c for lang, c in blocks if lang == language and part in c]
    return code


def printed_by(code):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/serving.md", "exec"), {})
    return out.getvalue()


@pytest.mark.parametrize("part", ["Predictor(", "tf.saved_model.load("])
def test_python(blocks, part, exported, predictors):
    code = block(blocks, "python", part).replace(
        '"exported', f'"{exported["single"]}'
    )
    [answer] = predictors["single"].predict(["good film"])
    assert printed_by(code).startswith(f"{answer.label} ")


def test_grpc(blocks, serve_grpc, exported, predictors):
    code = block(blocks, "python grpc", "Predict(")
    with serve_grpc(exported["single"]) as address:
        said = printed_by(code.replace("localhost:8500", address))
    expected = predictors["single"].predict(["good film", "bad food"])
    assert said.startswith(f"{[one.label for one in expected]} [[")


def test_grpc_errors_and_metadata(serve_grpc, exported):
    with serve_grpc(exported["pairs"]) as address:
        import grpc
        from tensorflow_serving.apis import (
            predict_pb2,
            prediction_service_pb2_grpc,
        )

        with grpc.insecure_channel(address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

            def ask(signature, **inputs):
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = signature
                for name, value in inputs.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
                return stub.Predict(request, timeout=60)

            said = ask("metadata")
            assert said.outputs["labels"].string_val[:] == [b"no", b"yes"]
            assert said.model_spec.version.value == 1
            for wrong in (
                {"text_a": ["good"]},
                {"text_a": ["good"], "text_b": ["a", "b"]},
                {"text_a": [1], "text_b": [2]},
                {"text_a": "good", "text_b": "bad"},
            ):
                with pytest.raises(grpc.RpcError) as caught:
                    ask("", **wrong)
                status = caught.value.code()
                assert status == grpc.StatusCode.INVALID_ARGUMENT, wrong
            # Still there, and right.
            said = ask("", text_a=["good"], text_b=["film"])
            assert len(said.outputs["label"].string_val) == 1


def rest(signature, body):
    """What the server's REST interface makes of a request, and back.

    Rows are put together to columns and the answer is taken apart again; a
    string output stays a string, its name not ending in `_bytes`.
    """
    request = json.loads(body)
    inputs = signature.structured_input_signature[1]
    if rows := request.get("instances"):
        if not isinstance(rows[0], dict):
            rows = [dict.fromkeys(inputs, row) for row in rows]
        columns = {name: [row[name] for row in rows] for name in inputs}
    else:
        columns = request["inputs"]
    outputs = signature(
        **{
            name: tf.constant(columns[name], spec.dtype)
            for name, spec in inputs.items()
        }
    )
    values = {
        name: np.char.decode(value.numpy().astype(bytes)).tolist()
        if value.dtype == tf.string
        else value.numpy().tolist()
        for name, value in outputs.items()
    }
    if "inputs" in request:
        return {"outputs": values}
    return {
        "predictions": [
            dict(zip(values, row, strict=True))
            for row in zip(*values.values(), strict=True)
        ]
    }


def test_json(blocks, loaded, predictors):
    requests_and_answers = [c for lang, c in blocks if lang == "json"]
    assert len(requests_and_answers) == 4
    signature = loaded["single"].signatures["serving_default"]
    expected = predictors["single"].predict(["good film", "bad food"])
    for number in (0, 2):
        request, shown = requests_and_answers[number : number + 2]
        said, shown = rest(signature, request), json.loads(shown)
        assert list(said) == list(shown)
        [said], [shown] = said.values(), shown.values()
        if number == 0:
            assert [list(row) for row in shown] == [sorted(r) for r in said]
            labels = [row["label"] for row in said]
        else:
            assert list(shown) == sorted(said)
            labels = said["label"]
        assert labels == [one.label for one in expected]


@pytest.mark.slow
def test_onnx_and_litert(blocks, runs, predictors, tmp_path):
    for name in ("onnxruntime", "tf2onnx", "ai_edge_litert"):
        pytest.importorskip(name, reason="needs the extras `onnx`, `litert`")
    from bert_keras3.serving import export

    export(runs["single"].path, tmp_path / "mobile", format_name="litert")
    export(runs["single"].path, tmp_path / "portable", format_name="onnx")

    def placed(code):
        for name in ("mobile", "portable"):
            code = code.replace(f'("{name}', f'("{tmp_path / name}')
        return code

    [answer] = predictors["single"].predict(["good film"])
    short = block(blocks, "python portable", "Predictor(")
    for code in (short, short.replace('("portable")', '("mobile")')):
        assert printed_by(placed(code)) == f"{answer.label}\n"
    code = block(blocks, "python", "onnxruntime") + block(
        blocks, "python", "ai_edge_litert"
    )
    said = printed_by(placed(code) + "print(probabilities.tolist())")
    assert json.loads(said.splitlines()[-1])[0] == pytest.approx(
        answer.probabilities, abs=1e-5
    )


def test_flags_of_the_page_exist(blocks):
    from bert_keras3.commands.export_saved_model import COMMAND

    commands = " ".join(c for lang, c in blocks if lang == "sh")
    ours = re.findall(r"export_saved_model.py ([^\n]*)", commands)
    assert len(ours) == 3
    for flag in re.findall(r"--(\w+)", os.linesep.join(ours)):
        assert flag in COMMAND.values
