"""Opens a tagged file of whatever form."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from bert_keras3.inputs import tagged_columns, tagged_json, tagged_rows
from bert_keras3.inputs.encodings import decoded_lines, find_encoding
from bert_keras3.inputs.tagged_columns import ColumnFile
from bert_keras3.inputs.tagged_json import JsonFile
from bert_keras3.inputs.tagged_text import TaggedChoices, TaggedFile
from bert_keras3.safekeeping.errors import UserError

SUFFIXES: Mapping[str, str] = {
    tagged_columns.FORM: ".txt",
    tagged_json.FORM: ".jsonl",
    tagged_rows.SPANS_FORM: ".csv",
    tagged_rows.JOINED_FORM: ".csv",
}
"""{form: ending of the name of a file with some texts of another}."""

# A longer first line is no header.
_LONGEST_HEADER = 1000


def suffix_of(layout: Mapping[str, Any]) -> str:
    """Returns the ending for texts of a file, given `TaggedFile.layout`."""
    return SUFFIXES[layout["form"]]


def choices_of_part(layout: Mapping[str, Any]) -> TaggedChoices:
    """Returns how a file is read that `write_rows` wrote.

    Args:
        layout: of the file that its texts are of.
    """
    delimiter = layout.get("delimiter")
    if layout["form"] in (tagged_rows.SPANS_FORM, tagged_rows.JOINED_FORM):
        delimiter = "comma"
    inclusive = layout.get("inclusive", layout.get("keys", {}).get("inclusive"))
    ends = {True: "inclusive", False: "exclusive"}
    return TaggedChoices(
        delimiter=delimiter,
        encoding="utf-8",
        span_end=ends.get(inclusive),
    )


def open_tagged_file(
    path: str | os.PathLike[str],
    choices: TaggedChoices,
    like: Mapping[str, Any] | None = None,
    *,
    want_labels: bool = True,
) -> TaggedFile:
    """Opens a file and detects its form and what `choices` leave open.

    Args:
        path: the file.
        choices: what the user has given.
        like: `layout` of the training file.
        want_labels: False for a file to predict.

    Raises:
        UserError: no such file, undecodable bytes, no text, no tags.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if not path.stat().st_size:
        raise UserError(f"{path} is empty: it holds no text")
    encoding, _ = find_encoding(path, choices.encoding)
    lines = (line.strip() for line in decoded_lines(path, encoding))
    first = "".join(itertools.islice(filter(None, lines), 1))
    start = "".join(first[:20].split())
    if start.startswith(('{"', "{}")):
        return JsonFile.open(path, choices, like, want_labels=want_labels)
    if start.startswith("[{") or start in ("{", "["):
        raise UserError(
            f"{path}: is one JSON value of several lines or a list; write one "
            "object a line (jq -c '.[]' does)"
        )
    if len(first) <= _LONGEST_HEADER and _may_be_rows(first, like):
        rows = tagged_rows.open_rows(
            path, choices, like, want_labels=want_labels
        )
        if rows is not None:
            return rows
    return ColumnFile.open(path, choices, like, want_tags=want_labels)


def _may_be_rows(first: str, like: Mapping[str, Any] | None) -> bool:
    """Whether a file's first line may be a header or a row of joined cells."""
    if like and like["form"] in (
        tagged_rows.SPANS_FORM,
        tagged_rows.JOINED_FORM,
    ):
        return True
    return tagged_rows.may_be_header(first)
