"""What a measurement depends on beside the code: date, machine, versions."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
from typing import Any


def environment(*packages: str) -> dict[str, Any]:
    """Returns the last entries of every line that a benchmark prints.

    Args:
        *packages: names of distributions to state the versions of; one that is
            not installed is left out.
    """
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        **({"versions": versions} if versions else {}),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
    }
