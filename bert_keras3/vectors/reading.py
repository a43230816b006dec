"""Texts of a file, one at a time: lines as in the original, or a table.

Is it so? ||| It is.    # a line: a pair of texts
id,text                 # a table, of which `inputs.labelled_file` finds
7,It is.                # out the columns
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator
from typing import Protocol

from bert_keras3.inputs.delimited import JSON_SUFFIXES
from bert_keras3.inputs.encodings import (
    check_text_file,
    decoded_lines,
    find_encoding,
)
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.packed_files import inner_path
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.inputs.spreadsheets import is_spreadsheet
from bert_keras3.vectors.settings import LINES, TABLE

_TABLES = (".csv", ".tsv", *JSON_SUFFIXES)
_PAIR = re.compile(r"(.*) \|\|\| (.*)")


class TextFile(Protocol):
    """A file of texts; each iteration streams it anew."""

    @property
    def has_ids(self) -> bool:
        """Whether `guid` is an identifier of the file's own."""

    @property
    def takes_pairs(self) -> bool:
        """Whether texts may come in pairs."""

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the texts."""


@dataclasses.dataclass(frozen=True)
class TextLines:
    """A text a line (original: `read_examples` of extract_features.py).

    Spaces around a line are dropped; an empty line is an empty text.
    """

    path: pathlib.Path
    encoding: str

    has_ids = False
    takes_pairs = True

    def __iter__(self) -> Iterator[InputExample]:
        """Yields an example for each line."""
        lines = decoded_lines(self.path, self.encoding)
        for number, line in enumerate(lines, 1):
            text = line.strip()
            pair = _PAIR.fullmatch(text)
            text_a, text_b = pair.groups() if pair else (text, None)
            yield InputExample(str(number), text_a, text_b or None, line=number)


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A text, or a pair of texts, a row."""

    file: LabelledFile

    @property
    def has_ids(self) -> bool:
        """Whether there is a column of identifiers."""
        return self.file.columns.id is not None

    @property
    def takes_pairs(self) -> bool:
        """Whether there is a column of second texts."""
        return self.file.columns.text_pair is not None

    def __iter__(self) -> Iterator[InputExample]:
        """Yields an example for each row."""
        return iter(self.file)


def open_texts(
    path: str, choices: FileChoices, input_format: str | None
) -> TextFile:
    """Opens a file and finds out how it is written.

    Args:
        path: the file.
        choices: how it is written and which columns are what, where given.
        input_format: `LINES`, `TABLE`, or None to go by name and choices.

    Raises:
        UserError: there is no such file, it is no text, or its columns are
            not found.
    """
    file = pathlib.Path(path)
    if input_format is None and file.is_file():
        given = dataclasses.replace(choices, encoding=None)
        is_table = (
            given != FileChoices()
            or is_spreadsheet(file)
            or inner_path(file).suffix.lower() in _TABLES
        )
        input_format = TABLE if is_table else LINES
    if input_format == TABLE:
        return TextTable(LabelledFile.open(file, choices, want_label=False))
    check_text_file(file, "text")
    encoding, _ = find_encoding(file, choices.encoding)
    return TextLines(file, encoding)
