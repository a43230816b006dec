"""One job for each benchmark of a collection, and one table of the results.

    --task_name=GLUE --data_dir=glue_data     glue_data/CoLA, glue_data/RTE, …
      ─▶ a run folder for each                out/CoLA, out/RTE, …
      ─▶ out/glue_results.csv                 the official metrics, the average
      ─▶ out/submission                       the files for GLUE's server

A benchmark that fails does not stop the others. The same command goes on where
an earlier one ended.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Container, Mapping, Sequence
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
from bert_keras3.inputs.benchmark_files import open_split
from bert_keras3.inputs.benchmarks import (
    COLLECTIONS,
    Collection,
    find_folders,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import (
    atomic_path,
    atomic_write,
    digest,
    own_folder,
)
from bert_keras3.training.environment import without_tracing_warnings
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
        without_tracing_warnings(),
    ):
        _Collection(job, screen, collection, folders, output_dir).run()


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
        say, number = self._screen.say, len(self._folders)
        failures, finished = self._check_files(), 0
        fault: Exception | None = None
        for count, (name, folder) in enumerate(self._folders.items(), 1):
            if name in failures:
                self._results[name] = _Result(note="failed")
                continue
            say(f"\n{name}, {count} of {number}: {folder}")
            benchmark = self._collection.find(name)
            try:
                note = self._run_one(benchmark)
                self._results[name] = _Result(self._values(benchmark), note)
                finished += 1
            except Exception as error:  # noqa: BLE001
                failures[name] = str(error)
                if not isinstance(error, UserError):
                    # A fault of the program, shown when the others are done.
                    fault = error
                    failures[name] = f"{type(error).__name__}: {error}"
                self._results[name] = _Result(note="failed")
                say(f"error: {failures[name]}")
            if finished:
                self._write_table()
        say("")
        if finished:
            self._write_table()
            self._print_table()
            self._collect_submissions(failures)
        if fault is not None:
            raise fault
        if failures:
            listed = "".join(
                f"\n{name}: {why}" for name, why in failures.items()
            )
            kept = (
                "; what the others did is kept and will not be done again"
                if finished
                else ""
            )
            raise UserError(
                f"{len(failures)} of {number} tasks failed{kept}. Put this "
                f"right and give the same command:{listed}"
            )

    def _check_files(self) -> dict[str, str]:
        """Reads all files, since the last may be used after hours.

        Returns:
            {name of a task: what is wrong with its files}.
        """
        failures = {}
        for name, folder in self._folders.items():
            benchmark = self._collection.find(name)
            if self._is_finished(benchmark):
                continue
            try:
                for part in self._parts(benchmark):
                    for _ in open_split(benchmark, part, folder):
                        pass
            except UserError as error:
                failures[name] = str(error)
                self._screen.say(f"{name} is left out, error: {error}")
        return failures

    def _parts(self, benchmark: Benchmark) -> list[str]:
        """Returns the parts that the job reads."""
        folder, job = self._folders[benchmark.name], self._job
        parts = []
        for part, is_read in (
            ("train", job.do_train),
            ("dev", job.do_eval),
            ("test", job.do_predict),
        ):
            if is_read:
                parts.append(part)
                parts += benchmark.further_parts(part, folder)
        return parts

    # One benchmark.

    def _folder_of(self, benchmark: Benchmark) -> FinetuningFolder:
        return FinetuningFolder(self._output_dir / benchmark.name)

    def _job_of(self, benchmark: Benchmark) -> LabelledJob:
        data_dir = str(self._folders[benchmark.name])
        return dataclasses.replace(
            self._job,
            output_dir=self._folder_of(benchmark).path,
            data=dataclasses.replace(
                self._job.data, task_name=benchmark.name, data_dir=data_dir
            ),
        )

    def _identity(self, benchmark: Benchmark) -> dict[str, Any]:
        """Returns what a finished run depends on, as JSON values.

        These are the flags, size and time of each file of the benchmark, and
        the names of the results.
        """
        job, folder = self._job_of(benchmark), self._folders[benchmark.name]
        settings = dataclasses.asdict(job)
        for name in _WITHOUT_EFFECT:
            del settings[name]
        found = (
            benchmark.find(part, folder) for part in self._parts(benchmark)
        )
        paths = [one[0] for one in found if one is not None]
        if benchmark.labels_file:
            paths.append(folder / benchmark.labels_file)
        # Not by size and time, which an edited file may have kept.
        files = {path.name: digest(path) for path in paths if path.exists()}
        written = [MODEL]
        if job.do_eval:
            written.append(EVAL_JSON)
        if job.do_predict:
            written += [PREDICTIONS, benchmark.submissions[0].file]
        identity = {"settings": settings, "files": files, "written": written}
        loaded: dict[str, Any] = json.loads(json.dumps(identity, default=str))
        return loaded

    def _is_finished(self, benchmark: Benchmark) -> bool:
        folder, identity = self._folder_of(benchmark), self._identity(benchmark)
        return (
            not self._job.overwrite_output_dir
            and folder.run.read_json(FINISHED) == identity
            and all((folder / name).exists() for name in identity["written"])
        )

    def _run_one(self, benchmark: Benchmark) -> str:
        """Runs a job unless it is finished; returns a note on that."""
        folder = self._folder_of(benchmark)
        if self._is_finished(benchmark):
            self._screen.say(f"{folder.path}: was finished before")
            return "finished before"
        identity = self._identity(benchmark)
        (folder / FINISHED).unlink(missing_ok=True)
        try:
            run(self._job_of(benchmark), self._screen)
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

    def _collect_submissions(self, failures: Container[str]) -> None:
        """Copies the files for the server into one folder.

        Args:
            failures: names of the tasks whose files, if there are any, are
                those of an earlier command.
        """
        copied, missing = [], []
        for benchmark in self._collection.benchmarks:
            for submission in benchmark.submissions:
                name = submission.file
                source = self._folder_of(benchmark) / name
                target = self._output_dir / SUBMISSION / name
                if source.exists() and benchmark.name not in failures:
                    with atomic_path(target) as temporary:
                        shutil.copyfile(source, temporary)
                    copied.append(name)
                    continue
                target.unlink(missing_ok=True)
                if not submission.is_optional:
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
