"""Tasks on several processes, and the bar that shows how far they are."""

from __future__ import annotations

import os
import signal

import pytest

from bert_keras3.parallel_work.pipelines import WorkerLostError
from bert_keras3.parallel_work.workers import (
    Processes,
    Progress,
)
from bert_keras3.safekeeping.errors import UserError


def double(number: int) -> int:
    if number < 0:
        raise UserError(f"{number} is negative")
    return 2 * number


def end_process(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("number", [1, 2])
def test_all_tasks_are_done(number: int) -> None:
    with Processes(number) as workers:
        assert sorted(workers.run(double, range(5))) == [0, 2, 4, 6, 8]
        assert list(workers.run(double, [])) == []
        with pytest.raises(UserError, match="-1 is negative"):
            list(workers.run(double, [1, -1, 2]))


def test_a_worker_that_is_killed() -> None:
    with Processes(2) as workers:  # noqa: SIM117
        with pytest.raises(WorkerLostError, match="fewer --num_workers than 2"):
            list(workers.run(end_process, [1, 2]))


def test_progress_is_shown_ten_times_a_second() -> None:
    now = [0.0]
    with Progress(lambda: now[0]) as progress:
        report = progress.stage("Working")
        (task,) = progress._bars.tasks
        report(1, 10)
        assert (task.completed, task.total) == (1, 10)
        report(2, 10)
        assert task.completed == 1
        now[0] = 0.2
        report(3, 10)
        assert task.completed == 3
        report(10, 10)
        assert task.completed == 10
