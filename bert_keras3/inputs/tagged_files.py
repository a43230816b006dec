"""Opens a tagged file of whatever form."""

from __future__ import annotations

import itertools
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from bert_keras3.inputs import (
    column_layout,
    delimited,
    dialect_search,
    joined_rows,
    span_rows,
    tagged_json,
)
from bert_keras3.inputs.delimited import Dialect
from bert_keras3.inputs.encodings import (
    check_text_file,
    decoded_lines,
    find_encoding,
)
from bert_keras3.inputs.joined_rows import JoinedRows
from bert_keras3.inputs.json_lists import is_list
from bert_keras3.inputs.span_rows import SpanColumns, SpanRows
from bert_keras3.inputs.spreadsheets import is_spreadsheet
from bert_keras3.inputs.tagged_columns import ColumnFile
from bert_keras3.inputs.tagged_json import JsonFile
from bert_keras3.inputs.tagged_text import TaggedChoices, TaggedFile
from bert_keras3.inputs.text_lines import TextLines
from bert_keras3.safekeeping.errors import UserError

SUFFIXES: Mapping[str, str] = {
    column_layout.FORM: ".txt",
    tagged_json.FORM: ".jsonl",
    span_rows.FORM: ".csv",
    joined_rows.FORM: ".csv",
}
"""{form: ending of the name of a file with some texts of another}."""

# Rows by which tokens are told from texts.
_LOOKED_AT = 1000
# Blank lines end sentences of at least so many tokens, on average.
_SHORTEST = 4
# Tokens are not longer than this on average.
_LONGEST_TOKENS = 8
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
    if layout["form"] in (span_rows.FORM, joined_rows.FORM):
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
    if path.is_file() and is_spreadsheet(path):
        return _open_sheet(path, choices, like, want_labels=want_labels)
    check_text_file(path, "text")
    encoding, _ = find_encoding(path, choices.encoding)
    lines = (line.strip() for line in decoded_lines(path, encoding))
    first = "".join(itertools.islice(filter(None, lines), 1))
    start = "".join(first[:20].split())
    if start.startswith(('{"', "{}")) or is_list(path, encoding):
        return JsonFile.open(path, choices, like, want_labels=want_labels)
    if start == "{":
        raise UserError(
            f"{path}: is one JSON value of several lines; write one object a "
            "line (jq -c does), or a list of objects"
        )
    if len(first) <= _LONGEST_HEADER and _may_be_rows(
        first, choices, like, want_labels
    ):
        rows = _open_rows(path, choices, like, want_labels=want_labels)
        if rows is not None:
            return rows
    if not want_labels and not _has_tokens(path, encoding, choices, like):
        _refuse_rows(path, choices)
        return TextLines(path, encoding)
    return ColumnFile.open(path, choices, like, want_tags=want_labels)


def _open_sheet(
    path: pathlib.Path,
    choices: TaggedChoices,
    like: Mapping[str, Any] | None,
    *,
    want_labels: bool,
) -> SpanRows | JoinedRows:
    """Opens a spreadsheet, which has rows of spans or of joined cells.

    Raises:
        UserError: it has neither, or as for the classes.
    """
    rows = _open_rows(path, choices, like, want_labels=want_labels)
    if rows is None:
        raise UserError(
            f"{path}: a spreadsheet of tagged texts has a row for each span, "
            "with columns such as text, start, end and label, or joined tags; "
            "save other forms as text"
        )
    return rows


def _may_be_rows(
    first: str,
    choices: TaggedChoices,
    like: Mapping[str, Any] | None,
    want_labels: bool,
) -> bool:
    """Whether a file's first line may be a header or a row of joined cells.

    A token a line seldom has the names of both, text and label.
    """
    if choices.delimiter == column_layout.BLANKS:
        return False
    if like and like["form"] in (span_rows.FORM, joined_rows.FORM):
        return True
    names = re.split(r"[,;|\t]", first.replace('"', ""))
    find = span_rows.column_named
    if find(names, span_rows.TEXT) is not None:
        if not want_labels:
            return True
        others = (*span_rows.LABEL, *span_rows.START)
        return len(names) > 1 and find(names, others) is not None
    return any(one in first for one in joined_rows.SEPARATORS if one < " ")


def _open_rows(
    path: pathlib.Path,
    choices: TaggedChoices,
    like: Mapping[str, Any] | None,
    *,
    want_labels: bool,
) -> SpanRows | JoinedRows | None:
    """Opens a file of rows; None if it is neither of spans nor joined.

    Raises:
        UserError: as for the classes.
    """
    first = dialect_search.sniff(
        path, delimiter=choices.delimiter, encoding=choices.encoding
    )
    joined = JoinedRows.find(path, first, like, want_tags=want_labels)
    if joined is not None:
        return joined
    dialect = first
    if not first.header:
        dialect = dialect_search.sniff(
            path,
            delimiter=choices.delimiter,
            encoding=choices.encoding,
            header=True,
        )
    columns = SpanColumns.of(dialect.columns)
    if columns is None or _has_a_token_a_line(path, dialect, columns, like):
        return None
    return SpanRows.open(path, dialect, choices, like, want_labels=want_labels)


def _has_a_token_a_line(
    path: pathlib.Path,
    dialect: Dialect,
    columns: SpanColumns,
    like: Mapping[str, Any] | None,
) -> bool:
    """Whether the column of texts has a token in each row.

    So it is where tags stand beside them, or where they are short and none
    has a blank.
    """
    if columns.has_spans or (like and like["form"] == span_rows.FORM):
        return False
    rows = [
        row.cells
        for row in itertools.islice(delimited.rows(path, dialect), _LOOKED_AT)
    ]
    if columns.type is not None:
        labels = [row[columns.type] for row in rows]
        if 2 * sum(map(column_layout.is_tag, labels)) > len(labels):
            return True
    texts = [row[columns.text].strip() for row in rows]
    return not any(" " in text for text in texts) and sum(
        map(len, texts)
    ) <= _LONGEST_TOKENS * len(texts)


def _has_tokens(
    path: pathlib.Path,
    encoding: str,
    choices: TaggedChoices,
    like: Mapping[str, Any] | None,
) -> bool:
    """Whether a file to predict has a token a line, and not a text a line.

    It has if a flag speaks of columns; if its lines have as many columns as
    those of the training file or fewer, or blank lines end its sentences; or
    if they are short and have no blank.
    """
    if choices.token_column or choices.delimiter:
        return True
    sample = itertools.islice(decoded_lines(path, encoding), _LOOKED_AT)
    lines = [line.strip() for line in sample]
    full = [line for line in lines if line and not line.startswith("-DOC")]
    if not full:
        return True
    separator, width = column_layout.find_separator(full, None)
    if width > 1:
        trained = like if like and "width" in like else {}
        if separator in ",;|" and separator != trained.get("delimiter"):
            return False
        most = trained.get("width", 0)
        num_blank = sum(not line for line in lines[:-1])
        are_sentences = num_blank and len(full) >= _SHORTEST * num_blank
        return bool(width <= most or are_sentences)
    return not any(" " in line for line in full) and sum(
        map(len, full)
    ) <= _LONGEST_TOKENS * len(full)


def _refuse_rows(path: pathlib.Path, choices: TaggedChoices) -> None:
    """Raises a UserError if a file has several columns and none of texts."""
    dialect = dialect_search.sniff(path, encoding=choices.encoding)
    if len(dialect.columns) > 1:
        raise UserError(
            f"{path}: no column is named as one of texts; there are "
            f"{', '.join(dialect.columns)}. Rename the column to tag to text, "
            "or name the column of tokens with --token_column, if each line "
            "is a token."
        )
