"""Work without a model: the number of words of each line of a file.

A line `stop` is a mistake of the user; at a line `kill` the worker is killed,
once. In a file of its own, so that other processes can import it.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal

from bert_keras3.batch_inference.shards import Counts
from bert_keras3.safekeeping.errors import UserError


@dataclasses.dataclass(frozen=True)
class CountWords:
    """Its answers are in `words.txt`, a number a line."""

    notes: str
    """A folder that gets a file for each model that is loaded."""

    def open(self):
        number = len(os.listdir(self.notes))
        pathlib.Path(self.notes, f"opened{number}-{os.getpid()}").touch()
        return self

    def answer(self, path, folder, failures):
        rows = 0
        with open(folder / "words.txt", "w") as file:
            for line in path.read_text("utf-8").splitlines():
                rows += 1
                killed = pathlib.Path(self.notes, "killed")
                if line == "kill" and not killed.exists():
                    killed.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                if line == "stop":
                    raise UserError(f"{path}, line {rows}: stop")
                file.write(f"{len(line.split())}\n")
        return Counts(rows, 0, 0)
