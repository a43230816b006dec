"""Opens an exported folder with the library for the model file in it."""

from __future__ import annotations

import importlib
import os
import pathlib
from typing import NamedTuple

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.formats import (
    LITERT,
    MODEL_FILES,
    ONNX,
    SAVED_MODEL_FILE,
)
from bert_keras3.serving.runtimes.runtime import Runtime
from bert_keras3.serving.versions import latest_version, versions


class _Kind(NamedTuple):
    """How one kind of folder is recognised and opened."""

    file: str
    module: str
    """In this package; its `load` takes the folder."""
    installed_by: str
    """Command that installs the library."""


_KINDS = (
    _Kind(SAVED_MODEL_FILE, "saved_model", "pip install ."),
    _Kind(MODEL_FILES[ONNX], "onnx", f"pip install '.[{ONNX}]'"),
    _Kind(MODEL_FILES[LITERT], "litert", f"pip install '.[{LITERT}]'"),
)


def open_runtime(export_dir: str | os.PathLike[str]) -> Runtime:
    """Loads an exported model with the library that it is for.

    Args:
        export_dir: a folder with numbered folders, of which the highest is
            opened; or a folder with a model in it.

    Raises:
        UserError: there is no model, its library is not installed, or a file
            is missing or damaged.
    """
    folder = pathlib.Path(export_dir)
    kind = _kind_of(folder)
    if kind is None:
        folder = latest_version(folder)
        kind = _kind_of(folder)
    if kind is None:
        raise UserError(
            f"{folder}: holds none of {', '.join(kind.file for kind in _KINDS)}"
            "; give a folder that export_saved_model.py wrote"
        )
    try:
        module = importlib.import_module(
            f"bert_keras3.serving.runtimes.{kind.module}"
        )
    except ImportError as error:
        raise UserError(
            f"{folder / kind.file}: cannot be computed here ({error}); install "
            f"what it needs with `{kind.installed_by}`"
        ) from error
    runtime: Runtime = module.load(folder)
    return runtime


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Whether there is an exported model, not a checkpoint.

    Args:
        path: as for `open_runtime`, or anything else.
    """
    folder = pathlib.Path(path)
    newest = list(versions(folder).values())[-1:]
    return any(_kind_of(one) is not None for one in (folder, *newest))


def _kind_of(folder: pathlib.Path) -> _Kind | None:
    return next(
        (kind for kind in _KINDS if (folder / kind.file).is_file()), None
    )
