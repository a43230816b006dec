"""Whether the user wants a training to stop: Ctrl-C, or SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptError(KeyboardInterrupt):
    """The user wants to stop, while that is possible at any moment."""


class Stop:
    """The wish to stop, which the loop looks at between the steps.

    Attributes:
        signal: number of the signal that came; None: go on.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Takes the signals that anybody waits for.

        Those that are ignored stay so, as in the background of a shell.
        """
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._take)

    def leave(self) -> None:
        """Gives the signals back."""
        while self._before:
            signal.signal(*self._before.popitem())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Does not wait for the end of the block.

        Raises:
            InterruptError: a signal came.
        """
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        # The next one finds what it would have found without a training.
        self.leave()
        if self._at_once:
            raise InterruptError


@contextlib.contextmanager
def stop_on_signals(wanted: bool = True) -> Iterator[Stop]:
    """Lets signals wait for the end of a step.

    The second one waits for nothing: it does what it would have done without
    this. Only a process' main thread gets signals; in others nothing is
    done, as without `wanted`.

    Args:
        wanted: whether to do so.

    Yields:
        Whether a signal came.
    """
    stop = Stop()
    if wanted and threading.current_thread() is threading.main_thread():
        stop.listen()
    try:
        yield stop
    finally:
        stop.leave()
