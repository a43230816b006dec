"""Environment variables that TensorFlow reads when it is imported."""

from __future__ import annotations

import os

# Unless they are set by the user.
_VARIABLES = {
    # Fatal errors only; TensorFlow raises the others as exceptions.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Up to 1.6 times faster matrix products; not the default on every CPU.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "KERAS_BACKEND": "tensorflow",
}


def set_up_environment() -> None:
    """Sets the environment variables that TensorFlow reads on import.

    Variables that the user has set are not changed.
    """
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)


def set_threads(threads: int | None) -> None:
    """Sets how many threads an operation has, unless set by the user.

    Args:
        threads: their number; None: TensorFlow's default, that of the cores.
    """
    if threads is not None:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
