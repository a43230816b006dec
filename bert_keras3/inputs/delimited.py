"""One file of records: its rows, streamed.

How the file is written is found out in `dialect_search`, what its columns
mean in `columns`. A file of JSON objects is read as rows of the same shape.
"""

from __future__ import annotations

import csv
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from bert_keras3.inputs import json_lines
from bert_keras3.inputs.dialects import (
    Dialect,
    delimiter_name,
    is_blank,
    reader,
)
from bert_keras3.inputs.encodings import (
    decoded_lines,
    excerpt,
    first_fault,
    undecodable,
)
from bert_keras3.safekeeping.errors import UserError

Item = TypeVar("Item")


class Row(NamedTuple):
    """One record: the line where it starts, counted from 1, and its cells."""

    line: int
    cells: list[str]


def rows(path: str | os.PathLike[str], dialect: Dialect) -> Iterator[Row]:
    """Streams the data rows of a file; memory does not grow with the file.

    Blank lines are passed over and NUL characters dropped. Every call starts
    anew.

    Args:
        path: the file.
        dialect: as found by `dialect_search.sniff`.

    Yields:
        The rows after the header, each with as many cells as columns.

    Raises:
        UserError: a row with too many or too few cells, a quote that is not
            closed, undecodable bytes, or a line that is no JSON object.
    """
    path = pathlib.Path(path)
    read = _json_rows if dialect.form == "json" else _delimited_rows
    try:
        yield from read(path, dialect)
    except UnicodeDecodeError as error:
        fault = first_fault(path, dialect.encoding)
        if fault is None:
            raise
        raise undecodable(path, dialect.encoding, fault) from error


def sample(
    path: str | os.PathLike[str], dialect: Dialect, size: int = 1000
) -> list[Row]:
    """Rows from the whole length of a file, in order, evenly spaced.

    A file sorted by its labels shows all of them here, which its first rows
    would not.

    Args:
        path: the file.
        dialect: as found by `dialect_search.sniff`.
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
        The first and every so-manieth after it.
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


def _delimited_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    width = len(dialect.columns)
    skip = dialect.header
    line = 1
    lines = reader(
        decoded_lines(path, dialect.encoding),
        dialect.delimiter,
        dialect.quoting,
    )
    try:
        for cells in lines:
            if is_blank(cells):
                pass
            elif skip:
                skip = False
            elif len(cells) != width:
                raise _wrong_width(path, dialect, line, len(cells))
            else:
                yield Row(line, cells)
            line = lines.line_num + 1
    except csv.Error as error:
        raise _broken_quote(path, dialect, line, error) from None


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
    for line, record in json_lines.records(path, dialect.encoding):
        cells = [
            json_lines.as_cell(record.get(name)) for name in dialect.columns
        ]
        yield Row(line, cells)
