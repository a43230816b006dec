"""Starts the workers of one training as processes of this machine.

What they are told about each other is in `cluster`; what they do with it, in
`devices`. On several machines whoever starts the workers sets `TF_CONFIG`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

from bert_keras3.training.cluster import VARIABLE, Cluster

# A worker that is left alone notices it within about ten seconds.
_GRACE_SECONDS = 60.0


def run_workers(command: Sequence[str], num_workers: int) -> int:
    """Runs a command once for each worker and waits for all of them.

    The first, the chief, writes to this terminal as if it were alone; lines
    of the others go to standard error behind their number.

    Args:
        command: program and arguments, the same for all.
        num_workers: how many.

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
    """Returns ports of this machine that nobody listens at."""
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
    """Waits for all; when one fails, for the others to notice it."""
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
