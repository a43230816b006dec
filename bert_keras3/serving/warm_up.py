"""Requests that TensorFlow Serving computes before it answers the first one.

The first calls of a model are slow. A server computes what stands in
`assets.extra/tf_serving_warmup_requests` when it loads a version: a TFRecord
file of `PredictionLog` messages. They are written field by field here; the
package with their classes is large and needs no server otherwise.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping

import tensorflow as tf

WARM_UP = "assets.extra/tf_serving_warmup_requests"

# How many rows a request has: an answer to one person, and a batch.
_ROWS = (1, 8)
_TEXT = "Is it warm yet? 好了吗？"

# Numbers of fields in TensorFlow Serving's messages.
_LOG_PREDICT = 6  # PredictionLog.predict_log
_LOG_REQUEST = 1  # PredictLog.request
_MODEL_SPEC, _INPUTS = 1, 2  # PredictRequest
_NAME, _SIGNATURE = 1, 3  # ModelSpec
_KEY, _VALUE = 1, 2  # of a map


def write_warm_up(
    folder: str | os.PathLike[str],
    inputs: Mapping[str, tf.TensorSpec],
    signature: str,
) -> None:
    """Writes the requests into a SavedModel.

    Args:
        folder: of the SavedModel.
        inputs: of the signature; None in a shape is one, or for the first
            axis the number of rows.
        signature: its name.
    """
    path = pathlib.Path(folder) / WARM_UP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for rows in _ROWS:
            tensors = {
                name: _example(spec, rows) for name, spec in inputs.items()
            }
            writer.write(_prediction_log(tensors, signature))


def _example(spec: tf.TensorSpec, rows: int) -> tf.Tensor:
    """Returns texts, or ids and numbers of 0 and a mask of 1."""
    shape = [rows, *(size or 1 for size in spec.shape[1:])]
    if spec.dtype == tf.string:
        return tf.fill(shape, _TEXT)
    return tf.fill(shape, tf.cast(spec.name == "input_mask", spec.dtype))


def _prediction_log(tensors: Mapping[str, tf.Tensor], signature: str) -> bytes:
    """Returns a serialized `PredictionLog`."""
    spec = _joined([(_NAME, b"bert"), (_SIGNATURE, signature.encode())])
    entries = [
        _joined(
            [
                (_KEY, name.encode()),
                (_VALUE, tf.make_tensor_proto(tensor).SerializeToString()),
            ]
        )
        for name, tensor in tensors.items()
    ]
    request = _joined(
        [(_MODEL_SPEC, spec), *((_INPUTS, entry) for entry in entries)]
    )
    return _joined([(_LOG_PREDICT, _joined([(_LOG_REQUEST, request)]))])


def _joined(fields: Iterable[tuple[int, bytes]]) -> bytes:
    """Returns a message of fields (number, bytes)."""
    length_delimited = 2
    return b"".join(
        _varint(number << 3 | length_delimited) + _varint(len(value)) + value
        for number, value in fields
    )


def _varint(number: int) -> bytes:
    """Returns a number in groups of seven bits, the lowest first."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
