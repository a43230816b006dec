"""How TensorFlow is imported: the variables that it reads, and in silence."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

# The file descriptor that libraries write to, also if `sys.stderr` is another.
_STDERR = 2

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


def load_tensorflow(threads: int | None = None) -> None:
    """Imports TensorFlow and suppresses what its libraries print meanwhile.

    If the import fails, the output is printed after all.

    Args:
        threads: number of threads per operation, unless set by the user; by
            default the number of cores.
    """
    set_threads(threads)
    with tempfile.TemporaryFile() as log:
        saved = os.dup(_STDERR)
        sys.stderr.flush()
        os.dup2(log.fileno(), _STDERR)
        try:
            import keras  # noqa: F401
            import tensorflow as tf

            # Searching for devices prints for the first time, too.
            tf.config.list_physical_devices()
        except ImportError:
            log.seek(0)
            os.write(saved, log.read())
            raise
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)


def keep_tensorflow_out() -> None:
    """Lets Keras work on NumPy for the rest of the process.

    For what writes Keras' files and computes nothing: TensorFlow alone takes
    more memory than that. Does nothing if TensorFlow was imported before.
    """
    if "tensorflow" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "numpy"
        # An import of it fails then; Keras does without.
        sys.modules["tensorflow"] = None  # type: ignore[assignment]


@contextlib.contextmanager
def without_tracing_warnings() -> Iterator[None]:
    """Silences TensorFlow's warnings of functions that are traced often.

    It counts those of all models of a process together.
    """
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
