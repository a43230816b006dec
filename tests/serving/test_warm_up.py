"""The requests that a server computes first, read by its own classes."""

from __future__ import annotations

import pytest
import tensorflow as tf

from bert_keras3.serving.warm_up import WARM_UP, _varint, write_warm_up

prediction_log_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2",
    reason="needs the extra `serving`",
)


def logs_in(folder):
    for record in tf.data.TFRecordDataset(str(folder / WARM_UP)):
        yield prediction_log_pb2.PredictionLog.FromString(record.numpy())


def test_requests_are_of_one_row_and_of_a_batch(tmp_path):
    inputs = {
        "text": tf.TensorSpec([None], tf.string, "text"),
        "columns": tf.TensorSpec([None, 3], tf.string, "columns"),
        "input_mask": tf.TensorSpec([None, None], tf.int32, "input_mask"),
        "numbers": tf.TensorSpec([None, 200], tf.float32, "numbers"),
    }
    write_warm_up(tmp_path, inputs, "serving_default")
    requests = [log.predict_log.request for log in logs_in(tmp_path)]
    assert [len(request.inputs) for request in requests] == [4, 4]
    for rows, request in zip((1, 8), requests, strict=True):
        assert request.model_spec.signature_name == "serving_default"
        found = {
            name: tf.make_ndarray(tensor)
            for name, tensor in request.inputs.items()
        }
        assert found["text"].shape == (rows,)
        assert found["columns"].shape == (rows, 3)
        assert found["input_mask"].tolist() == [[1]] * rows
        assert found["numbers"].shape == (rows, 200)


def test_an_exported_model_answers_them(exported, loaded):
    for name in ("single", "pairs"):
        folder = exported[name] / "1"
        for log in logs_in(folder):
            request = log.predict_log.request
            signature = loaded[name].signatures[
                request.model_spec.signature_name
            ]
            answers = signature(
                **{
                    key: tf.constant(tf.make_ndarray(tensor))
                    for key, tensor in request.inputs.items()
                }
            )
            assert len(answers["label"]) in (1, 8)


def test_numbers_of_several_bytes():
    assert _varint(0) == b"\x00"
    assert _varint(127) == b"\x7f"
    assert _varint(300) == b"\xac\x02"
