"""The one exception that means: the person at the keyboard can fix this.

How it is shown (one message, exit code 2) is decided in `console.entry`.
"""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in what the user gave: a file, a flag, a value.

    The message names the file, the line or column, the value and the remedy; it
    is all that the user sees. Everything else that goes wrong is a fault of
    this program and keeps its traceback.
    """
