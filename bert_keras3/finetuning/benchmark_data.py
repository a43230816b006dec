"""Data sets of benchmarks: parts, official metrics, files for the server.

a row of `inputs/benchmarks.py` and --data_dir  ─▶ BenchmarkDataset
  ─▶ BenchmarkSource for each part
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning.dataset import Description, Source
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.finetuning.trained_task import task_of_classifier
from bert_keras3.inputs import benchmark_files
from bert_keras3.inputs.benchmark import Benchmark
from bert_keras3.inputs.benchmark_files import BenchmarkFile
from bert_keras3.inputs.benchmarks import BENCHMARKS
from bert_keras3.inputs.examples import InputExample

# {metric of a benchmark: its name here}, where they differ.
_METRICS = {"matthews_correlation": "mcc"}


def is_model_of(trained: str, wanted: str) -> bool:
    """Whether a benchmark is predicted with the model of another one."""
    return any(
        benchmark.name.lower() == wanted
        and benchmark.model_of.lower() == trained
        for benchmark in BENCHMARKS
    )


def metrics_of(benchmark: Benchmark) -> tuple[str, ...]:
    """Returns the official metrics by their names in an evaluation."""
    return tuple(_METRICS.get(name, name) for name in benchmark.metrics)


@dataclasses.dataclass(frozen=True)
class BenchmarkSource:
    """A file of a benchmark, a `dataset.Source`.

    Attributes:
        file: the examples.
    """

    file: BenchmarkFile
    label_columns: tuple[str, ...] = ()
    label_separator: str | None = None
    suffix = ".csv"
    has_ids = True

    @property
    def path(self) -> pathlib.Path:
        """The file, for messages."""
        return self.file.path

    @property
    def columns(self) -> dict[str, Any]:
        """Nothing: the benchmark says what is where."""
        return {}

    @property
    def takes_pairs(self) -> bool:
        """Whether examples have two texts."""
        return self.file.split.text_b is not None

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the examples."""
        return iter(self.file)

    def describe(self) -> Description | None:
        """Returns None: nothing has to be detected."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Returns how many rows were left out, and why."""
        return tuple(
            f"note: left out {number} row{'s' * (number != 1)}: {why}"
            for why, number in self.file.left_out.items()
        )

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Is never called: a benchmark has a "dev" split."""
        raise TypeError(f"{self.path} is not to be split")


@dataclasses.dataclass(frozen=True)
class BenchmarkDataset:
    """One of the benchmarks in `inputs/benchmarks.py`."""

    benchmark: Benchmark
    data: DataChoices

    @property
    def name(self) -> str:
        """Its name in the settings of the run."""
        return self.benchmark.name.lower()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels, in the order that the benchmark defines, if it does."""
        return self.benchmark.known_labels(self._folder)

    @property
    def metric(self) -> str | None:
        """The metric for the best weights."""
        return metrics_of(self.benchmark)[0]

    @property
    def _folder(self) -> pathlib.Path:
        assert self.data.data_dir is not None
        return pathlib.Path(self.data.data_dir)

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test"."""
        return self.benchmark.split(split) is not None

    def further(self, split: str) -> tuple[str, ...]:
        """Returns the further parts whose files are there."""
        return self.benchmark.further_parts(split, self._folder)

    def source(self, split: str) -> Source:
        """Opens a split."""
        file = self._file(split)
        return BenchmarkSource(file)

    def _file(self, split: str) -> BenchmarkFile:
        return benchmark_files.open_split(self.benchmark, split, self._folder)

    def task(self, source: Source) -> tuple[Task, str]:
        """Returns the task that the benchmark's labels need."""
        return TASKS[self.benchmark.task](), f"task {self.benchmark.name}"

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> pathlib.Path | None:
        """Writes the labels in `predictions.csv` under the test file's ids."""
        file = self._file(split)
        submission = file.split.submission
        if submission is None:
            return None
        with open(predictions, encoding="utf-8", newline="") as lines:
            labels = (row["label"] for row in csv.DictReader(lines))
            benchmark_files.write_submission(
                folder / submission.file,
                submission,
                zip(file.ids(), labels, strict=True),
                self.benchmark.score_range,
            )
        return folder / submission.file

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        """Returns None: a benchmark has a "dev" split."""
        return None

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Returns the benchmark's task with its labels."""
        return task_of_classifier(
            checkpoint, self.data, self.labels, self.benchmark.task
        )

    def reopened(self, task: Task) -> Task:
        """Returns the same task: no flag changes it."""
        return task
