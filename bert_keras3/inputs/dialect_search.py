"""Detects a file's dialect: encoding, delimiter, quoting, header.

A file with the lines `text<tab>label` and `"Fine", he said<tab>1` has tabs,
a header, and quotes that are part of the text.

Neither `csv.Sniffer` nor clevercsv would do: both judge a sample, where the
one quote that decides may be the last in the file, and neither reports that
quotes are part of the text, or that there is only one column.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bert_keras3.inputs import examples
from bert_keras3.inputs.delimited import (
    DELIMITERS,
    JSON_SUFFIXES,
    QUOTINGS,
    Decision,
    Dialect,
    delimiter_name,
    is_blank,
    json_records,
    reader,
    rows,
    value_at,
    without_empty_end,
)
from bert_keras3.inputs.encodings import (
    check_text_file,
    decoded_lines,
    excerpt,
    find_encoding,
)
from bert_keras3.inputs.json_lists import is_list
from bert_keras3.inputs.packed_files import inner_path
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.inputs.spreadsheets import (
    is_spreadsheet,
    sheet_name,
    sheet_rows,
)
from bert_keras3.safekeeping.errors import UserError

_HEAD_LINES = 1000
_HEAD_CHARACTERS = 1 << 20
# Lines above a header that are looked for, and rows that must be below it.
_MOST_SKIPPED = 30
_FEWEST_ROWS = 2
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
# Nested values of JSON objects that become columns.
_MOST_PATHS = 100
# Characters of a header in a message.
_MOST_LISTED = 200


def sniff_as_given(
    path: str | os.PathLike[str],
    choices: FileChoices,
    header: bool | None,
    paths: Iterable[str] = (),
) -> Dialect:
    """Detects what a user has not said of how a file is written.

    Args:
        path: see `sniff`.
        choices: what has been said, but for the header.
        header: see `sniff`.
        paths: see `sniff`.

    Raises:
        UserError: as for `sniff`.
    """
    return sniff(
        path,
        delimiter=choices.delimiter,
        quoting=choices.quoting,
        encoding=choices.encoding,
        header=header,
        skip_rows=choices.skip_rows,
        paths=paths,
    )


def sniff(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    quoting: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    skip_rows: int | None = None,
    paths: Iterable[str] = (),
) -> Dialect:
    """Detects how a file is written; arguments that are given are kept.

    The encoding and the quoting are tried on the whole file, since the one
    byte or the one quote that decides may be its last.

    Args:
        path: a delimited file, a spreadsheet, or JSON objects where the name
            ends in one of `JSON_SUFFIXES`; packed or not.
        delimiter: one character, a key of `DELIMITERS`, or `none` for a file
            of one column.
        quoting: a key of `QUOTINGS`.
        encoding: a Python codec.
        header: whether the first row holds names.
        skip_rows: number of lines above the header or the first row.
        paths: dotted paths that become columns, of JSON that has them.

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
    if path.is_file() and is_spreadsheet(path):
        return _sheet_dialect(path, header, skip_rows)
    check_text_file(path, "row")
    encoding, how_encoding = find_encoding(path, encoding)
    decided = [Decision("encoding", encoding, how_encoding)]
    suffix = inner_path(path).suffix.lower()
    head = _head(path, encoding)
    if suffix in JSON_SUFFIXES or _is_json_object(head):
        return _json_dialect(path, encoding, decided, paths)
    if not any(line.strip() for line in head):
        raise UserError(f"{path} is empty: it holds no row.")
    how_delimiter = how_quoting = how_skip = "as given"
    skip = skip_rows
    if skip is None:
        skip, how_skip = _find_skip(head, delimiter)
    head = head[skip:]
    if not any(line.strip() for line in head):
        raise UserError(f"{path} has no row below {skip} lines.")

    def lines() -> Iterator[str]:
        return itertools.islice(decoded_lines(path, encoding), skip, None)

    said = _SEPARATOR.fullmatch(head[0].rstrip("\r\n"))
    if said and skip_rows is None and delimiter in (None, said[1]):
        # So Excel is told which delimiter a file has.
        skip, how_skip = skip + 1, "the line that names the delimiter"
        head, delimiter = head[1:], said[1]
        how_delimiter = "the first line names it"
    elif delimiter is None:
        delimiter, how_delimiter = _find_delimiter(suffix, head)
    if quoting is None:
        quoting, how_quoting = _find_quoting(suffix, lines, delimiter, skip)
    decided.append(
        Decision("delimiter", delimiter_name(delimiter), how_delimiter)
    )
    decided.append(Decision("quoting", quoting, how_quoting))

    if skip:
        decided.append(Decision("lines left out", str(skip), how_skip))
    table = _first_rows(path, encoding, delimiter, quoting, skip)
    how_header = "as given"
    if header is None:
        header, how_header = _find_header(table)
    decided.append(Decision("header", "yes" if header else "no", how_header))
    dialect = Dialect(
        delimiter,
        quoting,
        encoding,
        header,
        _names(table[0], header),
        skip=skip,
        decisions=tuple(decided),
    )
    return _with_rows(path, dialect)


def _names(first: Sequence[str], header: bool) -> tuple[str, ...]:
    """Returns the columns' names, given the first row."""
    names = [name.strip() if header else "" for name in first]
    number_of = collections.Counter(names)
    return tuple(
        f"{name} (column {number})"
        if name and number_of[name] > 1
        else name or f"column {number}"
        for number, name in enumerate(names, 1)
    )


def _with_rows(path: pathlib.Path, dialect: Dialect) -> Dialect:
    """Returns the dialect; a UserError if no row is below the header."""
    if next(rows(path, dialect), None) is None:
        raise UserError(
            f"{path} has only a header ({_shown(dialect.columns)}) and no row."
        )
    return dialect


def _shown(columns: Sequence[str]) -> str:
    """Lists names, cut short where they are none, as in JSON named .csv."""
    listed = ", ".join(columns)
    if len(listed) <= _MOST_LISTED:
        return listed
    return f"{listed[:_MOST_LISTED]}…"


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


def _head(path: pathlib.Path, encoding: str) -> list[str]:
    head = []
    room = _HEAD_CHARACTERS
    for line in itertools.islice(decoded_lines(path, encoding), _HEAD_LINES):
        head.append(line)
        room -= len(line)
        if room < 0:
            break
    return head


def _is_json_object(head: Iterable[str]) -> bool:
    """Whether the first line that is not blank is a JSON object."""
    first = next((line for line in head if line.strip()), "")
    if not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _first_rows(
    path: pathlib.Path, encoding: str, delimiter: str, quoting: str, skip: int
) -> list[list[str]]:
    """Returns the first rows, up to one that is incomplete or malformed."""
    table: list[list[str]] = []
    lines = itertools.islice(decoded_lines(path, encoding), skip, None)
    with contextlib.suppress(csv.Error):
        for cells in reader(lines, delimiter, quoting):
            if not is_blank(cells):
                table.append(cells)
            if len(table) == _HEAD_LINES:
                break
    if not table:
        # Already the first row is malformed: `rows` raises the error.
        dialect = Dialect(
            delimiter, quoting, encoding, False, ("column 1",), skip=skip
        )
        table = [row.cells for row in rows(path, dialect)]
    return table


class _Fit(NamedTuple):
    width: int
    clean_lines: int
    whole: bool


def _fit(lines: Iterable[str], delimiter: str, quoting: str) -> _Fit:
    """How far the lines can be read as rows of one width."""
    rows_read = reader(lines, delimiter, quoting)
    width = clean = 0
    try:
        for cells in rows_read:
            cells = without_empty_end(cells, width)
            if len(cells) != width and not is_blank(cells):
                if width:
                    return _Fit(width, clean, False)
                width = len(cells)
            clean = rows_read.line_num
    except csv.Error:
        return _Fit(width, clean, False)
    return _Fit(width, clean, True)


def _find_delimiter(suffix: str, head: list[str]) -> tuple[str, str]:
    """The delimiter under which rows keep one width for most lines."""
    reach: dict[str, int] = {}
    for delimiter in DELIMITERS.values():
        fits = [_fit(head, delimiter, quoting) for quoting in QUOTINGS]
        reach[delimiter] = max(
            (fit.clean_lines for fit in fits if fit.width > 1), default=0
        )
    most = max(reach.values())
    best = [delimiter for delimiter in reach if reach[delimiter] == most]
    # Prose has commas too, but not the same number in every line. In a file
    # named .csv they are delimiters, so that a malformed row is reported.
    like_prose = 10 * most < 9 * len(head) and set(best) <= {",", ";"}
    tabular = suffix in (".csv", ".tsv")
    if not most or (like_prose and not tabular):
        return "", "no delimiter splits the lines evenly: one column"
    if len(best) == 1:
        return best[0], "it splits the lines evenly"
    if "\t" in best and suffix == ".tsv":
        return "\t", "the name ends in .tsv"
    return _likeliest(head, best), "the most plausible of several"


def _find_skip(head: list[str], delimiter: str | None) -> tuple[int, str]:
    """How many lines stand above the header, where that is plain.

    It is where every line from a header on has as many cells, two at least,
    and the lines above it have fewer; the header must look like one.
    """
    delimiters = DELIMITERS.values() if delimiter is None else (delimiter,)
    for mark in filter(None, delimiters):
        widths = [_width(line, mark) for line in head[: _MOST_SKIPPED + 1]]
        full = [width for width in widths if width]
        # As a rule, all lines are as wide as the first.
        if len(set(full)) < 2:
            continue
        for skip in range(1, len(widths)):
            above = [width for width in widths[:skip] if width]
            if not above or widths[skip] < 2 or max(above) >= widths[skip]:
                continue
            if max(above) > 1 and _is_header_line(head[:skip], mark):
                break
            table = _even_rows(head[skip:], mark)
            if len(table) > _FEWEST_ROWS and _find_header(table)[0]:
                return skip, "they have fewer cells than the header below"
            break
    return 0, "none"


def _width(line: str, delimiter: str) -> int:
    """Number of cells of a line; 0 if it is blank."""
    try:
        cells = next(reader([line], delimiter, "double"), [])
    except csv.Error:
        return line.count(delimiter) + 1
    return 0 if is_blank(cells) else len(cells)


def _is_header_line(lines: Iterable[str], delimiter: str) -> bool:
    """Whether a line has names that columns often have."""
    known = examples.known_names()
    return any(
        examples.plain_name(cell) in known
        for line in lines
        for cell in line.strip().split(delimiter)
    )


def _even_rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The rows of lines, if nearly all of them have one width; else none."""
    for quoting in QUOTINGS:
        fit = _fit(lines, delimiter, quoting)
        if fit.width > 1 and 10 * fit.clean_lines >= 9 * len(lines):
            table = reader(lines[: fit.clean_lines], delimiter, quoting)
            return [cells for cells in table if not is_blank(cells)]
    return []


def _likeliest(head: list[str], delimiters: list[str]) -> str:
    """The first delimiter that is not punctuation of the texts.

    All of them occur equally often in every line. A comma between digits is a
    decimal comma; one that a space follows belongs to a sentence.
    """
    text = "".join(head)
    decimal = re.compile(r"(?<=\d),(?=\d)")
    for delimiter in delimiters:
        count = text.count(delimiter)
        in_text = text.count(f"{delimiter} ")
        if delimiter == ",":
            in_text = max(in_text, len(decimal.findall(text)))
        if in_text < count:
            return delimiter
    return delimiters[0]


def _find_quoting(
    suffix: str, lines: Callable[[], Iterator[str]], delimiter: str, skip: int
) -> tuple[str, str]:
    """The first quoting that reads the whole file, or else gets furthest."""
    if not any('"' in line for line in lines()):
        return "double", "there is no quote in the file"
    reach: dict[str, int] = {}
    for quoting in QUOTINGS:
        fit = _fit(lines(), delimiter, quoting)
        reach[quoting] = fit.clean_lines
        if fit.whole:
            break
    else:
        best = max(reach, key=lambda name: reach[name])
        return best, f"no quoting suits line {skip + reach[best] + 1}"
    by_custom_literal = delimiter == "\t" or (
        not delimiter and suffix != ".csv"
    )
    if quoting != "none" and by_custom_literal:
        if not _fit(lines(), delimiter, "none").whole:
            return quoting, "a quoted cell holds a delimiter or line break"
        if not _written_with_quotes(lines(), delimiter):
            return "none", "quotes are part of the text"
    return quoting, "it suits every row"


def _written_with_quotes(lines: Iterable[str], delimiter: str) -> bool:
    """Whether quotes that could be text look like a CSV writer's.

    A CSV writer quotes every row, perhaps not the header, or only the cells
    that hold a delimiter or a quote, which it doubles.
    """
    count = quoted = 0
    has_header = False
    for cells in reader(lines, delimiter, "none"):
        opened = [cell for cell in cells if cell.startswith('"')]
        if any(
            len(cell) == 1 or cell[-1] != '"' or '""' in cell[1:-1]
            for cell in opened
        ):
            return True
        count += 1
        quoted += bool(opened)
        has_header |= count == 1 and not opened
    return quoted == count - (has_header and count > _FEWEST_ROWS)


def _find_header(table: list[list[str]]) -> tuple[bool, str]:
    """Whether the first row names the columns below it."""
    first = [cell.strip() for cell in table[0]]
    known = examples.known_names()
    rest = table[1:]
    if len(first) > 1 and any(
        examples.plain_name(cell) in known for cell in first
    ):
        # Where files were joined, their header comes again.
        rest = [cells for cells in rest if cells != table[0]]
    below = list(zip(*rest, strict=False))
    if any(examples.is_number(cell) for cell in first):
        return False, "the first row holds a number"
    for cell, values in zip(first, below, strict=False):
        if cell and any(value.strip() == cell for value in values):
            return False, f"{excerpt(cell)} comes again in its column"
    for cell in first:
        if examples.plain_name(cell) in known:
            return True, f"{cell!r} is a common name"
    filled = list(filter(None, first))
    if len(set(filled)) < len(filled):
        return False, "cells of the first row are alike"
    for cell, values in zip(first, below, strict=False):
        if not cell:
            continue
        if all(map(examples.is_number, values)):
            return True, f"numbers follow {excerpt(cell)}"
        if 4 * len(set(values)) <= len(values) and max(map(len, first)) < 30:
            return True, f"{excerpt(cell)} is none of the values that follow"
        lengths = list(map(len, values))
        much = 5 * len(lengths) * len(cell)
        if min(lengths) > len(cell) and sum(lengths) > much:
            return True, f"{excerpt(cell)} is followed by much longer texts"
    return False, "the first row is like the others"


def _sheet_dialect(
    path: pathlib.Path, header: bool | None, skip_rows: int | None
) -> Dialect:
    name, count = sheet_name(path)
    decided = [
        Decision("sheet", name, f"the first of {count} with a row in it")
    ]
    head = list(itertools.islice(sheet_rows(path), _HEAD_LINES))
    skip, how_skip = skip_rows, "as given"
    if skip is None:
        skip, how_skip = _find_rows_above(head), "they have a single cell"
    if skip:
        decided.append(Decision("rows left out", str(skip), how_skip))
    table = [
        cells
        for number, cells in head
        if number > skip and any(map(str.strip, cells))
    ]
    if not table:
        raise UserError(
            f"{path} is empty: its sheet {name!r} holds no row"
            f"{f' below {skip}' if skip else ''}."
        )
    how_header = "as given"
    if header is None:
        header, how_header = _find_header(table)
    decided.append(Decision("header", "yes" if header else "no", how_header))
    dialect = Dialect(
        delimiter="",
        quoting="none",
        encoding="utf-8",
        header=header,
        columns=_names(table[0], header),
        form="sheet",
        skip=skip,
        decisions=tuple(decided),
    )
    return _with_rows(path, dialect)


def _find_rows_above(head: Sequence[tuple[int, list[str]]]) -> int:
    """How many rows of a sheet are titles: of one cell, above a header."""
    titles = 0
    for place, (number, cells) in enumerate(head[: _MOST_SKIPPED + 1]):
        filled = sum(map(bool, map(str.strip, cells)))
        if filled > 1:
            table = [cells for _, cells in head[place:]]
            is_plain = titles and _find_header(table)[0]
            return number - 1 if is_plain else 0
        titles += filled
    return 0


def _leaves(record: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields the dotted paths of values in objects, and in lists of objects.

    Of lists the first element stands for all.
    """
    for key, value in record.items():
        path = f"{prefix}{key}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            path, value = f"{path}.0", value[0]
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.")
        elif prefix:
            yield path


def _json_dialect(
    path: pathlib.Path,
    encoding: str,
    decided: list[Decision],
    paths: Iterable[str],
) -> Dialect:
    records = itertools.islice(json_records(path, encoding), _HEAD_LINES)
    names: dict[str, None] = {}
    nested: dict[str, None] = {}
    wanted = [one for one in paths if "." in one]
    for _, record in records:
        names.update(dict.fromkeys(record))
        if len(nested) < _MOST_PATHS:
            nested.update(dict.fromkeys(_leaves(record)))
        nested.update(
            (one, None) for one in wanted if value_at(record, one) is not None
        )
    if not names:
        raise UserError(f"{path} is empty: it holds no record.")
    names.update(nested)
    form = (
        ("JSON list", "it begins with [")
        if is_list(path, encoding)
        else ("JSON lines", "its first line is an object")
    )
    decided.append(Decision("form", *form))
    return Dialect(
        delimiter="",
        quoting="none",
        encoding=encoding,
        header=True,
        columns=tuple(names),
        form="json",
        decisions=tuple(decided),
    )
