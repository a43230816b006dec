"""`serving.Predictor` over each form of export, asked for raw sentences.

What they load is made beforehand by `benchmarks.serving`, so that a process
has in it what answering needs, and nothing else.
"""

from __future__ import annotations

import os

# As `console.entry` sets them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from collections.abc import Callable

import numpy as np

from benchmarks.material import Batch, Material
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


def _predict(material: Material, name: str) -> Run:
    predictor = Predictor(material.cache / name)

    def run(batch: Batch) -> np.ndarray:
        return np.array(
            [
                answer.probabilities
                for answer in predictor.predict(batch["texts"].tolist())
                if isinstance(answer, Prediction)
            ]
        )

    return run


def saved_model(material: Material) -> Run:
    """On TensorFlow."""
    return _predict(material, "saved_model-float32")


def onnx(material: Material) -> Run:
    """On ONNX Runtime."""
    return _predict(material, "onnx-float32")


def onnx_int8(material: Material) -> Run:
    """Likewise, in int8."""
    return _predict(material, "onnx-int8")


def litert(material: Material) -> Run:
    """On LiteRT."""
    return _predict(material, "litert-float32")


def litert_int8(material: Material) -> Run:
    """Likewise, in int8."""
    return _predict(material, "litert-int8")


def strings(material: Material) -> Run:
    """The bare signature that takes strings."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    from bert_keras3.serving.saved_model import STRINGS

    # Held on to by the function below, since signatures live no longer.
    loaded = tf.saved_model.load(
        os.fspath(latest_version(material.cache / "saved_model-float32"))
    )

    def run(batch: Batch) -> np.ndarray:
        texts = tf.constant(batch["texts"].tolist())
        answer = loaded.signatures[STRINGS](text=texts)
        return np.asarray(answer["probabilities"])

    return run


def ids(material: Material) -> Run:
    """The bare signature that takes ids, which are made beforehand."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    from bert_keras3.serving.saved_model import IDS, PACKED

    loaded = tf.saved_model.load(
        os.fspath(latest_version(material.cache / "saved_model-float32"))
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
