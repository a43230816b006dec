"""What a user can say about a file of examples; None means: find it out."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class FileChoices:
    """How a file is written, and which columns are what.

    Attributes:
        delimiter: see `dialect_search.sniff`, as the next three.
        quoting: a key of `delimited.QUOTINGS`.
        encoding: a Python codec.
        header: whether the first row holds names.
        text: a column's name or number, counted from 1, as the next three.
        text_pair: or "none".
        label: or "none"; several, with commas between, for multi-label data.
        id: or "none".
    """

    delimiter: str | None = None
    quoting: str | None = None
    encoding: str | None = None
    header: bool | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    id: str | None = None
