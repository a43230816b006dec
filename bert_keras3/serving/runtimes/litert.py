"""A LiteRT file on its interpreter."""

from __future__ import annotations

import os
import pathlib
import threading

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from bert_keras3.serving.formats import LITERT, MODEL_FILES
from bert_keras3.serving.runtimes.id_runtime import Compute, IdRuntime
from bert_keras3.serving.runtimes.runtime import Ids, Runtime


def load(folder: pathlib.Path) -> Runtime:
    """Loads the LiteRT file in a folder.

    Raises:
        UserError: a file is missing or damaged.
    """
    return IdRuntime(folder / MODEL_FILES[LITERT], _open)


def _open(path: str) -> Compute:
    # By itself it would compute on one core.
    interpreter = Interpreter(path, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()
    # It writes into tensors of its own, whoever asks.
    one_at_a_time = threading.Lock()

    def compute(ids: Ids) -> np.ndarray:
        with one_at_a_time:
            [output] = runner(**ids).values()
        return np.asarray(output)

    return compute
