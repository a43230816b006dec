"""Tasks on several processes, or on this one: results as they are done.

Knows nothing of what the tasks are; they are functions of numbers and paths,
so that it makes no difference who does which.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from bert_keras3.safekeeping.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerLostError(UserError):
    """A process was ended from outside; what the others did is still good."""


class Workers:
    """Runs tasks on some processes; to be used as a context.

    Args:
        number: of processes; 1 stands for this one alone.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
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
            function: of the top level of a module.
            tasks: what to do.

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
                initializer=_leave_interruptions_to_the_parent,
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


def _leave_interruptions_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
