"""A contender in a process of its own: both ends of the conversation.

`take_turns` starts the contenders and talks to them by lines of JSON:

    contender  {"versions": …, "outputs": …}    it is warm
    caller     go
    contender  {"seconds": [0.021, …], "peak_mb": …}    a turn, by batches

and so on until the caller closes the stream. The contender itself is a
function of a module in `contenders`.
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
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.contender_inputs import (
    Batch,
    ContenderInputs,
    load_batches,
)
from bert_keras3.training.concurrency import in_flight

# Module and function in `contenders`, and how many batches it computes at the
# same time, if more than one.
Place = tuple[str, str] | tuple[str, str, int]

# So that threads that wait for more work have gone to sleep.
_PAUSE = 0.3
# The most numbers of outputs that are sent to the caller.
_MOST_NUMBERS = 10_000


class NotHereError(Exception):
    """A contender cannot run on this machine."""


class Contender:
    """The caller's end.

    Args:
        name: of the contender.
        place: where it is.
        given: what it computes.
        groups: equal parts of the batches; none is begun while another is
            under way.

    Attributes:
        name: of the contender.
        ready: its first answer.
        last: the answer of its last turn.
        times: seconds of each batch, for each turn.
    """

    def __init__(
        self, name: str, place: Place, given: ContenderInputs, groups: int
    ) -> None:
        self.name = name
        module, function, *rest = place
        at_once = rest[0] if rest else 1
        self.times: list[list[float]] = []
        self.last: dict[str, Any] = {}
        self.ready: dict[str, Any] = {}
        self._log = open(given.cache / f"{module}.{function}.log", "w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.contender_process"),
                *(f"--module={module}", f"--function={function}"),
                *(f"--at_once={at_once}", f"--groups={groups}"),
                *(f"--{key}={path}" for key, path in given._asdict().items()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise NotHereError(self._log.read().strip().rpartition("\n")[2])
        answer: dict[str, Any] = json.loads(line)
        return answer

    def wait(self) -> None:
        """Waits until it has prepared and warmed up.

        Raises:
            NotHereError: it ended instead; the message is its last line.
        """
        self.ready = self._answer()

    def take_turn(self) -> None:
        """Has it compute all batches once."""
        assert self._process.stdin is not None
        time.sleep(_PAUSE)
        print("go", file=self._process.stdin, flush=True)
        self.last = self._answer()
        self.times.append(self.last["seconds"])

    def end(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._log.close()

    @property
    def seconds(self) -> np.ndarray:
        """Of every turn's batches, [turns, batches]."""
        return np.asarray(self.times)


def take_turns(
    places: Mapping[str, Place],
    given: ContenderInputs,
    rounds: int,
    groups: int = 1,
) -> list[Contender]:
    """Has all contenders take turns; returns those that could run.

    Args:
        places: of the contenders, by name.
        given: what they compute.
        rounds: turns of each.
        groups: see `Contender`.
    """
    contenders = []
    try:
        for name, place in places.items():
            contender = Contender(name, place, given, groups)
            try:
                # Before the next one starts: warming up needs all cores.
                contender.wait()
            except NotHereError as error:
                contender.end()
                print(f"left out: {name}: {error}", file=sys.stderr)
            else:
                contenders.append(contender)
        for _ in range(rounds):
            for contender in contenders:
                contender.take_turn()
    finally:
        for contender in contenders:
            contender.end()
    return contenders


# The contender's end.


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in packages}


def _peak_mb() -> float:
    """Returns the most memory that this process ever had, in MB.

    Not from `getrusage`, which starts with the parent's.
    """
    status = pathlib.Path("/proc/self/status").read_text("ascii", "replace")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) / 1024


def _sent(outputs: list[np.ndarray]) -> list[Any]:
    """Returns all outputs, or the first of them if they are many numbers."""
    few = sum(output.size for output in outputs) < _MOST_NUMBERS
    return [output.tolist() for output in (outputs if few else outputs[:1])]


def _groups(batches: list[Batch], number: int) -> Iterator[list[Batch]]:
    size = len(batches) // number
    for first in range(0, len(batches), size):
        yield batches[first : first + size]


def _timed(
    run: Callable[[Batch], np.ndarray], batches: list[Batch], at_once: int
) -> list[float]:
    """Returns the seconds of each batch.

    Batches that are computed at the same time, the longest first, get equal
    shares of the time that all of them took together.
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
    for name in ContenderInputs._fields:
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    parser.add_argument("--at_once", required=True, type=int)
    parser.add_argument("--groups", required=True, type=int)
    arguments = parser.parse_args()
    # Whatever libraries print goes to standard error: standard output is for
    # answers alone.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    module = importlib.import_module(
        f"benchmarks.contenders.{arguments.module}"
    )
    given = ContenderInputs(
        *(getattr(arguments, name) for name in ContenderInputs._fields)
    )
    given.cache.mkdir(parents=True, exist_ok=True)
    batches = load_batches(given.batches)
    before = _peak_mb()
    run = getattr(module, arguments.function)(given)
    outputs = [run(batch) for batch in batches]
    packages = module.PACKAGES
    if isinstance(packages, dict):  # contenders that need different ones
        packages = packages[arguments.function]
    print(
        json.dumps(
            {"versions": _versions(packages), "outputs": _sent(outputs)}
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
