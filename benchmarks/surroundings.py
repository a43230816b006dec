"""What a measurement depends on beside the code: day, machine, versions."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
from typing import Any


def surroundings(*packages: str) -> dict[str, Any]:
    """Returns what every line of a benchmark ends with.

    Args:
        *packages: names of distributions whose versions matter; one that is
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
