"""Lines and tables on standard output, as wide as the terminal.

Columns are aligned for all scripts, such as Chinese, whose characters are two
cells wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Columns of at most this width are never truncated.
_NEVER_TRUNCATED = 18
# Spaces between two columns.
_BETWEEN = 3


class Screen:
    """Prints lines and tables; markup of rich in them is not interpreted."""

    def __init__(self, console: Console | None = None) -> None:
        """Prints on a console; by default, standard output."""
        self._console = console or Console(highlight=False)

    def say(self, line: str) -> None:
        """Prints a line without wrapping it."""
        self._console.print(line, markup=False, soft_wrap=True)

    def show(self, text: Text) -> None:
        """Prints a text with its styles, wrapped to the terminal."""
        self._console.print(text)

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Prints a table."""
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
        headers: one per column.
        rows: cells, printed with `str`; cells that are too wide for the
            terminal are truncated with an ellipsis.
        title: a line above the table.
        console: to print on; by default, standard output.
    """
    cells = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    console = console or Console()
    if title is not None:
        # rich would wrap the table's own title to the width of its columns.
        console.print(Text(title), soft_wrap=True)
    for header, width in zip(
        headers, _widths([headers, *cells], console.width), strict=True
    ):
        table.add_column(
            Text(header), no_wrap=True, overflow="ellipsis", width=width
        )
    for row in cells:
        # Text, since rich interprets markup in strings.
        table.add_row(*map(Text, row))
    console.print(table)


def _widths(cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """Returns the width of each column, from the narrowest to the widest.

    A column that needs less than its equal share leaves the rest to wider
    ones.
    """
    longest = [
        max(map(cell_len, column)) for column in zip(*cells, strict=True)
    ]
    room -= _BETWEEN * len(longest)
    widths: dict[int, int] = {}
    for column in sorted(range(len(longest)), key=longest.__getitem__):
        share = max(_NEVER_TRUNCATED, room // (len(longest) - len(widths)))
        widths[column] = min(longest[column], share)
        room -= widths[column]
    return [widths[column] for column in range(len(longest))]
