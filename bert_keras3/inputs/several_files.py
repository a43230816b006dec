"""Several files of rows, read as if they were one.

SeveralFiles((a, b))  # the examples of a.csv, then those of b.csv

Their columns may stand in other orders: names say which is which.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from bert_keras3.inputs.columns import same_name
from bert_keras3.inputs.delimited import Decision, Dialect, Row


def joined_path(paths: Sequence[str | os.PathLike[str]]) -> pathlib.Path:
    """Returns what messages call some files: the first, and how many more."""
    first, *others = map(pathlib.Path, paths)
    if not others:
        return first
    return first.with_name(f"{first.name} and {len(others)} more")


def decision_on(paths: Sequence[pathlib.Path]) -> tuple[Decision, ...]:
    """Returns which files there are, for display; nothing of a single one."""
    if len(paths) < 2:
        return ()
    listed = ", ".join(path.name for path in paths)
    return (Decision("files", listed, "given; the first is described"),)


class RowFile(Protocol):
    """A file of rows, such as `LabelledFile` or `ChoiceFile`."""

    @property
    def path(self) -> pathlib.Path:
        """The file."""

    @property
    def dialect(self) -> Dialect:
        """How its bytes become rows."""

    @property
    def columns(self) -> Any:
        """Which cell is what; `id` is that of the identifier, if any."""

    def __iter__(self) -> Iterator[Any]:
        """Streams the examples."""

    def rows(self) -> Iterator[Row]:
        """Streams the rows of the examples."""


@dataclasses.dataclass(frozen=True)
class SeveralFiles:
    """An iterable of examples, with the interface of its files.

    Attributes:
        files: two at least, opened like the first.
    """

    files: tuple[Any, ...]
    """Each a `RowFile`."""

    @property
    def path(self) -> pathlib.Path:
        """See `joined_path`."""
        return joined_path([file.path for file in self.files])

    @property
    def dialect(self) -> Dialect:
        """That of the first file, whose columns all rows have."""
        dialect: Dialect = self.files[0].dialect
        return dialect

    @property
    def columns(self) -> Any:
        """Those of the first file."""
        return self.files[0].columns

    def __iter__(self) -> Iterator[Any]:
        """Streams the examples; without an id column, the guid counts on.

        Raises:
            UserError: as for the files.
        """
        has_id = self.columns.id is not None
        number = 0
        for file in self.files:
            for example in file:
                number += 1
                guid = example.guid if has_id else str(number)
                # A line says nothing without its file.
                yield dataclasses.replace(
                    self.placed(example, file.path), guid=guid, line=0
                )

    def placed(self, example: Any, path: pathlib.Path) -> Any:
        """Returns an example that names the file that it is in."""
        return example

    def rows(self) -> Iterator[Row]:
        """Streams the rows, with the columns of the first file."""
        for file in self.files:
            places = self._places(file.dialect)
            for row in file.rows():
                cells = [
                    "" if place is None else row.cells[place]
                    for place in places
                ]
                yield Row(row.line, cells)

    def _places(self, dialect: Dialect) -> list[int | None]:
        """Returns where the first file's columns are in another file."""
        first, width = self.dialect, len(dialect.columns)
        if first.header and dialect.header:
            return [same_name(name, dialect) for name in first.columns]
        return [n if n < width else None for n in range(len(first.columns))]
