"""Tables for the terminal, as wide as it is; every alphabet lines up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# One long text must not take the other columns' room.
_WIDEST_CELL = 44


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
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for header in headers:
        table.add_column(
            Text(header),
            no_wrap=True,
            overflow="ellipsis",
            max_width=_WIDEST_CELL,
        )
    for row in rows:
        # Text, since a cell may contain what rich takes for markup.
        table.add_row(*(Text(" ".join(str(cell).split())) for cell in row))
    (console or Console()).print(table)
