"""Where a job shows what it found and did; `console.screen` is one.

What is shown is decided where it is found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Screen(Protocol):
    """Where a job shows what it found and did."""

    def say(self, line: str) -> None:
        """Shows a line."""

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Shows a table."""


class Unseen:
    """A screen that nobody looks at."""

    def say(self, line: str) -> None:
        """Does nothing."""

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Does nothing."""
