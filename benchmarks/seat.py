"""The process of one contender: computes batches when it is told to.

`contest` starts it and talks to it by lines of JSON: it answers with versions
when it is ready, and with seconds a batch after every turn. The contender
itself is a module in `contenders`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import os
import pathlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.material import Batch, Material, load_batches
from bert_keras3.training.concurrency import in_flight

# The most numbers that are sent to who compares them.
_TOLD = 10_000


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in packages}


def _peak_mb() -> float:
    """Returns the most memory that this process ever had, in MB.

    Not from `getrusage`, which starts with the parent's.
    """
    status = pathlib.Path("/proc/self/status").read_text("ascii", "replace")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 1024


def _told(outputs: list[np.ndarray]) -> list[Any]:
    """Returns all outputs, or the first of them if they are many numbers."""
    few = sum(output.size for output in outputs) < _TOLD
    return [output.tolist() for output in (outputs if few else outputs[:1])]


def _groups(batches: list[Batch], number: int) -> Iterator[list[Batch]]:
    size = len(batches) // number
    for first in range(0, len(batches), size):
        yield batches[first : first + size]


def _timed(
    run: Callable[[Batch], np.ndarray], batches: list[Batch], at_once: int
) -> list[float]:
    """Returns the seconds of each batch.

    Those that are computed at the same time, the longest first, have the same
    share each of what all of them took together.
    """
    if at_once > 1:
        batches = sorted(
            batches, key=lambda batch: int(-batch["input_mask"].sum())
        )
        started = time.perf_counter()
        for _ in in_flight(run, batches, at_once):
            pass
        together = time.perf_counter() - started
        return [together / len(batches)] * len(batches)
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        run(batch)
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Prepares, warms up, and takes turns until its input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("module", "function"):
        parser.add_argument(f"--{name}", required=True)
    for name in Material._fields:
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    parser.add_argument("--at_once", required=True, type=int)
    parser.add_argument("--groups", required=True, type=int)
    arguments = parser.parse_args()
    # Whatever libraries print goes elsewhere: this stream is for answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    module = importlib.import_module(
        f"benchmarks.contenders.{arguments.module}"
    )
    material = Material(
        *(getattr(arguments, name) for name in Material._fields)
    )
    material.cache.mkdir(parents=True, exist_ok=True)
    batches = load_batches(material.batches)
    before = _peak_mb()
    run = getattr(module, arguments.function)(material)
    outputs = [run(batch) for batch in batches]
    packages = module.PACKAGES
    if isinstance(packages, dict):  # contenders that need different ones
        packages = packages[arguments.function]
    print(
        json.dumps(
            {
                "versions": _versions(packages),
                "outputs": _told(outputs),
            }
        ),
        file=answers,
    )
    with contextlib.suppress(KeyboardInterrupt):
        for _ in sys.stdin:
            answer = {
                "seconds": [
                    seconds
                    for group in _groups(batches, arguments.groups)
                    for seconds in _timed(run, group, arguments.at_once)
                ],
                "peak_mb": _peak_mb(),
                "peak_mb_of_imports": before,
            }
            print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
