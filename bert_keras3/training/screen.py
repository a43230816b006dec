"""Where a job shows what it found and did: `commands.screen`, or nowhere."""

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


class NoScreen:
    """Shows nothing, as workers other than the chief do."""

    def say(self, line: str) -> None:
        """Does nothing."""

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Does nothing."""
