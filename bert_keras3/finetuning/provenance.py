"""What made a result: command, versions, settings, files with checksums.

It is written when a training begins, so that a killed one has it, too, and
with every evaluation. Settings of the data can be read back, to open the same
files again.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import sys
import typing
from collections.abc import Mapping
from typing import Any

from bert_keras3.finetuning.datasets import settings_class
from bert_keras3.finetuning.settings import DataFiles, Job
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import digest

_PACKAGES = ("tensorflow", "keras", "numpy")
# Larger files have no checksum: it would take more than a second.
_MOST_BYTES = 1 << 30


def provenance_of(
    job: Job, files: Mapping[str, str | os.PathLike[str]]
) -> dict[str, Any]:
    """Returns what makes the results of a job, as JSON values.

    Args:
        job: its settings.
        files: {what it is for: file that is read}; of a checkpoint of the
            original its prefix.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "command": shlex.join(sys.argv),
        "time": now.isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "training": dataclasses.asdict(job.training),
        "files": {
            name: _described(pathlib.Path(path)) for name, path in files.items()
        },
        "data": {
            "settings": type(job.data).__name__,
            "values": _with_whole_paths(dataclasses.asdict(job.data)),
        },
    }


def data_settings(provenance: Mapping[str, Any]) -> DataFiles:
    """Returns the settings of the data, to open the same files again.

    Args:
        provenance: the result of `provenance_of`, perhaps read from a file.

    Raises:
        UserError: it is not.
    """
    try:
        data = provenance["data"]
        found: DataFiles = _restored(
            settings_class(data["settings"]), data["values"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the provenance of the run is damaged: {error}"
        ) from error
    return found


def _restored(kind: Any, values: Mapping[str, Any]) -> Any:
    declared = typing.get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name not in values:
            continue  # of a later version
        value = values[field.name]
        if dataclasses.is_dataclass(declared[field.name]):
            value = _restored(declared[field.name], value)
        given[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)


def _with_whole_paths(values: Any) -> Any:
    """Returns settings whose files are found from any folder."""
    return {
        name: os.path.abspath(value)
        if isinstance(value, str) and os.path.exists(value)
        else value
        for name, value in values.items()
    }


def _described(path: pathlib.Path) -> dict[str, Any]:
    described: dict[str, Any] = {"path": os.path.abspath(path)}
    # The weights of a checkpoint are in files that begin as it is called.
    parts = [path] if path.is_file() else path.parent.glob(f"{path.name}.data*")
    for part in parts:
        size = part.stat().st_size
        described["bytes"] = described.get("bytes", 0) + size
        if size <= _MOST_BYTES:
            described["blake2b"] = digest(part)
    return described
