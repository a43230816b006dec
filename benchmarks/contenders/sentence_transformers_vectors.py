"""Vectors of texts by sentence-transformers, on PyTorch and ONNX Runtime."""

from __future__ import annotations

import os

# Nothing is downloaded, and nothing said about it.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Some versions of transformers import TensorFlow where it is installed, and
# then refuse Keras 3.
os.environ.setdefault("USE_TF", "0")

from collections.abc import Callable

import numpy as np
from sentence_transformers import SentenceTransformer

from benchmarks.contender_inputs import Batch, ContenderInputs

_TORCH = ("sentence-transformers", "transformers", "torch")
_ONNX = (*_TORCH, "onnxruntime")
PACKAGES = {
    "encode": _TORCH,
    "encode_256": _TORCH,
    "encode_onnx": _ONNX,
    "encode_onnx_256": _ONNX,
}


def _encoding(
    given: ContenderInputs, batch_size: int, backend: str
) -> Callable[[Batch], np.ndarray]:
    model = SentenceTransformer(
        os.fspath(given.weights), device="cpu", backend=backend
    )

    def run(batch: Batch) -> np.ndarray:
        vectors: np.ndarray = model.encode(
            batch["texts"].tolist(),
            batch_size=batch_size,
            show_progress_bar=False,
        )
        return vectors

    return run


def encode(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """All texts in one call, which sorts them, in batches of 32."""
    return _encoding(given, 32, "torch")


def encode_256(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Likewise, in batches of 256."""
    return _encoding(given, 256, "torch")


def encode_onnx(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """On ONNX Runtime, in batches of 32."""
    return _encoding(given, 32, "onnx")


def encode_onnx_256(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """On ONNX Runtime, in batches of 256."""
    return _encoding(given, 256, "onnx")
