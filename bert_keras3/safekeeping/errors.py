"""The exceptions for a user's mistake and for a stopped program.

`commands/entry.py` shows each as one message and sets the exit code.
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
        signal: number of the signal that was received.
    """

    def __init__(self, signal: int, message: str) -> None:
        """Creates the exception.

        Args:
            signal: number of the signal that was received.
            message: a line: how far the work is and how to resume it.
        """
        super().__init__(message)
        self.signal = signal
