"""A bar for each stage of a long job, with the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable

import rich.console
import rich.progress

# Seconds between two looks at the bar.
_INTERVAL = 0.1

Report = Callable[[int, int], None]


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
        """Begins a bar; returns what is to be told (done, in all)."""
        task = self._bars.add_task(name, total=None)
        shown = -_INTERVAL

        def report(done: int, total: int) -> None:
            nonlocal shown
            now = self._clock()
            if done == total or now - shown >= _INTERVAL:
                shown = now
                self._bars.update(task, completed=done, total=total)

        return report
