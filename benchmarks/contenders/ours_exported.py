"""This project's exports of a fine-tuned classifier, each on its runtime."""

from __future__ import annotations

import os

# As `commands.entry` sets them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pathlib
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from benchmarks.contender_inputs import Batch, ContenderInputs
from bert_keras3.serving.exporter import export
from bert_keras3.serving.formats import ID_INPUTS, MODEL_FILES
from bert_keras3.serving.saved_model import IDS
from bert_keras3.serving.versions import latest_version, versions

PACKAGES = ("tensorflow", "keras")
OUTPUT = "probabilities"


def _exported(
    given: ContenderInputs, format_name: str, quantize: str | None
) -> pathlib.Path:
    """Returns the folder of an export, exporting if need be."""
    folder = given.cache / f"{format_name}-{quantize or 'float32'}"
    if not versions(folder):
        export(
            given.model_dir,
            folder,
            format_name=format_name,
            quantize=quantize,
        )
    return latest_version(folder)


def _inputs(batch: Batch) -> Mapping[str, np.ndarray]:
    return {name: batch[name] for name in ID_INPUTS}


def _of_saved_model(
    given: ContenderInputs, quantize: str | None
) -> Callable[[Batch], np.ndarray]:
    # Held on to by the function below, since signatures live no longer.
    loaded = tf.saved_model.load(
        os.fspath(_exported(given, "saved_model", quantize))
    )

    def run(batch: Batch) -> np.ndarray:
        tensors = {name: tf.constant(x) for name, x in _inputs(batch).items()}
        return np.asarray(loaded.signatures[IDS](**tensors)[OUTPUT])

    return run


def _of_litert(
    given: ContenderInputs, quantize: str | None
) -> Callable[[Batch], np.ndarray]:
    folder = _exported(given, "litert", quantize)
    with warnings.catch_warnings():
        # The runtime's own package has the same interpreter.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(
            os.fspath(folder / MODEL_FILES["litert"]),
            num_threads=os.cpu_count(),
        )
    runner = interpreter.get_signature_runner()
    return lambda batch: np.asarray(runner(**_inputs(batch))[OUTPUT])


def _of_onnx(
    given: ContenderInputs, quantize: str | None
) -> Callable[[Batch], np.ndarray]:
    import onnxruntime

    folder = _exported(given, "onnx", quantize)
    session = onnxruntime.InferenceSession(
        os.fspath(folder / MODEL_FILES["onnx"])
    )
    return lambda batch: np.asarray(
        session.run([OUTPUT], dict(_inputs(batch)))[0]
    )


def saved_model(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """The signature that takes ids."""
    return _of_saved_model(given, None)


def saved_model_int8(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Likewise, quantized by Keras."""
    return _of_saved_model(given, "int8")


def litert(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """The LiteRT file."""
    return _of_litert(given, None)


def litert_int8(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Likewise, quantized by its converter."""
    return _of_litert(given, "int8")


def onnx(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """The ONNX file on ONNX Runtime."""
    return _of_onnx(given, None)


def onnx_int8(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Likewise, quantized by ONNX Runtime."""
    return _of_onnx(given, "int8")
