"""Work without a model: the number of words of each line of a file.

A line `stop` is a mistake of the user; at a line `kill` the worker is killed,
once; at a line `wait` it waits for a file `go` in the notes. In a file of its
own, so that other processes can import it.

    python run_words.py NOTES ROWS OUT OPTION …
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import pathlib
import signal
import sys
import time

from bert_keras3.batch_inference.job import Inputs, answer_inputs
from bert_keras3.batch_inference.shards import Counts, Results
from bert_keras3.commands.entry import exit_after
from bert_keras3.commands.screen import Screen
from bert_keras3.parallel_work.settings import RunnerFlags
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
                while line == "wait" and not os.path.exists(f"{self.notes}/go"):
                    time.sleep(0.1)
                if line == "stop":
                    raise UserError(f"{path}, line {rows}: stop")
                file.write(f"{len(line.split())}\n")
        return Counts(rows, 0, 0)


def main():
    # Under the name by which workers import it.
    work = importlib.import_module("run_words").CountWords
    notes, rows, out, *options = sys.argv[1:]
    answer_inputs(
        work(notes),
        {},
        Inputs(f"{rows}/*.txt", "test_file"),
        Results(out, "words", "predictions_dir"),
        RunnerFlags(runner="DirectRunner", runner_options=tuple(options)),
        Screen(),
    )


if __name__ == "__main__":
    exit_after(main)
