"""The worker processes of one training: their addresses, and starting them.

The environment variable `TF_CONFIG` of each worker has the addresses of all
workers and its own number. `run_workers` sets it and starts workers on this
machine; on several machines the user sets it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from bert_keras3.safekeeping.errors import UserError

VARIABLE = "TF_CONFIG"
# Workers notice within about ten seconds that another one stopped.
_GRACE_SECONDS = 60.0

_EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of one training.

    Attributes:
        addresses: host:port of every worker; the first is the chief.
        index: which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes files."""
        return self.index == 0

    def name_of(self, index: int) -> str:
        """Returns the name of a worker in messages."""
        chief = ", the chief" if index == 0 else ""
        return f"worker {index} ({self.addresses[index]}{chief})"

    def to_json(self) -> str:
        """Returns the value of the variable for this worker."""
        return json.dumps(
            {
                "cluster": {"worker": list(self.addresses)},
                "task": {"type": "worker", "index": self.index},
            }
        )

    def unreachable(self, seconds: float = 2.0) -> list[int]:
        """Returns the numbers of the other workers that do not answer.

        Args:
            seconds: to wait for each.
        """
        found = []
        for index, address in enumerate(self.addresses):
            if index == self.index:
                continue
            host, _, port = address.rpartition(":")
            try:
                socket.create_connection((host, int(port)), seconds).close()
            except OSError:
                found.append(index)
        return found


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Reads `TF_CONFIG`; a separate `chief` counts as the first worker.

    Args:
        environment: `os.environ`.

    Raises:
        UserError: the variable is missing, is not JSON, or does not contain
            the number of this worker.
    """
    text = environment.get(VARIABLE)
    if not text:
        raise UserError(
            f"--distribution=multi_worker: the environment has no {VARIABLE}, "
            "which lists the workers' addresses. On one machine, "
            "`python start_workers.py --num_workers=2 …` sets it; on several, "
            f"set it for each worker, such as {_EXAMPLE}"
        )
    try:
        config = json.loads(text)
    except ValueError as error:
        raise _wrong(text, f"is no JSON: {error}") from error
    try:
        jobs, task = config["cluster"], config["task"]
        chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
        kind, index = task["type"], task["index"]
    except (TypeError, KeyError, AttributeError) as error:
        raise _wrong(text, "lacks `cluster` or `task`") from error
    if set(jobs) - {"chief", "worker"} or kind not in ("chief", "worker"):
        raise _wrong(text, "has jobs other than `chief` and `worker`")
    _check_addresses(text, [*chiefs, *workers])
    own = chiefs if kind == "chief" else workers
    if not isinstance(index, int) or not 0 <= index < len(own):
        raise _wrong(text, f"has no {kind} number {index!r}")
    return Cluster(
        (*chiefs, *workers), index + (len(chiefs) if kind == "worker" else 0)
    )


def _check_addresses(text: str, addresses: Sequence[Any]) -> None:
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise _wrong(text, f"has the address {address!r}, not host:port")
    if len(set(addresses)) < len(addresses):
        raise _wrong(text, "has an address twice")


def _wrong(text: str, what: str) -> UserError:
    return UserError(
        f"{VARIABLE}={text}: {what}. Set it for each worker, such as {_EXAMPLE}"
    )


def run_workers(command: Sequence[str], num_workers: int) -> int:
    """Runs a command once for each worker and waits for all of them.

    The chief writes to this terminal; the lines of the others go to standard
    error with the number of the worker before each.

    Args:
        command: program and arguments, the same for all.
        num_workers: number of workers.

    Returns:
        0, or the exit status of the first worker that did not end with 0.
    """
    addresses = tuple(f"localhost:{port}" for port in free_ports(num_workers))
    workers: list[subprocess.Popen[str]] = []
    readers: list[threading.Thread] = []
    try:
        for index in range(num_workers):
            worker = _start(command, Cluster(addresses, index))
            workers.append(worker)
            if worker.stdout is not None:
                reader = threading.Thread(
                    target=_pass_on, args=(worker.stdout, index), daemon=True
                )
                reader.start()
                readers.append(reader)
        return _wait(workers)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        for reader in readers:
            reader.join()


def free_ports(number: int) -> list[int]:
    """Returns unused ports of this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


def _start(command: Sequence[str], cluster: Cluster) -> subprocess.Popen[str]:
    output = None if cluster.is_chief else subprocess.PIPE
    return subprocess.Popen(
        command,
        env={**os.environ, VARIABLE: cluster.to_json()},
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _pass_on(lines: IO[str], index: int) -> None:
    with lines:
        for line in lines:
            sys.stderr.write(f"[worker {index}] {line}")
            sys.stderr.flush()


def _wait(workers: Sequence[subprocess.Popen[str]]) -> int:
    """Waits for all workers; after a failure, at most a minute longer."""
    status = 0
    deadline = float("inf")
    while any(worker.poll() is None for worker in workers):
        failed = [worker.returncode for worker in workers if worker.returncode]
        if failed and not status:
            status = failed[0]
            deadline = time.monotonic() + _GRACE_SECONDS
        if time.monotonic() > deadline:
            return status
        time.sleep(0.1)
    return status or next((w.returncode for w in workers if w.returncode), 0)
