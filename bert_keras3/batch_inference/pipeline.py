"""The Apache Beam pipeline: shards → answers, each by one warm model a process.

    shards ─▶ Create ─▶ Reshuffle ─▶ AnswerShards ─▶ files

Counters `rows`, `tokens`, `failures` and `shards` of the namespace
`bert_keras3` are those of Beam's metrics.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from bert_keras3.batch_inference import filesystems
from bert_keras3.batch_inference.shards import (
    WORKING,
    Counts,
    Results,
    Shard,
)
from bert_keras3.batch_inference.work import Answerer, Failures, Work
from bert_keras3.parallel_work.pipelines import run_pipeline
from bert_keras3.safekeeping.errors import UserError

_NAMESPACE = "bert_keras3"


def answer_shards(
    runner: str,
    options: Sequence[str],
    work: Work,
    shards: Sequence[Shard],
    results: Results,
) -> None:
    """Writes the answers of all shards.

    Args:
        runner: as Beam calls it.
        options: of the pipeline, as on a command line.
        work: to do with each shard.
        shards: those that are not finished.
        results: where.

    Raises:
        UserError: see `run_pipeline`. What is wrong with a shard is kept in
            its results.
    """
    run_pipeline(
        runner, options, functools.partial(_build, work, shards, results)
    )


def _build(
    work: Work, shards: Sequence[Shard], results: Results, pipeline: Any
) -> None:
    (
        pipeline
        | "Shards" >> beam.Create(list(shards))
        # Or one worker would get them all.
        | "Distribute" >> beam.Reshuffle()
        | "Answer" >> beam.ParDo(AnswerShards(work, results))
    )


class _Warm:
    """A model, and the lock of the one thread that uses it."""

    def __init__(self, work: Work) -> None:
        self.answerer: Answerer = work.open()
        self.lock = threading.Lock()


class AnswerShards(beam.DoFn):
    """Answers a shard; loads the model once in each process."""

    def __init__(self, work: Work, results: Results) -> None:
        """Loads nothing yet."""
        super().__init__()
        self._work = work
        self._results = results
        self._shared = Shared()
        self._warm: Any = None
        self._mistake = ""

    def setup(self) -> None:
        """Loads the model, unless another thread has done so."""
        try:
            self._warm = self._shared.acquire(
                functools.partial(_Warm, self._work)
            )
        except UserError as error:
            # A failed set-up would be tried again.
            self._mistake = str(error)

    def process(self, element: Shard) -> None:
        """Writes the files of a shard."""
        if self._warm is None:
            self._results.stop(element, self._mistake)
            return
        # Threads of one process would share its cores and its memory.
        with self._warm.lock:
            try:
                counts = self._answer(element)
            except UserError as error:
                self._results.stop(element, str(error))
                return
        for name in ("rows", "tokens", "failures"):
            Metrics.counter(_NAMESPACE, name).inc(getattr(counts, name))
        Metrics.counter(_NAMESPACE, "shards").inc()

    def _answer(self, shard: Shard) -> Counts:
        counts = Counts()
        with _working_folder(self._results.folder) as folder:
            written = folder / "written"
            written.mkdir()
            # Before it is read: an answer is never of an earlier content.
            content = filesystems.content_of(shard.path)
            failed = written / f"{self._results.label}_failed.jsonl"
            with (
                filesystems.on_this_machine(shard.path, folder) as path,
                Failures(failed) as failures,
            ):
                # Some writers of shards leave some of them empty.
                if path.stat().st_size:
                    counts = self._answered(shard, path, written, failures)
            self._results.finish(shard, content, written, counts)
        return counts

    def _answered(
        self,
        shard: Shard,
        path: pathlib.Path,
        written: pathlib.Path,
        failures: Failures,
    ) -> Counts:
        answerer: Answerer = self._warm.answerer
        try:
            return answerer.answer(path, written, failures)
        except UserError as error:
            # A copy is not the user's.
            message = str(error).replace(str(path), shard.path)
            raise UserError(message) from error


@contextlib.contextmanager
def _working_folder(results: str) -> Iterator[pathlib.Path]:
    """Yields a folder on the disk where the results are to be, if it can."""
    place = None if filesystems.is_remote(results) else results
    with tempfile.TemporaryDirectory(
        prefix=WORKING, suffix=f".{os.getpid()}", dir=place
    ) as folder:
        yield pathlib.Path(folder)
