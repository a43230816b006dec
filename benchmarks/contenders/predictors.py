"""`serving.Predictor` over each form of export, predicting raw sentences.

`benchmarks.serving` makes the exports beforehand, so that the memory of a
process is what predicting needs.
"""

from __future__ import annotations

import os

# As `commands.entry` sets them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from collections.abc import Callable

import numpy as np

from benchmarks.contender_inputs import Batch, ContenderInputs
from bert_keras3.serving import Prediction, Predictor
from bert_keras3.serving.versions import latest_version

_TENSORFLOW = ("tensorflow",)
_ONNX = ("onnxruntime",)
_LITERT = ("ai-edge-litert",)
PACKAGES = {
    "ids": _TENSORFLOW,
    "strings": _TENSORFLOW,
    "saved_model": _TENSORFLOW,
    "onnx": _ONNX,
    "onnx_int8": _ONNX,
    "litert": _LITERT,
    "litert_int8": _LITERT,
}
Run = Callable[[Batch], np.ndarray]


def _predict(given: ContenderInputs, name: str) -> Run:
    predictor = Predictor(given.cache / name)

    def run(batch: Batch) -> np.ndarray:
        return np.array(
            [
                answer.probabilities
                for answer in predictor.predict(batch["texts"].tolist())
                if isinstance(answer, Prediction)
            ]
        )

    return run


def saved_model(given: ContenderInputs) -> Run:
    """On TensorFlow."""
    return _predict(given, "saved_model-float32")


def onnx(given: ContenderInputs) -> Run:
    """On ONNX Runtime."""
    return _predict(given, "onnx-float32")


def onnx_int8(given: ContenderInputs) -> Run:
    """Likewise, in int8."""
    return _predict(given, "onnx-int8")


def litert(given: ContenderInputs) -> Run:
    """On LiteRT."""
    return _predict(given, "litert-float32")


def litert_int8(given: ContenderInputs) -> Run:
    """Likewise, in int8."""
    return _predict(given, "litert-int8")


def strings(given: ContenderInputs) -> Run:
    """The bare signature that takes strings."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    from bert_keras3.serving.saved_model import STRINGS

    # Held on to by the function below, since signatures live no longer.
    loaded = tf.saved_model.load(
        os.fspath(latest_version(given.cache / "saved_model-float32"))
    )

    def run(batch: Batch) -> np.ndarray:
        texts = tf.constant(batch["texts"].tolist())
        answer = loaded.signatures[STRINGS](text=texts)
        return np.asarray(answer["probabilities"])

    return run


def ids(given: ContenderInputs) -> Run:
    """The bare signature that takes ids, which are made beforehand."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    from bert_keras3.serving.saved_model import IDS, PACKED

    loaded = tf.saved_model.load(
        os.fspath(latest_version(given.cache / "saved_model-float32"))
    )
    # Filled when the contender warms up.
    packed: dict[tuple[str, ...], dict[str, tf.Tensor]] = {}

    def run(batch: Batch) -> np.ndarray:
        texts = tuple(batch["texts"].tolist())
        if texts not in packed:
            packed[texts] = loaded.signatures[PACKED](text=tf.constant(texts))
        answer = loaded.signatures[IDS](**packed[texts])
        return np.asarray(answer["probabilities"])

    return run
