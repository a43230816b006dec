"""How a file of rows is written: delimiters, quotings, all that a reader needs.

Which dialect a file has is found out in `dialect_search`; `delimited` reads
the rows.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
"""The delimiters that are tried, under the names that flags may use."""

QUOTINGS: dict[str, dict[str, Any]] = {
    "double": {"strict": True, "skipinitialspace": True},
    "backslash": {"strict": True, "skipinitialspace": True, "escapechar": "\\"},
    "none": {"quoting": csv.QUOTE_NONE},
}
"""How a cell may hold the delimiter: csv options under the flag's values.

`double`: a quote inside quotes is written twice; `backslash`: or after a
backslash; `none`: a quote is a letter like any other.
"""

# A noncharacter: what the csv module splits at in a file of one column.
_NO_DELIMITER = "\uffff"

# A longer cell is a quote that nobody closed, not a text.
_LONGEST_CELL = 1 << 24


class Decision(NamedTuple):
    """Something found out about a file: what, its value, and how."""

    what: str
    value: str
    how: str


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How the bytes of one file become rows.

    Attributes:
        delimiter: one character; "" in a file of one column.
        quoting: a key of `QUOTINGS`.
        encoding: a Python codec that decodes the whole file.
        header: whether the first row holds the columns' names.
        columns: the names; `column 1`… where there is no header.
        form: `delimited`, or `json` for one JSON object a line.
        decisions: what was decided and how, for display.
    """

    delimiter: str
    quoting: str
    encoding: str
    header: bool
    columns: tuple[str, ...]
    form: str = "delimited"
    decisions: tuple[Decision, ...] = dataclasses.field(
        default=(), compare=False
    )


def delimiter_name(delimiter: str) -> str:
    """A delimiter in words, as flags and messages call it."""
    names = {character: name for name, character in DELIMITERS.items()}
    return names.get(delimiter, delimiter or "none")


def reader(lines: Iterable[str], delimiter: str, quoting: str) -> Any:
    """Returns the csv module's reader.

    Args:
        lines: of text, with their ends.
        delimiter: one character, or "" for one column.
        quoting: a key of `QUOTINGS`.
    """
    csv.field_size_limit(_LONGEST_CELL)
    return csv.reader(
        lines, delimiter=delimiter or _NO_DELIMITER, **QUOTINGS[quoting]
    )


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a row is a line with nothing in it."""
    return not cells or (len(cells) == 1 and not cells[0].strip())
