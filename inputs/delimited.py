"""One file of records: its dialect and its rows, streamed.

How bytes become text is `encodings`' matter, what the columns mean is found
out in `columns`. A file of JSON objects is read as rows of the same shape.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from inputs import examples, json_lines
from inputs.encodings import (
    decoded_lines,
    excerpt,
    find_encoding,
    first_fault,
    undecodable,
)
from safekeeping.errors import UserError

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

_HEAD_LINES = 1000
_HEAD_CHARACTERS = 1 << 20

# clevercsv compares every pair of rows and needs no more than a few.
_CLEVER_CHARACTERS = 1 << 14

_NOT_TEXT = (
    (b"PK\x03\x04", "a spreadsheet or ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an Excel spreadsheet"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PAR1", "a Parquet file"),
    (b"version https://git-lfs", "a Git LFS pointer (try `git lfs pull`)"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)


Item = TypeVar("Item")


class Row(NamedTuple):
    """One record: the line where it starts, counted from 1, and its cells."""

    line: int
    cells: list[str]


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


def sniff(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    quoting: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
) -> Dialect:
    """Finds out how a file is written; what is given is not questioned.

    The encoding and the quoting are tried on the whole file, since the one
    byte or the one quote that decides may be its last.

    Args:
        path: a delimited file, or one JSON object a line where the name ends
            in one of `json_lines.SUFFIXES`.
        delimiter: one character, a key of `DELIMITERS`, or `none` for a file
            of one column.
        quoting: a key of `QUOTINGS`.
        encoding: a Python codec.
        header: whether the first row holds names.

    Returns:
        The dialect, to be passed to `rows`.

    Raises:
        UserError: no such file, no text, no rows, undecodable bytes, or an
            unknown value of an argument.
    """
    path = pathlib.Path(path)
    delimiter = _given_delimiter(delimiter)
    if quoting is not None and quoting not in QUOTINGS:
        raise UserError(
            f"--quoting={quoting}: give one of {', '.join(QUOTINGS)}."
        )
    _check_file(path)
    encoding, how_encoding = find_encoding(path, encoding)
    decided = [Decision("encoding", encoding, how_encoding)]
    if path.suffix.lower() in json_lines.SUFFIXES:
        return _json_dialect(path, encoding, decided)

    head = _head(path, encoding)
    if not any(line.strip() for line in head):
        raise UserError(f"{path} is empty: it holds no row.")
    how_delimiter = how_quoting = "as given"
    if delimiter is None:
        delimiter, how_delimiter = _find_delimiter(path, head)
    if quoting is None:
        quoting, how_quoting = _find_quoting(path, encoding, delimiter)
    decided.append(
        Decision("delimiter", delimiter_name(delimiter), how_delimiter)
    )
    decided.append(Decision("quoting", quoting, how_quoting))

    lines = decoded_lines(path, encoding)
    whole_rows = _whole_rows(lines, delimiter, quoting)
    table = list(itertools.islice(whole_rows, _HEAD_LINES))
    if not table:
        # Already the first row is at fault: let the reader say how.
        dialect = Dialect(delimiter, quoting, encoding, False, ("column 1",))
        table = [row.cells for row in rows(path, dialect)]
    how_header = "as given"
    if header is None:
        header, how_header = _find_header(table)
    decided.append(Decision("header", "yes" if header else "no", how_header))
    names = table[0] if header else [""] * len(table[0])
    columns = tuple(
        name.strip() or f"column {number}"
        for number, name in enumerate(names, 1)
    )
    dialect = Dialect(
        delimiter,
        quoting,
        encoding,
        header,
        columns,
        decisions=tuple(decided),
    )
    if next(rows(path, dialect), None) is None:
        raise UserError(
            f"{path} has only a header ({', '.join(columns)}) and no row."
        )
    return dialect


def rows(path: str | os.PathLike[str], dialect: Dialect) -> Iterator[Row]:
    """Streams the data rows of a file; memory does not grow with the file.

    Blank lines are passed over and NUL characters dropped. Every call starts
    anew.

    Args:
        path: the file.
        dialect: as found by `sniff`.

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
        dialect: as found by `sniff`.
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


def delimiter_name(delimiter: str) -> str:
    """A delimiter in words, as flags and messages call it."""
    names = {character: name for name, character in DELIMITERS.items()}
    return names.get(delimiter, delimiter or "none")


def _given_delimiter(value: str | None) -> str | None:
    if value is None:
        return None
    spellings = {**DELIMITERS, "none": "", "\\t": "\t"}
    delimiter = spellings.get(value, value)
    if len(delimiter) > 1 or delimiter in ('"', "\\", " ", "\r", "\n"):
        raise UserError(
            f"--delimiter={value}: give one character, or one of "
            f"{', '.join(DELIMITERS)}, none."
        )
    return delimiter


def _check_file(path: pathlib.Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: there is no such file.")
    if not path.is_file():
        raise UserError(
            f"{path} is not a regular file; give the path of a CSV or TSV file."
        )
    with open(path, "rb") as file:
        start = file.read(32)
    if not start:
        raise UserError(f"{path} is empty: it holds no row.")
    for magic, kind in _NOT_TEXT:
        if start.startswith(magic):
            raise UserError(
                f"{path} is {kind}, not text; save it as CSV (UTF-8) and give "
                "that file."
            )


# The delimiter, the quoting and the header.


def _head(path: pathlib.Path, encoding: str) -> list[str]:
    head = []
    room = _HEAD_CHARACTERS
    for line in itertools.islice(decoded_lines(path, encoding), _HEAD_LINES):
        head.append(line)
        room -= len(line)
        if room < 0:
            break
    return head


def _reader(lines: Iterable[str], delimiter: str, quoting: str) -> Any:
    csv.field_size_limit(_LONGEST_CELL)
    return csv.reader(
        lines, delimiter=delimiter or _NO_DELIMITER, **QUOTINGS[quoting]
    )


def _is_blank(cells: Sequence[str]) -> bool:
    return not cells or (len(cells) == 1 and not cells[0].strip())


def _whole_rows(
    lines: Iterable[str], delimiter: str, quoting: str
) -> Iterator[list[str]]:
    """The rows up to the first that breaks off or breaks the rules."""
    try:
        for cells in _reader(lines, delimiter, quoting):
            if not _is_blank(cells):
                yield cells
    except csv.Error:
        return


class _Fit(NamedTuple):
    width: int
    clean_lines: int
    whole: bool


def _fit(lines: Iterable[str], delimiter: str, quoting: str) -> _Fit:
    """How far the lines can be read as rows of one width."""
    reader = _reader(lines, delimiter, quoting)
    width = clean = 0
    try:
        for cells in reader:
            if len(cells) != width and not _is_blank(cells):
                if width:
                    return _Fit(width, clean, False)
                width = len(cells)
            clean = reader.line_num
    except csv.Error:
        return _Fit(width, clean, False)
    return _Fit(width, clean, True)


def _find_delimiter(path: pathlib.Path, head: list[str]) -> tuple[str, str]:
    """The delimiter under which rows keep one width for most lines."""
    reach: dict[str, int] = {}
    for delimiter in DELIMITERS.values():
        fits = [_fit(head, delimiter, quoting) for quoting in QUOTINGS]
        reach[delimiter] = max(
            (fit.clean_lines for fit in fits if fit.width > 1), default=0
        )
    most = max(reach.values())
    best = [delimiter for delimiter in reach if reach[delimiter] == most]
    # Prose has commas too, but not the same number in every line. A file
    # called CSV is taken at its word, so that its odd row can be named.
    like_prose = 10 * most < 9 * len(head) and set(best) <= {",", ";"}
    tabular = path.suffix.lower() in (".csv", ".tsv")
    if not most or (like_prose and not tabular):
        return "", "no delimiter splits the lines evenly: one column"
    if len(best) == 1:
        return best[0], "it splits the lines evenly"
    if "\t" in best and path.suffix.lower() == ".tsv":
        return "\t", "the name ends in .tsv"
    return _cleverest(head, best), "the most plausible of several"


def _cleverest(head: list[str], delimiters: list[str]) -> str:
    # Imported here: it takes a fifth of a second and is seldom needed.
    import clevercsv

    text = "".join(head)[:_CLEVER_CHARACTERS]
    try:
        found = clevercsv.Sniffer().sniff(text, delimiters=delimiters)
    except clevercsv.Error:
        found = None
    if found is not None and found.delimiter in delimiters:
        return str(found.delimiter)
    return delimiters[0]


def _find_quoting(
    path: pathlib.Path, encoding: str, delimiter: str
) -> tuple[str, str]:
    """The first quoting that reads the whole file, or else gets furthest."""
    if not any('"' in line for line in decoded_lines(path, encoding)):
        return "double", "there is no quote in the file"
    reach: dict[str, int] = {}
    for quoting in QUOTINGS:
        fit = _fit(decoded_lines(path, encoding), delimiter, quoting)
        reach[quoting] = fit.clean_lines
        if fit.whole:
            break
    else:
        best = max(reach, key=lambda name: reach[name])
        return best, f"no quoting suits line {reach[best] + 1}"
    by_custom_literal = delimiter == "\t" or (
        not delimiter and path.suffix.lower() != ".csv"
    )
    if quoting != "none" and by_custom_literal:
        if not _fit(decoded_lines(path, encoding), delimiter, "none").whole:
            return quoting, "a quoted cell holds a delimiter or line break"
        if not _written_with_quotes(decoded_lines(path, encoding), delimiter):
            return "none", "quotes are part of the text"
    return quoting, "it suits every row"


def _written_with_quotes(lines: Iterable[str], delimiter: str) -> bool:
    """Whether quotes that could be text look like a CSV writer's.

    A writer quotes every row, or only where it has to: cells that hold a
    quote, which it doubles, or a delimiter.
    """
    count = quoted = 0
    for cells in _reader(lines, delimiter, "none"):
        opened = [cell for cell in cells if cell.startswith('"')]
        if any(
            len(cell) == 1 or cell[-1] != '"' or '""' in cell[1:-1]
            for cell in opened
        ):
            return True
        count += 1
        quoted += bool(opened)
    return quoted == count


def _find_header(table: list[list[str]]) -> tuple[bool, str]:
    """Whether the first row names the columns below it."""
    first = [cell.strip() for cell in table[0]]
    below = list(zip(*table[1:], strict=False))
    if any(is_number(cell) for cell in first):
        return False, "the first row holds a number"
    if len(set(first)) < len(first):
        return False, "cells of the first row are alike"
    for cell, values in zip(first, below, strict=False):
        if cell and any(value.strip() == cell for value in values):
            return False, f"{excerpt(cell)} comes again in its column"
    known = examples.known_names()
    for cell in first:
        if examples.plain_name(cell) in known:
            return True, f"{cell!r} is a common name"
    for cell, values in zip(first, below, strict=False):
        if not cell:
            continue
        if all(map(is_number, values)):
            return True, f"numbers follow {excerpt(cell)}"
        if 4 * len(set(values)) <= len(values) and max(map(len, first)) < 30:
            return True, f"{excerpt(cell)} is none of the values that follow"
        lengths = list(map(len, values))
        much = 5 * len(lengths) * len(cell)
        if min(lengths) > len(cell) and sum(lengths) > much:
            return True, f"{excerpt(cell)} is followed by much longer texts"
    return False, "the first row is like the others"


def is_number(cell: str) -> bool:
    """Whether a cell is written as a finite decimal number."""
    cell = cell.strip()
    # float() also takes nan, infinity and 1_000.
    if not cell or not set(cell) <= set("0123456789+-.eE"):
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


# The rows.


def _delimited_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    width = len(dialect.columns)
    skip = dialect.header
    line = 1
    reader = _reader(
        decoded_lines(path, dialect.encoding),
        dialect.delimiter,
        dialect.quoting,
    )
    try:
        for cells in reader:
            if _is_blank(cells):
                pass
            elif skip:
                skip = False
            elif len(cells) != width:
                raise _wrong_width(path, dialect, line, len(cells))
            else:
                yield Row(line, cells)
            line = reader.line_num + 1
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


# JSON lines.


def _json_dialect(
    path: pathlib.Path, encoding: str, decided: list[Decision]
) -> Dialect:
    records = itertools.islice(json_lines.records(path, encoding), _HEAD_LINES)
    names: dict[str, None] = {}
    for _, record in records:
        names.update(dict.fromkeys(record))
    if not names:
        raise UserError(f"{path} is empty: it holds no record.")
    decided.append(
        Decision("form", "JSON lines", f"the name ends in {path.suffix}")
    )
    return Dialect(
        delimiter="",
        quoting="none",
        encoding=encoding,
        header=True,
        columns=tuple(names),
        form="json",
        decisions=tuple(decided),
    )


def _json_rows(path: pathlib.Path, dialect: Dialect) -> Iterator[Row]:
    for line, record in json_lines.records(path, dialect.encoding):
        cells = [
            json_lines.as_cell(record.get(name)) for name in dialect.columns
        ]
        yield Row(line, cells)
