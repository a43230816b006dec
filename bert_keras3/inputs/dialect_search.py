"""Detects a file's dialect: encoding, delimiter, quoting, header.

A file with the lines `text<tab>label` and `"Fine", he said<tab>1` has tabs,
a header, and quotes that are part of the text.

Neither `csv.Sniffer` nor clevercsv would do: both judge a sample, where the
one quote that decides may be the last in the file, and neither reports that
quotes are part of the text, or that there is only one column.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

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
)
from bert_keras3.inputs.encodings import (
    check_text_file,
    decoded_lines,
    excerpt,
    find_encoding,
)
from bert_keras3.inputs.json_lists import is_list
from bert_keras3.inputs.packed_files import inner_path
from bert_keras3.inputs.spreadsheets import (
    is_spreadsheet,
    sheet_name,
    sheet_rows,
)
from bert_keras3.safekeeping.errors import UserError

_HEAD_LINES = 1000
_HEAD_CHARACTERS = 1 << 20
# Characters of a header in a message.
_MOST_LISTED = 200


def sniff(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    quoting: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
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
        return _sheet_dialect(path, header)
    check_text_file(path, "row")
    encoding, how_encoding = find_encoding(path, encoding)
    decided = [Decision("encoding", encoding, how_encoding)]
    suffix = inner_path(path).suffix.lower()
    if suffix in JSON_SUFFIXES:
        return _json_dialect(path, encoding, decided)

    head = _head(path, encoding)
    if not any(line.strip() for line in head):
        raise UserError(f"{path} is empty: it holds no row.")
    how_delimiter = how_quoting = "as given"
    if delimiter is None:
        delimiter, how_delimiter = _find_delimiter(suffix, head)
    if quoting is None:
        quoting, how_quoting = _find_quoting(path, suffix, encoding, delimiter)
    decided.append(
        Decision("delimiter", delimiter_name(delimiter), how_delimiter)
    )
    decided.append(Decision("quoting", quoting, how_quoting))

    table = _first_rows(path, encoding, delimiter, quoting)
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
        decisions=tuple(decided),
    )
    return _with_rows(path, dialect)


def _names(first: Sequence[str], header: bool) -> tuple[str, ...]:
    """Returns the columns' names, given the first row."""
    names = first if header else [""] * len(first)
    return tuple(
        name.strip() or f"column {number}"
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


def _first_rows(
    path: pathlib.Path, encoding: str, delimiter: str, quoting: str
) -> list[list[str]]:
    """Returns the first rows, up to one that is incomplete or malformed."""
    table: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for cells in reader(decoded_lines(path, encoding), delimiter, quoting):
            if not is_blank(cells):
                table.append(cells)
            if len(table) == _HEAD_LINES:
                break
    if not table:
        # Already the first row is malformed: `rows` raises the error.
        dialect = Dialect(delimiter, quoting, encoding, False, ("column 1",))
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
    path: pathlib.Path, suffix: str, encoding: str, delimiter: str
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
        not delimiter and suffix != ".csv"
    )
    if quoting != "none" and by_custom_literal:
        if not _fit(decoded_lines(path, encoding), delimiter, "none").whole:
            return quoting, "a quoted cell holds a delimiter or line break"
        if not _written_with_quotes(decoded_lines(path, encoding), delimiter):
            return "none", "quotes are part of the text"
    return quoting, "it suits every row"


def _written_with_quotes(lines: Iterable[str], delimiter: str) -> bool:
    """Whether quotes that could be text look like a CSV writer's.

    A CSV writer quotes every row, or only the cells that hold a delimiter or
    a quote, which it doubles.
    """
    count = quoted = 0
    for cells in reader(lines, delimiter, "none"):
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
    if any(examples.is_number(cell) for cell in first):
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
        if all(map(examples.is_number, values)):
            return True, f"numbers follow {excerpt(cell)}"
        if 4 * len(set(values)) <= len(values) and max(map(len, first)) < 30:
            return True, f"{excerpt(cell)} is none of the values that follow"
        lengths = list(map(len, values))
        much = 5 * len(lengths) * len(cell)
        if min(lengths) > len(cell) and sum(lengths) > much:
            return True, f"{excerpt(cell)} is followed by much longer texts"
    return False, "the first row is like the others"


def _sheet_dialect(path: pathlib.Path, header: bool | None) -> Dialect:
    name, count = sheet_name(path)
    decided = [
        Decision("sheet", name, f"the first of {count} with a row in it")
    ]
    filled = (
        cells for _, cells in sheet_rows(path) if any(map(str.strip, cells))
    )
    table = list(itertools.islice(filled, _HEAD_LINES))
    if not table:
        raise UserError(f"{path} is empty: its sheet {name!r} holds no row.")
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
        decisions=tuple(decided),
    )
    return _with_rows(path, dialect)


def _json_dialect(
    path: pathlib.Path, encoding: str, decided: list[Decision]
) -> Dialect:
    records = itertools.islice(json_records(path, encoding), _HEAD_LINES)
    names: dict[str, None] = {}
    for _, record in records:
        names.update(dict.fromkeys(record))
    if not names:
        raise UserError(f"{path} is empty: it holds no record.")
    form = (
        ("JSON list", "it begins with [")
        if is_list(path, encoding)
        else ("JSON lines", f"the name ends in {inner_path(path).suffix}")
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
