"""Rows of cells from spreadsheets: .xlsx, .xls, .xlsb and .ods.

A row with the number 3.0, the date 2 January 2024 and an empty cell is read as
["3", "2024-01-02", ""]. A sheet is in memory as a whole, at most the million
rows that a sheet can have; files of text are streamed.
"""

from __future__ import annotations

import datetime
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from bert_keras3.inputs.packed_files import kind_of, needed
from bert_keras3.safekeeping.errors import UserError

SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".xlsb", ".ods")


def is_spreadsheet(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a spreadsheet, by its content."""
    return kind_of(path) == "spreadsheet"


def sheet_rows(
    path: str | os.PathLike[str],
) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of the first sheet that is not empty.

    Args:
        path: the file.

    Yields:
        (number of the row, from 1, its cells). All rows have as many cells.

    Raises:
        UserError: python-calamine is not installed; the file is damaged,
            encrypted, or has no row.
    """
    _, sheet = _first_sheet(pathlib.Path(path))
    for number, values in enumerate(sheet.iter_rows(), 1):
        yield number, [_as_cell(value) for value in values]


def sheet_name(path: str | os.PathLike[str]) -> tuple[str, int]:
    """Returns (name of the sheet that is read, number of sheets).

    Raises:
        UserError: see `sheet_rows`.
    """
    names, sheet = _first_sheet(pathlib.Path(path))
    return sheet.name, len(names)


def _first_sheet(path: pathlib.Path) -> tuple[list[str], Any]:
    calamine = needed("python_calamine", "spreadsheets", path, "a spreadsheet")
    try:
        book = calamine.CalamineWorkbook.from_path(path)
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            if sheet.height:
                return book.sheet_names, sheet
    except calamine.PasswordError as error:
        raise UserError(
            f"{path} is encrypted; save it without a password, or as CSV"
        ) from error
    except calamine.CalamineError as error:
        raise UserError(
            f"{path} is no spreadsheet that can be read, or is cut off "
            f"({error}); save it as .xlsx or CSV"
        ) from error
    raise UserError(f"{path} is empty: none of its sheets holds a row.")


def _as_cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # Sheets have no whole numbers, only what is shown as such.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
