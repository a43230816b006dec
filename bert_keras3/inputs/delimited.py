"""Streams the rows of a CSV, TSV, JSON or spreadsheet file of a known dialect.

With the columns `text,label`, the line `"Good, bad",1` and the JSON object
{"text": "Good, bad", "label": 1} are both the row ["Good, bad", "1"].
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from bert_keras3.inputs.encodings import (
    decoded_lines,
    excerpt,
    first_fault,
    undecodable,
)
from bert_keras3.inputs.json_lists import is_list, list_values
from bert_keras3.inputs.spreadsheets import sheet_rows
from bert_keras3.safekeeping.errors import UserError

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
"""Endings of the names of files of JSON objects."""

DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
"""The delimiters that are tried, under the names that flags may use."""

QUOTINGS: dict[str, dict[str, Any]] = {
    "double": {"strict": True, "skipinitialspace": True},
    "backslash": {"strict": True, "skipinitialspace": True, "escapechar": "\\"},
    "none": {"quoting": csv.QUOTE_NONE},
}
"""How a cell may hold the delimiter: csv options under the flag's values.

`double`: a quote inside quotes is written twice; `backslash`: or after a
backslash; `none`: a quote is an ordinary character.
"""

# A noncharacter, the delimiter for the csv module in a file of one column.
_NO_DELIMITER = "\uffff"
# Another, for a CR that the csv module would take for the end of a row.
_MASKED_CR = "\ufdd0"

# DOS ends a file with it.
_END_OF_FILE = "\x1a"

# A longer cell is an unclosed quote, not a text.
_LONGEST_CELL = 1 << 24


class Decision(NamedTuple):
    """Something detected about a file: what, its value, and how."""

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
        form: `delimited`; `json` for JSON objects, one a line or in a list;
            `sheet` for a spreadsheet.
        skip: number of lines above the first row or header.
        decisions: what was decided and how, for display.
    """

    delimiter: str
    quoting: str
    encoding: str
    header: bool
    columns: tuple[str, ...]
    form: str = "delimited"
    skip: int = 0
    decisions: tuple[Decision, ...] = dataclasses.field(
        default=(), compare=False
    )


def delimiter_name(delimiter: str) -> str:
    """A delimiter in words, as flags and messages call it."""
    names = {character: name for name, character in DELIMITERS.items()}
    return names.get(delimiter, delimiter or "none")


class reader:  # noqa: N801, since it stands for `csv.reader`
    """The csv module's reader, to which a CR within a line is white space.

    Attributes:
        line_num: number of lines read.
    """

    def __init__(
        self, lines: Iterable[str], delimiter: str, quoting: str
    ) -> None:
        """Reads nothing yet.

        Args:
            lines: of text, with their ends.
            delimiter: one character, or "" for one column.
            quoting: a key of `QUOTINGS`.
        """
        csv.field_size_limit(_LONGEST_CELL)
        self._masked: set[str] = set()
        # Nothing in it refers to this object: whoever leaves off in the
        # middle of a file closes it at once, and not whenever Python looks
        # for cycles.
        self._rows = csv.reader(
            _masked(lines, self._masked),
            delimiter=delimiter or _NO_DELIMITER,
            **QUOTINGS[quoting],
        )

    @property
    def line_num(self) -> int:
        """Number of lines read."""
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        """Returns itself."""
        return self

    def __next__(self) -> list[str]:
        """Returns the cells of the next row."""
        cells = next(self._rows)
        if self._masked:
            return [cell.replace(_MASKED_CR, "\r") for cell in cells]
        return cells


def _masked(lines: Iterable[str], met: set[str]) -> Iterator[str]:
    """Yields lines, CRs hidden but the one of the line end; `met` gets it."""
    for line in lines:
        if "\r" in line:
            end = "\r\n" if line.endswith("\r\n") else line[-1]
            text = line.removesuffix(end)
            if "\r" in text:
                met.add(_MASKED_CR)
                line = text.replace("\r", _MASKED_CR) + end
        yield line


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a row is a line with nothing in it."""
    return not cells or (
        len(cells) == 1 and not cells[0].strip().strip(_END_OF_FILE)
    )


def without_empty_end(cells: list[str], width: int) -> list[str]:
    """Returns a row without empty cells behind its last column.

    Spreadsheets write some where a row was once longer.

    Args:
        cells: of the row.
        width: number of columns; 0 if it is not known.
    """
    if len(cells) > width > 0 and not any(map(str.strip, cells[width:])):
        return cells[:width]
    return cells


Item = TypeVar("Item")


class Row(NamedTuple):
    """One record: the line where it starts, counted from 1, and its cells."""

    line: int
    cells: list[str]


def rows(
    path: str | os.PathLike[str],
    dialect: Dialect,
    wrong_width: Callable[[Row], None] | None = None,
    header_again: Callable[[Row], None] | None = None,
) -> Iterator[Row]:
    """Streams the data rows of a file; memory does not grow with the file.

    Blank lines are skipped and NUL characters dropped, as are empty cells
    behind the last column. A row that repeats the header of several columns is
    none of data: files were joined there. Every call starts at the beginning.

    Args:
        path: the file.
        dialect: from `dialect_search.sniff`.
        wrong_width: called with a row of too many or too few cells. It raises
            an error, or returns if the row is to be left out. By default there
            is an error.
        header_again: called with a row that repeats the header.

    Yields:
        The rows after the header, each with as many cells as columns.

    Raises:
        UserError: a row with too many or too few cells, a quote that is not
            closed, undecodable bytes, or a line that is no JSON object.
    """
    path = pathlib.Path(path)
    try:
        if dialect.form == "json":
            yield from _json_rows(path, dialect)
            return
        found = (_sheet_rows if dialect.form == "sheet" else _delimited_rows)(
            path, dialect
        )
        width = len(dialect.columns)
        for row in _below_header(found, dialect, header_again):
            if len(row.cells) == width:
                yield row
            elif wrong_width is None:
                raise _wrong_width(path, dialect, row.line, len(row.cells))
            else:
                wrong_width(row)
    except UnicodeDecodeError as error:
        fault = first_fault(path, dialect.encoding)
        if fault is None:
            raise
        raise undecodable(path, dialect.encoding, fault) from error


def csv_line(cells: Sequence[str]) -> str:
    """Returns cells as a row of a CSV file, with its end of line."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue()


def sample(
    path: str | os.PathLike[str], dialect: Dialect, size: int = 1000
) -> list[Row]:
    """Rows from the whole length of a file, in order, evenly spaced.

    A file sorted by its labels shows all of them here, which its first rows
    would not.

    Args:
        path: the file.
        dialect: from `dialect_search.sniff`.
        size: how many rows at least, where the file has as many; at most
            twice this number.

    Returns:
        The sample. The first row of the file is always in it.

    Raises:
        UserError: as for `rows`.
    """
    return evenly_spaced(rows(path, dialect), size)


def evenly_spaced(items: Iterable[Item], size: int) -> list[Item]:
    """Keeps some of a stream, from its whole length, in order.

    Args:
        items: however many.
        size: how many to keep at least, where there are as many; at most
            twice this number are.

    Returns:
        The first and every k-th after it, k a power of two.
    """
    kept: list[Item] = []
    stride = 1
    for number, item in enumerate(items):
        if number % stride == 0:
            kept.append(item)
            if len(kept) == 2 * size:
                kept = kept[::2]
                stride *= 2
    return kept


def _below_header(
    found: Iterator[Row],
    dialect: Dialect,
    header_again: Callable[[Row], None] | None,
) -> Iterator[Row]:
    """Yields the rows but for the header, wherever it stands."""
    header = next(found, None) if dialect.header else None
    # Of a single column, it may be a text like the others.
    is_told = header is not None and len(header.cells) > 1
    for row in found:
        if not (is_told and header and row.cells == header.cells):
            yield row
        elif header_again is not None:
            header_again(row)


def _delimited_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    """Yields the rows of any width, the header among them."""
    width = len(dialect.columns)
    line = 1 + dialect.skip
    lines = reader(
        itertools.islice(
            decoded_lines(path, dialect.encoding), dialect.skip, None
        ),
        dialect.delimiter,
        dialect.quoting,
    )
    try:
        for cells in lines:
            cells = without_empty_end(cells, width)
            if not is_blank(cells):
                yield Row(line, cells)
            line = lines.line_num + 1 + dialect.skip
    except csv.Error as error:
        raise _broken_quote(path, dialect, line, error) from None


def _sheet_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    """Yields the rows, the header among them."""
    for number, cells in sheet_rows(path):
        if number > dialect.skip and any(map(str.strip, cells)):
            yield Row(number, cells)


def _start_of_line(path: pathlib.Path, dialect: Dialect, line: int) -> str:
    lines = itertools.islice(
        decoded_lines(path, dialect.encoding), line - 1, line
    )
    return excerpt(next(lines).rstrip())


def _wrong_width(
    path: pathlib.Path, dialect: Dialect, line: int, found: int
) -> UserError:
    width = len(dialect.columns)
    return UserError(
        f"{path}, line {line}: {found} cells where {width} are expected "
        f"({', '.join(dialect.columns)}); the row starts "
        f"{_start_of_line(path, dialect, line)}. Put quotes around a cell "
        "that holds the delimiter, or set --delimiter (taken: "
        f"{delimiter_name(dialect.delimiter)}) or --quoting (taken: "
        f"{dialect.quoting})."
    )


def _broken_quote(
    path: pathlib.Path, dialect: Dialect, line: int, error: csv.Error
) -> UserError:
    if "expected after" in str(error):
        what = "a closing quote is followed by more text"
    else:
        what = "a quote is opened and never closed"
    return UserError(
        f"{path}, line {line}: {what}; the row starts "
        f"{_start_of_line(path, dialect, line)}. Write a quote inside quotes "
        "twice, or say --quoting=none if quotes are part of the text (taken: "
        f"{dialect.quoting})."
    )


def _json_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    for line, record in json_records(path, dialect.encoding):
        cells = [as_cell(value_at(record, name)) for name in dialect.columns]
        yield Row(line, cells)


def value_at(record: Any, path: str) -> Any:
    """Returns a value of a JSON object, given a key or a dotted path.

    Of {"data": [{"label": "bad"}]} the path `data.0.label` is "bad"; a key
    that has dots itself comes first.

    Args:
        record: the object.
        path: keys of objects, and numbers of elements of lists from 0.

    Returns:
        The value; None if there is none.
    """
    if isinstance(record, dict) and path in record:
        return record[path]
    first, _, rest = path.partition(".")
    if isinstance(record, dict):
        value = record.get(first)
    elif isinstance(record, list) and first.isdecimal():
        value = record[int(first)] if int(first) < len(record) else None
    else:
        return None
    return value_at(value, rest) if rest else value


def json_records(
    path: pathlib.Path, encoding: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Streams the objects of a file: one a line, or those of one list.

    Blank lines are skipped.

    Args:
        path: the file.
        encoding: a Python codec.

    Yields:
        (number of the line where it starts, counted from 1, the object).

    Raises:
        UserError: a line that is no JSON object, or another value in a list.
        UnicodeDecodeError: bytes that are not of this encoding.
    """
    if is_list(path, encoding):
        for number, record in list_values(path, encoding):
            if not isinstance(record, dict):
                raise UserError(
                    f"{path}, line {number}: each value of the list must be "
                    "an object ({…}), this one is "
                    f"{excerpt(json.dumps(record, ensure_ascii=False))}."
                )
            yield number, record
        return
    for number, line in enumerate(decoded_lines(path, encoding), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            is_cut = "Unterminated" in error.msg or error.pos >= len(
                line.rstrip()
            )
            remedy = (" A table must have another name, such as train.csv.") * (
                not line.lstrip().startswith(("{", "["))
            )
            remedy += (
                " The object goes on in the next line, or is cut off; write "
                "each object on one line (`jq -c .` does)."
            ) * is_cut
            raise UserError(
                f"{path}, line {number}, column {error.colno}: {error.msg}; "
                f"each line must be one JSON object, this one starts "
                f"{excerpt(line.rstrip())}.{remedy}"
            ) from None
        if not isinstance(record, dict):
            raise UserError(
                f"{path}, line {number}: each line must be one JSON object "
                f"({{…}}), this one starts {excerpt(line.rstrip())}."
            )
        yield number, record


def as_cell(value: Any) -> str:
    """Returns a JSON value as a cell: null and NaN are empty, 3 is `3`."""
    # NaN is what is not equal to itself.
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
