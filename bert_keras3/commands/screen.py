"""Lines and tables on standard output, as wide as the terminal.

Every alphabet lines up; what looks like rich's markup in data is not
interpreted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Where there is little room, long cells give theirs up first.
_NEVER_CUT = 18
_BETWEEN = 3


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


def print_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    console: Console | None = None,
) -> None:
    """Prints rows under headers; line breaks in cells become spaces.

    Args:
        headers: one a column.
        rows: cells, shown with `str`; cells too wide for the terminal end in
            an ellipsis.
        title: a line above the table.
        console: where to print; standard output by default.
    """
    cells = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    console = console or Console()
    if title is not None:
        # The table's own would be broken to the width of its columns.
        console.print(Text(title), soft_wrap=True)
    for header, width in zip(
        headers, _widths([headers, *cells], console.width), strict=True
    ):
        table.add_column(
            Text(header), no_wrap=True, overflow="ellipsis", width=width
        )
    for row in cells:
        # Text, since a cell may contain what rich takes for markup.
        table.add_row(*map(Text, row))
    console.print(table)


def _widths(cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """Returns each column's width; short columns are never cut.

    The narrowest comes first: what it leaves of its share is the others'.
    """
    longest = [
        max(map(cell_len, column)) for column in zip(*cells, strict=True)
    ]
    room -= _BETWEEN * len(longest)
    widths: dict[int, int] = {}
    for column in sorted(range(len(longest)), key=longest.__getitem__):
        share = max(_NEVER_CUT, room // (len(longest) - len(widths)))
        widths[column] = min(longest[column], share)
        room -= widths[column]
    return [widths[column] for column in range(len(longest))]
