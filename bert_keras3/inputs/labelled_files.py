"""Several files of labelled texts, read as if they were one.

LabelledFiles((a, b))  # the examples of a.csv, then those of b.csv

Their columns may stand in other orders: names say which is which.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from bert_keras3.inputs.columns import Columns, same_name
from bert_keras3.inputs.delimited import Decision, Dialect, Row
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.labelled_file import (
    Description,
    LabelledFile,
    missing_notes,
)


@dataclasses.dataclass(frozen=True)
class LabelledFiles:
    """An iterable of examples, with the interface of `LabelledFile`.

    Attributes:
        files: two at least, opened like the first.
    """

    files: tuple[LabelledFile, ...]

    @property
    def path(self) -> pathlib.Path:
        """The first file and the number of the others, for messages."""
        first = self.files[0].path
        return first.with_name(f"{first.name} and {len(self.files) - 1} more")

    @property
    def dialect(self) -> Dialect:
        """That of the first file, whose columns all rows have."""
        return self.files[0].dialect

    @property
    def columns(self) -> Columns:
        """Those of the first file."""
        return self.files[0].columns

    def with_classes(self, classes: tuple[str, ...]) -> LabelledFiles:
        """Returns the same files, whose labels may be numbers of classes."""
        return LabelledFiles(
            tuple(file.with_classes(classes) for file in self.files)
        )

    def with_features(self, names: Sequence[str]) -> LabelledFiles:
        """Returns the same files with these extra columns of the first."""
        first = self.files[0].columns
        order = [first.names[index] for index in first.features]
        chosen = [order.index(name) for name in names]

        def narrowed(file: LabelledFile) -> LabelledFile:
            columns = file.columns
            own = [columns.names[columns.features[one]] for one in chosen]
            return file.with_features(own)

        return LabelledFiles(tuple(map(narrowed, self.files)))

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the examples; without an id column, the guid counts on.

        Raises:
            UserError: as for `LabelledFile`.
        """
        has_id = self.columns.id is not None
        number = 0
        for file in self.files:
            for example in file:
                number += 1
                yield dataclasses.replace(
                    example,
                    guid=example.guid if has_id else str(number),
                    line=0,
                    place=f"{file.path}, line {example.line}",
                )

    def rows(self) -> Iterator[Row]:
        """Streams the rows, with the columns of the first file."""
        for file in self.files:
            places = self._places(file)
            for row in file.rows():
                cells = [
                    "" if place is None else row.cells[place]
                    for place in places
                ]
                yield Row(row.line, cells)

    def notes(self) -> tuple[str, ...]:
        """Returns what was met in any of them."""
        missing = sum(
            (file.missing for file in self.files), collections.Counter()
        )
        headers = (file.header_notes() for file in self.files)
        return (*sum(headers, ()), *missing_notes(missing))

    def describe(self, count: int = 3) -> Description:
        """Returns what was detected about the first, and its first examples.

        Args:
            count: how many examples.
        """
        listed = ", ".join(file.path.name for file in self.files)
        found = self.files[0].describe(count)
        decision = Decision("files", listed, "given; the first is described")
        return found._replace(decisions=(decision, *found.decisions))

    def _places(self, file: LabelledFile) -> list[int | None]:
        """Returns where the first file's columns are in another file."""
        first = self.files[0]
        by_name = first.dialect.header and file.dialect.header
        width = len(file.dialect.columns)
        places = [
            same_name(name, file.dialect)
            if by_name
            else (index if index < width else None)
            for index, name in enumerate(first.dialect.columns)
        ]
        one, other = first.columns, file.columns
        pairs = [(one.text, other.text), (one.text_pair, other.text_pair)]
        pairs += zip(one.label, other.label, strict=False)
        for index, place in pairs:
            if index is not None:
                places[index] = place
        return places
