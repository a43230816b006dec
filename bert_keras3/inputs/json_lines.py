"""Files of JSON objects, one a line: the objects, and their values as cells.

Which keys are the columns of the file is found out in `dialect_search`.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

from bert_keras3.inputs.encodings import decoded_lines, excerpt
from bert_keras3.safekeeping.errors import UserError

SUFFIXES = (".jsonl", ".ndjson", ".json")


def records(
    path: pathlib.Path, encoding: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Streams the objects of a file; blank lines are passed over.

    Args:
        path: the file.
        encoding: a Python codec.

    Yields:
        (number of the line, counted from 1, the object).

    Raises:
        UserError: a line that is no JSON object.
        UnicodeDecodeError: bytes that are not of this encoding.
    """
    for number, line in enumerate(decoded_lines(path, encoding), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}, line {number}, column {error.colno}: {error.msg}; "
                f"each line must be one JSON object, this one starts "
                f"{excerpt(line.rstrip())}."
            ) from None
        if not isinstance(record, dict):
            raise UserError(
                f"{path}, line {number}: each line must be one JSON object "
                f"({{…}}), this one starts {excerpt(line.rstrip())}."
            )
        yield number, record


def as_cell(value: Any) -> str:
    """A JSON value as a cell: absent and null are empty, 3 is `3`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
