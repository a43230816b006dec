"""Runs the tasks of a job in parallel, and shows progress bars.

A task is a module-level function with one argument of numbers and paths, so
that the result is the same wherever it runs: in this process, in several on
this machine (`Processes`), or on an Apache Beam runner (`BeamRunner`).

    with Processes(8) as workers:
        for result in workers.run(encode, ranges_of_text):
            ...
"""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import multiprocessing
import pathlib
import pickle
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import rich.console
import rich.progress

from bert_keras3.parallel_work.pipelines import (
    WorkerLostError,
    require_beam,
    run_pipeline,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

Task = TypeVar("Task")
Result = TypeVar("Result")

# Takes the amount done and the total, in any unit.
Report = Callable[[int, int], None]

# Seconds between two changes of a bar.
_INTERVAL = 0.1


class Workers(Protocol):
    """What `Processes` and `BeamRunner` have in common."""

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
    ) -> Iterator[Result]:
        """Yields the results of tasks, in any order.

        Args:
            function: at the top level of a module.
            tasks: its arguments.

        Raises:
            UserError: a task found a mistake.
        """
        ...


class Processes:
    """Runs tasks on processes of this machine; to be used as a context.

    Args:
        number: of processes; with 1, tasks run in this process.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
    ) -> Iterator[Result]:
        """Yields the results of tasks in the order in which they are done.

        Args:
            function: at the top level of a module.
            tasks: its arguments.

        Raises:
            WorkerLostError: a process was killed.
            Exception: whatever a task raised; the others are cancelled.
        """
        tasks = list(tasks)
        if self._number == 1 or len(tasks) <= 1:
            for task in tasks:
                yield function(task)
            return
        if self._pool is None:
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self._number,
                # Forking a process that has threads can hang it.
                multiprocessing.get_context("spawn"),
                initializer=_ignore_interrupts,
            )
        futures = [self._pool.submit(function, task) for task in tasks]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except concurrent.futures.BrokenExecutor as error:
            raise WorkerLostError(
                "a worker process was killed, most likely for want of memory; "
                "run the same command again, with fewer --num_workers than "
                f"{self._number}, to go on"
            ) from error
        finally:
            for future in futures:
                future.cancel()


def _ignore_interrupts() -> None:
    """Leaves Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class BeamRunner:
    """Runs tasks on an Apache Beam runner, each list of them as one pipeline.

    All workers must see `folder` under the same path. Each result is kept in
    a file there, so that a job that was stopped does no task twice.

    Args:
        runner: as Beam calls it: DirectRunner, FlinkRunner, DataflowRunner…
        options: of the pipeline, as on a command line.
        folder: for the results; made if absent.

    Raises:
        UserError: the package `apache-beam` is not installed.
    """

    def __init__(
        self, runner: str, options: Sequence[str], folder: pathlib.Path
    ) -> None:
        require_beam(runner)
        self._runner = runner
        self._options = list(options)
        self._folder = folder

    def __enter__(self) -> BeamRunner:
        self._folder.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Does nothing: a pipeline ends with its tasks."""

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
    ) -> Iterator[Result]:
        """Yields the results of tasks, in their order.

        Args:
            function: at the top level of a module.
            tasks: its arguments.

        Raises:
            UserError: a task found a mistake, or the runner does not run.
        """
        files = {self._result_file(function, task): task for task in tasks}
        left = [
            (str(path), task)
            for path, task in files.items()
            if not path.exists()
        ]
        if left:
            self._run_pipeline(function, left)
        for path in files:
            result, mistake = pickle.loads(path.read_bytes())
            if mistake is not None:
                raise UserError(mistake)
            yield result

    def _run_pipeline(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[tuple[str, Task]],
    ) -> None:
        build = functools.partial(_add_tasks, function, tasks)
        run_pipeline(self._runner, self._options, build)

    def _result_file(self, function: Callable[..., Any], task: Any) -> Any:
        name = f"{function.__module__}.{function.__qualname__}"
        content = pickle.dumps((name, task), protocol=4)
        return self._folder / f"{hashlib.sha256(content).hexdigest()}.result"


def _add_tasks(
    function: Callable[[Any], Any],
    tasks: Sequence[tuple[str, Any]],
    pipeline: Any,
) -> None:
    """Adds tasks to a pipeline."""
    import apache_beam as beam

    (
        pipeline
        | "Tasks" >> beam.Create(tasks)
        # Or one worker would get them all.
        | "Distribute" >> beam.Reshuffle()
        | "Run" >> beam.Map(_run_and_keep, function)
    )


def _run_and_keep(
    target: tuple[str, Any], function: Callable[[Any], Any]
) -> None:
    """Does one task on a worker and writes what it returned to a file."""
    path, task = target
    result = mistake = None
    try:
        result = function(task)
    except UserError as error:
        mistake = str(error)
    with atomic_write(path, "wb") as file:
        pickle.dump((result, mistake), file)


class Progress:
    """Bars on standard error, where that is a terminal; used as a context.

    Args:
        clock: seconds from some moment on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        console = rich.console.Console(stderr=True)
        self._clock = clock
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def stage(self, name: str) -> Report:
        """Begins a bar; returns the function that moves it."""
        task = self._bars.add_task(name, total=None)
        shown = -_INTERVAL

        def report(done: int, total: int) -> None:
            nonlocal shown
            now = self._clock()
            if done == total or now - shown >= _INTERVAL:
                shown = now
                self._bars.update(task, completed=done, total=total)

        return report
