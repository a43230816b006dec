"""What a user can say about a file of examples; None: it is detected.

No library is imported here, so that `--help` is shown at once.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.safekeeping.settings import flag

AUTO = "auto"
"""The value of --feature_columns for all that are of use."""


def encoding_flag(group: str) -> str | None:
    """Returns the flag --encoding of a group of flags."""
    value: str | None = flag(
        None,
        "Character encoding of the input files, by its Python name, such as "
        "utf-8 or gb18030. By default it is detected for each file.",
        group=group,
        placeholder="ENCODING",
    )
    return value


@dataclasses.dataclass(frozen=True)
class FileChoices:
    """How a file is written, and which columns are what."""

    text: str | None = flag(
        None,
        "Column of the text, or of the first text of a pair, given by name or "
        "by number from 1. By default it is detected.",
        group="Columns and labels",
        placeholder="COLUMN",
        name="text_column",
    )
    text_pair: str | None = flag(
        None,
        "Column of the second text of a pair, given by name or by number from "
        "1; the value none means single texts. By default it is detected.",
        group="Columns and labels",
        placeholder="COLUMN",
        name="text_pair_column",
    )
    label: str | None = flag(
        None,
        "Column of the label, given by name or by number from 1; several "
        "comma-separated columns for multi-label data; the value none means "
        "no labels. A dotted path names a nested value of JSON, such as "
        "annotations.0.label. By default it is detected.",
        group="Columns and labels",
        placeholder="COLUMN",
        name="label_column",
    )
    id: str | None = flag(
        None,
        "Column of an identifier that is copied into the predictions, given "
        "by name or by number from 1; the value none means no identifier. By "
        "default it is detected.",
        group="Columns and labels",
        placeholder="COLUMN",
        name="id_column",
    )
    features: tuple[str, ...] = flag(
        (),
        "Comma-separated extra columns, such as price,brand, that the model "
        "reads beside the text (--features says how), by name or by number "
        "from 1; behind a name may stand :number, :quantiles, :category, "
        ":boolean or :date. auto: all columns that are no text, label or id "
        "and say something. By default none.",
        group="Columns and labels",
        name="feature_columns",
        needs=("do_train",),
    )
    header: bool | None = flag(
        None,
        "Whether the first row of a file holds the column names. By default "
        "it is detected.",
        group="Columns and labels",
    )
    skip_rows: int | None = flag(
        None,
        "Number of lines above the header, or above the first row, that are "
        "left out, blank ones included. By default they are found where it is "
        "plain which these are.",
        group="Columns and labels",
        least=0,
    )
    delimiter: str | None = flag(
        None,
        "Delimiter between the cells of a row: one character, or one of the "
        "words tab, comma, semicolon and pipe; the value none means files of "
        "one column. By default it is detected.",
        group="Columns and labels",
        placeholder="CHARACTER",
    )
    quoting: str | None = flag(
        None,
        "Quoting of cells that contain the delimiter. double: in double "
        'quotes, with a quote inside written twice (""); backslash: in double '
        'quotes, with a quote inside written as \\"; none: quotes are '
        "ordinary characters. By default it is detected.",
        group="Columns and labels",
        choices=("double", "backslash", "none"),
    )
    encoding: str | None = encoding_flag("Columns and labels")

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns that are given, by name, path or number."""
        given = (self.text, self.text_pair, self.label, self.id)
        named = [one for one in self.features if one.strip() != AUTO]
        return tuple(
            part.strip()
            for value in (*given, *named)
            if value is not None
            for part in value.split(",")
        )
