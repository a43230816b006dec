"""What is done with each shard of a job, and how rows fail.

The pipeline knows no more than `Work` and `Answerer`. A job is sent to its
workers as a `Work`, which loads TensorFlow there.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from types import TracebackType
from typing import Any, Protocol

from bert_keras3.batch_inference.devices import DeviceChoices
from bert_keras3.batch_inference.shards import Counts
from bert_keras3.finetuning.settings import Job
from bert_keras3.vectors.settings import Extraction


class Work(Protocol):
    """What a job does with each shard; it can be pickled."""

    def open(self) -> Answerer:
        """Loads the model, once in each process of a worker."""


class Answerer(Protocol):
    """A model in memory."""

    def answer(
        self, path: pathlib.Path, folder: pathlib.Path, failures: Failures
    ) -> Counts:
        """Writes the answers for a file; memory does not grow with it.

        Args:
            path: the file.
            folder: an empty one, for the files of answers.
            failures: gets the rows that have no answer.

        Returns:
            What was met in the file.

        Raises:
            UserError: the file as a whole cannot be read.
        """


@dataclasses.dataclass(frozen=True)
class PredictionWork:
    """Predictions by the model in the output folder of a job."""

    job: Job
    devices: DeviceChoices

    def open(self) -> Answerer:
        """Loads TensorFlow and the model."""
        precision, concurrency = self.devices.prepare()
        from bert_keras3.batch_inference.predictions import Predictions

        return Predictions(self.job, precision, concurrency)


@dataclasses.dataclass(frozen=True)
class VectorWork:
    """The vectors of an extraction."""

    wanted: Extraction
    devices: DeviceChoices

    def open(self) -> Answerer:
        """Loads TensorFlow and the model."""
        _, concurrency = self.devices.prepare()
        from bert_keras3.batch_inference.extraction import Vectors

        return Vectors(self.wanted, concurrency)


class Failures:
    """A file with a JSON object for each row that has no answer.

    {"row": 7, "line": 9, "reason": "…", "text": "…"}

    It is there if there is such a row. Used as a context.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Does not make the file yet."""
        self._path = path
        self._file: Any = None
        self.number = 0
        """Of the rows so far."""

    def __enter__(self) -> Failures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, failure: Failure) -> None:
        """Writes one."""
        if self._file is None:
            self._file = open(self._path, "w", encoding="utf-8")  # noqa: SIM115
        self.number += 1
        values = dataclasses.asdict(failure)
        self._file.write(f"{json.dumps(values, ensure_ascii=False)}\n")


@dataclasses.dataclass(frozen=True)
class Failure:
    """A row that has no answer.

    Attributes:
        row: its number in the shard, from 1.
        line: the line of the shard where it begins, from 1; 0 if lines say
            nothing.
        reason: why, as a message of the program.
        text: the row as it stands in the shard.
    """

    row: int
    line: int
    reason: str
    text: str
