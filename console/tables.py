"""Tables for the terminal, as wide as it is; every alphabet lines up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Where there is little room, long cells give theirs up first.
_NEVER_CUT = 18
_WIDEST = 44


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
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for number, header in enumerate(headers):
        longest = max(cell_len(row[number]) for row in [headers, *cells])
        table.add_column(
            Text(header),
            no_wrap=True,
            overflow="ellipsis",
            min_width=min(longest, _NEVER_CUT),
            max_width=_WIDEST,
        )
    for row in cells:
        # Text, since a cell may contain what rich takes for markup.
        table.add_row(*map(Text, row))
    (console or Console()).print(table)
