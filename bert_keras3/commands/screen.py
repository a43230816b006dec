"""Lines and tables on standard output, as a job shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console

from bert_keras3.commands.tables import print_table


class Screen:
    """Shows what a job says; rich markup in data is not interpreted."""

    def __init__(self, console: Console | None = None) -> None:
        """Makes a screen on a console; standard output by default."""
        self._console = console or Console(highlight=False)

    def say(self, line: str) -> None:
        """Shows a line, unbroken."""
        self._console.print(line, markup=False, soft_wrap=True)

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Shows a table."""
        print_table(headers, rows, title=title, console=self._console)
