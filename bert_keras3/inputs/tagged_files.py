"""Opens a tagged file of whatever form."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from bert_keras3.inputs.tagged_columns import FORM, ColumnFile
from bert_keras3.inputs.tagged_text import TaggedChoices, TaggedFile
from bert_keras3.safekeeping.errors import UserError

SUFFIXES: Mapping[str, str] = {FORM: ".txt"}
"""{form: ending of the name of a file with some texts of another}."""


def suffix_of(layout: Mapping[str, Any]) -> str:
    """Returns the ending for texts of a file, given `TaggedFile.layout`."""
    return SUFFIXES[layout["form"]]


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
    return ColumnFile.open(path, choices, like, want_tags=want_labels)
