"""Runs an ONNX file on ONNX Runtime."""

from __future__ import annotations

import pathlib

import numpy as np
import onnxruntime

from bert_keras3.serving.formats import MODEL_FILES, ONNX
from bert_keras3.serving.runtimes.runtime import Ids, Runtime
from bert_keras3.serving.runtimes.token_id_runtime import (
    Compute,
    TokenIdRuntime,
)

# Else it also prints the errors that it raises.
_FATAL_ALONE = 4


def load(folder: pathlib.Path) -> Runtime:
    """Loads the ONNX file in a folder.

    Raises:
        UserError: a file is missing or damaged.
    """
    return TokenIdRuntime(folder / MODEL_FILES[ONNX], _open)


def _open(path: str) -> Compute:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ALONE
    session = onnxruntime.InferenceSession(path, options)

    names = [output.name for output in session.get_outputs()]

    def compute(ids: Ids) -> dict[str, np.ndarray]:
        outputs = session.run(names, dict(ids))
        return dict(zip(names, map(np.asarray, outputs), strict=True))

    return compute
