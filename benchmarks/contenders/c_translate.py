"""CTranslate2, which drops padding and packs its weights.

TensorFlow must not be imported beside it: both bring an LLVM of their own.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import ctranslate2
import numpy as np
from safetensors.numpy import load_file
from scipy.special import softmax

from benchmarks.contender_inputs import Batch, ContenderInputs

PACKAGES = ("ctranslate2",)


def converted(given: ContenderInputs) -> pathlib.Path:
    """Returns the converted model, converting it if need be."""
    path = given.cache / "ctranslate2"
    if not path.exists():
        import transformers
        from ctranslate2.converters import TransformersConverter

        # The converter reads it, and transformers has dropped it.
        transformers.BertConfig.position_embedding_type = "absolute"
        TransformersConverter(str(given.weights)).convert(str(path))
    return path


def _encoder(
    given: ContenderInputs, compute_type: str, at_once: int = 1
) -> Callable[[Batch], np.ndarray]:
    encoder = ctranslate2.Encoder(
        str(converted(given)),
        device="cpu",
        compute_type=compute_type,
        inter_threads=at_once,
        intra_threads=max(1, (os.cpu_count() or 1) // at_once),
    )

    def run(batch: Batch) -> np.ndarray:
        lengths = batch["input_mask"].sum(axis=1)
        rows = [
            row[:length].tolist()
            for row, length in zip(batch["input_ids"], lengths, strict=True)
        ]
        return np.array(encoder.forward_batch(rows).pooler_output)

    return run


def _classify(
    given: ContenderInputs, compute_type: str
) -> Callable[[Batch], np.ndarray]:
    pooled = _encoder(given, compute_type)
    weights = load_file(given.weights / "model.safetensors")
    kernel, bias = weights["classifier.weight"].T, weights["classifier.bias"]
    return lambda batch: softmax(pooled(batch) @ kernel + bias, axis=-1)


def classify(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Probabilities; the last product, of a few numbers, by NumPy."""
    return _classify(given, "float32")


def classify_int8(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Probabilities, dense layers in int8."""
    return _classify(given, "int8")


def predict(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs."""
    return _encoder(given, "float32")


def predict_two(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs, for two callers at the same time."""
    return _encoder(given, "float32", at_once=2)
