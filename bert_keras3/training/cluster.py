"""Which worker this process is, and where the others are: `TF_CONFIG`.

What they do together is told in `devices`; who starts several of them on one
machine is `loopback`.
"""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from bert_keras3.safekeeping.errors import UserError

VARIABLE = "TF_CONFIG"

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
        """Whether this worker writes the files."""
        return self.index == 0

    def name_of(self, index: int) -> str:
        """Returns what messages call a worker."""
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

    def silent(self, seconds: float = 2.0) -> list[int]:
        """Returns the other workers that answer no call any more.

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
    """Reads the workers from the environment.

    A `chief` of its own counts as the first worker.

    Args:
        environment: `os.environ`.

    Raises:
        UserError: the variable is missing, is no JSON, or does not tell
            which worker this is.
    """
    text = environment.get(VARIABLE)
    if not text:
        raise UserError(
            f"--distribution=multi_worker: the environment has no {VARIABLE}, "
            "which tells the workers' addresses. On one machine, "
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
