"""Opens a file of texts: a table, or a text on each line."""

from __future__ import annotations

import dataclasses
import pathlib

from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.packed_files import inner_path
from bert_keras3.inputs.settings import FileChoices

_PLAIN_LINES = ".txt"


def open_texts(path: str, choices: FileChoices) -> LabelledFile:
    """Opens a file of texts without labels.

    Args:
        path: of a table, or of a `.txt` file with a text on each line;
            compressed or not.
        choices: how to read it.

    Raises:
        UserError: there is no such file, or it cannot be read so.
    """
    file = pathlib.Path(path)
    if file.is_file() and inner_path(file).suffix.lower() == _PLAIN_LINES:
        # Commas and quotes of plain lines are part of the texts.
        lines = FileChoices(delimiter="none", quoting="none", header=False)
        given = {
            field.name: value
            for field in dataclasses.fields(choices)
            if (value := getattr(choices, field.name)) is not None
        }
        choices = dataclasses.replace(lines, **given)
    return LabelledFile.open(path, choices, want_label=False)
