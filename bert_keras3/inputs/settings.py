"""What a user can say about a file of examples; None means: find it out.

No library is loaded here, so that flags can be defined from these fields at
once.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.safekeeping.settings import flag


@dataclasses.dataclass(frozen=True)
class FileChoices:
    """How a file is written, and which columns are what."""

    text: str | None = flag(
        None,
        "Column of the text, or of the first text of a pair: its name, or "
        "its number counted from 1. By default it is detected.",
        group="Columns and labels",
        name="text_column",
    )
    text_pair: str | None = flag(
        None,
        "Column of the second text of a pair: its name, or its number "
        "counted from 1; none for single texts. By default it is detected.",
        group="Columns and labels",
        name="text_pair_column",
    )
    label: str | None = flag(
        None,
        "Column of the label: its name, or its number counted from 1; "
        "several columns, separated by commas, for multi-label data; none "
        "where there are no labels. By default it is detected.",
        group="Columns and labels",
        name="label_column",
    )
    id: str | None = flag(
        None,
        "Column of an identifier that the predictions repeat: its name, or "
        "its number counted from 1; none for no identifier. By default it "
        "is detected.",
        group="Columns and labels",
        name="id_column",
    )
    header: bool | None = flag(
        None,
        "Whether the first row of a file holds the names of the columns. By "
        "default it is detected.",
        group="Columns and labels",
    )
    delimiter: str | None = flag(
        None,
        "What separates the cells of a row: one character, or tab, comma, "
        "semicolon, pipe, or none for files of one column. By default it is "
        "detected.",
        group="Columns and labels",
    )
    quoting: str | None = flag(
        None,
        "How a cell that contains the delimiter is written. double: in "
        'double quotes, a quote in it doubled (""); backslash: in double '
        'quotes, a quote in it as \\"; none: quotes are ordinary '
        "characters. By default it is detected.",
        group="Columns and labels",
        choices=("double", "backslash", "none"),
    )
    encoding: str | None = flag(
        None,
        "Character encoding of the files, by its name in Python, such as "
        "utf-8 or gb18030. By default it is detected for each file.",
        group="Columns and labels",
    )
