"""Tasks on the workers of an Apache Beam runner instead of on processes.

The same functions as in `workers`, for corpora beyond one machine: `corpus`
encodes ranges of the text and `shards` writes pieces of the records, each a
task of a pipeline, so that the files are the same whoever made them. All
workers see the folder of the output under one path.
"""

from __future__ import annotations

import hashlib
import pathlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

Task = TypeVar("Task")
Result = TypeVar("Result")


def require_beam(runner: str) -> Any:
    """Returns the package.

    Raises:
        UserError: it is not installed.
    """
    try:
        import apache_beam
    except ImportError as error:
        raise UserError(
            f"--runner={runner} needs the package `apache-beam`: "
            "pip install 'bert-keras3[beam]'"
        ) from error
    return apache_beam


class BeamWorkers:
    """Runs tasks as `workers.Workers` does, each list as one pipeline.

    What a task returned is kept in a file until the job is done, so that a
    job that was stopped does not do it again.

    Args:
        runner: as Beam calls it: DirectRunner, FlinkRunner, DataflowRunner…
        options: of the pipeline, as on a command line.
        folder: that all workers see; made if absent.
    """

    def __init__(
        self, runner: str, options: Sequence[str], folder: pathlib.Path
    ) -> None:
        self._beam = require_beam(runner)
        self._runner = runner
        self._options = list(options)
        self._folder = folder

    def __enter__(self) -> BeamWorkers:
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
            function: of the top level of a module.
            tasks: what to do.

        Raises:
            UserError: a task found a mistake, or the runner will not run.
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
        beam = self._beam
        options_of = beam.options.pipeline_options.PipelineOptions
        try:
            pipeline = beam.Pipeline(
                runner=self._runner, options=options_of(self._options)
            )
        except (ValueError, ImportError) as error:
            raise UserError(f"--runner={self._runner}: {error}") from error
        with pipeline:
            (
                pipeline
                | "Tasks" >> beam.Create(tasks)
                # Or one worker would get them all.
                | "Deal out" >> beam.Reshuffle()
                | "Do" >> beam.Map(_do, function)
            )

    def _result_file(self, function: Callable[..., Any], task: Any) -> Any:
        name = f"{function.__module__}.{function.__qualname__}"
        content = pickle.dumps((name, task), protocol=4)
        return self._folder / f"{hashlib.sha256(content).hexdigest()}.result"


def _do(target: tuple[str, Any], function: Callable[[Any], Any]) -> None:
    """Does one task on a worker and keeps what it returned."""
    path, task = target
    result = mistake = None
    try:
        result = function(task)
    except UserError as error:
        mistake = str(error)
    with atomic_write(path, "wb") as file:
        pickle.dump((result, mistake), file)
