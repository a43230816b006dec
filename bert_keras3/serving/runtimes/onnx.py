"""An ONNX file on ONNX Runtime."""

from __future__ import annotations

import pathlib

import numpy as np
import onnxruntime

from bert_keras3.serving.formats import MODEL_FILES, ONNX
from bert_keras3.serving.runtimes.id_runtime import Compute, IdRuntime
from bert_keras3.serving.runtimes.runtime import Ids, Runtime

# It writes what it raises to the terminal, too, unless it is told not to.
_FATAL_ALONE = 4


def load(folder: pathlib.Path) -> Runtime:
    """Loads the ONNX file in a folder.

    Raises:
        UserError: a file is missing or damaged.
    """
    return IdRuntime(folder / MODEL_FILES[ONNX], _open)


def _open(path: str) -> Compute:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ALONE
    session = onnxruntime.InferenceSession(path, options)

    def compute(ids: Ids) -> np.ndarray:
        [output] = session.run(None, dict(ids))
        return np.asarray(output)

    return compute
