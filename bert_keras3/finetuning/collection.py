"""One job for each benchmark of a collection, and one table of the results.

    --task_name=GLUE --data_dir=glue_data     glue_data/CoLA, glue_data/RTE, …
      ─▶ a run folder for each                out/CoLA, out/RTE, …
      ─▶ out/glue_results.csv                 the official metrics, the average
      ─▶ out/submission                       the files for GLUE's server

A benchmark that fails does not stop the others. The same command goes on where
an earlier one ended.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import logging
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bert_keras3.finetuning import checks
from bert_keras3.finetuning.benchmark_data import metrics_of
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.run_folder import FINISHED, MODEL, FinetuningFolder
from bert_keras3.finetuning.settings import LabelledJob
from bert_keras3.finetuning.texts import PREDICTIONS
from bert_keras3.inputs.benchmark import Benchmark
from bert_keras3.inputs.benchmarks import (
    COLLECTIONS,
    Collection,
    find_folders,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import (
    atomic_path,
    atomic_write,
    own_folder,
)
from bert_keras3.training.run_folder import EVAL_JSON
from bert_keras3.training.session import Screen

SUBMISSION = "submission"
"""The folder with the files for the server."""

# Settings that a finished run does not depend on.
_WITHOUT_EFFECT = ("output_dir", "overwrite_output_dir", "concurrency")


def run_collection(job: LabelledJob, screen: Screen) -> None:
    """Runs a job for every benchmark of a collection that is there.

    Args:
        job: its settings; `data.task_name` is a key of `COLLECTIONS`.
        screen: where to print.

    Raises:
        UserError: a flag is wrong, or a benchmark failed after whose failure
            the others were run.
    """
    collection = COLLECTIONS[job.data.task_name.lower()]
    checks.check_flags(job)
    if job.data.data_dir is None:
        raise UserError(
            f"--task_name={job.data.task_name} needs --data_dir, the folder "
            "that has a folder for each task"
        )
    if job.distribution == "multi_worker":
        raise UserError(
            f"--task_name={job.data.task_name}: workers can train one task "
            "only before they end; give the name of one, or "
            "--distribution=mirrored for the devices of this machine"
        )
    folders = find_folders(collection, job.data.data_dir)
    with (
        own_folder(job.output_dir, "output_dir") as output_dir,
        _without_warnings(),
    ):
        _Collection(job, screen, collection, folders, output_dir).run()


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Silences TensorFlow's warnings of functions that are traced often.

    It counts those of all jobs together.
    """
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def score(values: Sequence[Sequence[float]]) -> float:
    """Returns the score of a benchmark: a mean of means, as GLUE's.

    Args:
        values: the official metrics for each part. MRPC has one part with two
            metrics, MNLI two parts with one.
    """
    return float(np.mean([np.mean(part) for part in values]))


@dataclasses.dataclass(frozen=True)
class _Result:
    """What is known of one benchmark.

    Attributes:
        values: {part to evaluate on: {metric: value}}.
        note: why there are no values, or that they were there before.
    """

    values: Mapping[str, Mapping[str, float]] = dataclasses.field(
        default_factory=dict
    )
    note: str = ""

    @property
    def score(self) -> float | None:
        """The mean of the parts' means; None if nothing was evaluated."""
        if not self.values:
            return None
        return score([tuple(part.values()) for part in self.values.values()])


class _Collection:
    """The jobs of one collection."""

    def __init__(
        self,
        job: LabelledJob,
        screen: Screen,
        collection: Collection,
        folders: Mapping[str, pathlib.Path],
        output_dir: pathlib.Path,
    ) -> None:
        self._job = job
        self._screen = screen
        self._collection = collection
        self._folders = folders
        self._output_dir = output_dir
        self._results = {
            one.name: _Result(
                note="" if one.name in folders else "not in --data_dir"
            )
            for one in collection.benchmarks
        }

    def run(self) -> None:
        """Runs all jobs, and writes and prints the table."""
        say, failures = self._screen.say, {}
        fault: Exception | None = None
        for number, (name, folder) in enumerate(self._folders.items(), 1):
            say(f"\n{name}, {number} of {len(self._folders)}: {folder}")
            benchmark = self._collection.find(name)
            try:
                note = self._run_one(benchmark, folder)
                self._results[name] = _Result(self._values(benchmark), note)
            except UserError as error:
                failures[name] = str(error)
                self._results[name] = _Result(note="failed")
                say(f"error: {error}")
            except Exception as error:  # noqa: BLE001
                # A fault of the program, shown when the others are done.
                fault = error
                failures[name] = f"{type(error).__name__}: {error}"
                self._results[name] = _Result(note="failed")
                say(f"error: {failures[name]}")
            self._write_table()
        say("")
        self._print_table()
        self._collect_submissions()
        if fault is not None:
            raise fault
        if failures:
            listed = "".join(
                f"\n{name}: {why}" for name, why in failures.items()
            )
            raise UserError(
                f"{len(failures)} of {len(self._folders)} tasks failed; the "
                "others are finished and will not be run again. Put this right "
                f"and give the same command:{listed}"
            )

    # One benchmark.

    def _folder_of(self, benchmark: Benchmark) -> FinetuningFolder:
        return FinetuningFolder(self._output_dir / benchmark.name)

    def _run_one(self, benchmark: Benchmark, data_dir: pathlib.Path) -> str:
        """Runs a job unless it is finished; returns a note on that."""
        folder = self._folder_of(benchmark)
        job = dataclasses.replace(
            self._job,
            output_dir=folder.path,
            data=dataclasses.replace(
                self._job.data,
                task_name=benchmark.name,
                data_dir=str(data_dir),
            ),
        )
        identity = _identity(job, benchmark, data_dir)
        if (
            not job.overwrite_output_dir
            and folder.run.read_json(FINISHED) == identity
            and all((folder / name).exists() for name in identity["written"])
        ):
            self._screen.say(f"{folder.path}: was finished before")
            return "finished before"
        (folder / FINISHED).unlink(missing_ok=True)
        try:
            run(job, self._screen)
        finally:
            # Neither the model nor the names of its variables stay.
            keras.backend.clear_session()
        folder.run.write_json(FINISHED, identity)
        return ""

    def _values(self, benchmark: Benchmark) -> dict[str, dict[str, float]]:
        """Returns the official metrics of the parts that were evaluated."""
        folder = self._folder_of(benchmark)
        values = {}
        for part in ("dev", *benchmark.further):
            name = EVAL_JSON if part == "dev" else f"{part}/{EVAL_JSON}"
            found = folder.run.read_json(name)
            if found is not None:
                values[part] = {
                    metric: float(found[metric])
                    for metric in metrics_of(benchmark)
                }
        return values

    # The results of all.

    def _average(self) -> tuple[str, str]:
        """Returns the average, and of how many tasks it is."""
        scores = [
            result.score
            for result in self._results.values()
            if result.score is not None
        ]
        average = _percent(float(np.mean(scores)) if scores else None)
        return average, f"of {len(scores)} of {len(self._results)} tasks"

    def _write_table(self) -> None:
        """Writes the results with a column for each metric of each part."""
        columns = dict.fromkeys(
            (part, metric)
            for further in (False, True)
            for one in self._collection.benchmarks
            for part in ("dev", *one.further)
            for metric in metrics_of(one)
            if part.startswith("dev") and (part != "dev") == further
        )
        names = (f"{metric}{_suffix(part)}" for part, metric in columns)
        rows = [("task", *names, "score", "note")]
        for name, result in self._results.items():
            cells = (
                _percent(result.values.get(part, {}).get(metric))
                for part, metric in columns
            )
            rows.append((name, *cells, _percent(result.score), result.note))
        rows.append(("average", *[""] * len(columns), *self._average()))
        with atomic_write(self._results_file, newline="") as file:
            csv.writer(file).writerows(rows)

    def _print_table(self) -> None:
        """Prints the results with all metrics of a task in one column."""
        rows = []
        for name, result in self._results.items():
            figures = ", ".join(
                f"{_suffix(part).strip() or metric} {_percent(value)}"
                for part, values in result.values.items()
                for metric, value in values.items()
            )
            rows.append((name, figures, _percent(result.score), result.note))
        rows.append(("average", "", *self._average()))
        headers = ("task", "metrics", "score", "note")
        self._screen.table(headers, rows, f"{self._collection.name}, percent")
        self._screen.say(f"written: {self._results_file}")

    @property
    def _results_file(self) -> pathlib.Path:
        return self._output_dir / f"{self._collection.name.lower()}_results.csv"

    def _collect_submissions(self) -> None:
        """Copies the files for the server into one folder."""
        copied, missing = [], []
        for benchmark in self._collection.benchmarks:
            for submission in benchmark.submissions:
                name = submission.file
                source = self._folder_of(benchmark) / name
                if source.exists():
                    target = self._output_dir / SUBMISSION / name
                    with atomic_path(target) as temporary:
                        shutil.copyfile(source, temporary)
                    copied.append(name)
                elif not submission.is_optional:
                    missing.append(name)
        if copied:
            lacking = f"; not there: {', '.join(missing)}" if missing else ""
            self._screen.say(
                f"to submit: {self._output_dir / SUBMISSION}{lacking}"
            )


def _suffix(part: str) -> str:
    """Returns what a metric's name ends in: nothing, or " mismatched"."""
    return part[len("dev") :].replace("_", " ")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _identity(
    job: LabelledJob, benchmark: Benchmark, data_dir: pathlib.Path
) -> dict[str, Any]:
    """Returns what a finished run depends on, as JSON values.

    These are the flags, size and time of each file of the benchmark, and the
    names of the results.
    """
    settings = dataclasses.asdict(job)
    for name in _WITHOUT_EFFECT:
        settings.pop(name, None)
    files = {}
    for part in ("train", "dev", "test", *benchmark.further):
        found = benchmark.find(part, data_dir)
        if found is not None:
            status = found[0].stat()
            files[part] = [status.st_size, status.st_mtime_ns]
    written = [MODEL]
    if job.do_eval:
        written.append(EVAL_JSON)
    if job.do_predict:
        written += [PREDICTIONS, benchmark.submissions[0].file]
    identity = {"settings": settings, "files": files, "written": written}
    loaded: dict[str, Any] = json.loads(json.dumps(identity, default=str))
    return loaded
