"""The exceptions that mean the person at the keyboard: a mistake, a stop.

How they are shown (one message) and what the exit code is then is decided in
`commands/entry.py`.
"""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in what the user gave: a file, a flag, a value.

    The message names the file, the line or column, the value and the remedy; it
    is all that the user sees. Everything else that goes wrong is a fault of
    this program and keeps its traceback.
    """


class StoppedError(KeyboardInterrupt):
    """The user stopped a program, which has kept what it had done.

    Attributes:
        signal: number of the signal by which it was asked to.
    """

    def __init__(self, signal: int, message: str) -> None:
        """Makes one.

        Args:
            signal: its number.
            message: how far the work is and how it goes on; a line.
        """
        super().__init__(message)
        self.signal = signal
