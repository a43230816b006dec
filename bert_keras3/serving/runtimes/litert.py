"""Runs a LiteRT file on LiteRT's interpreter."""

from __future__ import annotations

import os
import pathlib
import threading

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from bert_keras3.serving.formats import LITERT, MODEL_FILES
from bert_keras3.serving.runtimes.runtime import Ids, Runtime
from bert_keras3.serving.runtimes.token_id_runtime import (
    Compute,
    TokenIdRuntime,
)


def load(folder: pathlib.Path) -> Runtime:
    """Loads the LiteRT file in a folder.

    Raises:
        UserError: a file is missing or damaged.
    """
    return TokenIdRuntime(folder / MODEL_FILES[LITERT], _open)


def _open(path: str) -> Compute:
    # The default is one thread.
    interpreter = Interpreter(path, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()
    # All threads would write into the same tensors.
    one_at_a_time = threading.Lock()

    def compute(ids: Ids) -> dict[str, np.ndarray]:
        with one_at_a_time:
            outputs = runner(**ids)
        return {name: np.asarray(output) for name, output in outputs.items()}

    return compute
