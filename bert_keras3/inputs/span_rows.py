"""CSV files of spans.

id,text,start,end,label        a row for each span; a text without any has
1,Smith sang in Berlin,0,5,PER one row with empty cells
1,Smith sang in Berlin,14,20,LOC
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.inputs import delimited
from bert_keras3.inputs.delimited import (
    Decision,
    Dialect,
    Row,
    csv_line,
)
from bert_keras3.inputs.encodings import (
    excerpt,
)
from bert_keras3.inputs.examples import (
    ID_NAMES,
    LABEL_NAMES,
    TEXT_NAMES,
    plain_name,
)
from bert_keras3.inputs.span_ends import EndVotes
from bert_keras3.inputs.tagged_text import (
    ENDINGS,
    PREDICTIONS,
    Found,
    Span,
    TaggedChoices,
    TaggedText,
    checked_span,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

FORM = "spans"

TEXT = tuple(itertools.chain.from_iterable(TEXT_NAMES))
LABEL = (
    *itertools.chain.from_iterable(LABEL_NAMES),
    *("type", "entitytype", "tag", "tags", "nertags", "predicted"),
)
# Names of columns, spelt as `plain_name` leaves them.
START = ("start", "startoffset", "begin", "startidx", "startchar", "开始")
_END = ("end", "endoffset", "stop", "endidx", "endchar", "结束")
_SURFACE = ("entity", "mention", "span", "surface", "word", "entitytext")


def column_named(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Returns the number of the first column with one of the names."""
    plain = [plain_name(name) for name in names]
    return next((plain.index(one) for one in wanted if one in plain), None)


@dataclasses.dataclass(frozen=True)
class SpanColumns:
    """Which column is what, from 0; None: there is none."""

    text: int
    id: int | None
    start: int | None
    end: int | None
    type: int | None
    surface: int | None
    inclusive: bool = False

    @classmethod
    def of(cls, names: Sequence[str]) -> SpanColumns | None:
        """Finds columns by their names; None without one of texts."""
        text = column_named(names, TEXT)
        if text is None:
            return None
        return cls(
            text,
            column_named(names, ID_NAMES),
            column_named(names, START),
            column_named(names, _END),
            column_named(names, LABEL),
            column_named(names, _SURFACE),
        )

    @property
    def has_spans(self) -> bool:
        """Whether there are spans."""
        return None not in (self.start, self.end, self.type)


@dataclasses.dataclass(frozen=True)
class SpanRows:
    """A CSV file of spans, bound to its columns.

    Attributes:
        path: the file.
        dialect: how its bytes become rows.
        columns: which column is what.
        has_labels: whether spans are read.
        inclusive: whether ends that are written are inclusive.
        decisions: what was detected.
    """

    path: pathlib.Path
    dialect: Dialect
    columns: SpanColumns
    has_labels: bool
    inclusive: bool
    decisions: tuple[Decision, ...] = ()

    is_text = True

    @classmethod
    def open(
        cls,
        path: pathlib.Path,
        dialect: Dialect,
        choices: TaggedChoices,
        like: Mapping[str, Any] | None = None,
        *,
        want_labels: bool = True,
    ) -> SpanRows:
        """Opens a file and detects its columns and the ends of spans.

        Args:
            path: the file.
            dialect: of the file, with a header.
            choices: what the user has given.
            like: `layout` of the training file.
            want_labels: False for a file to predict.

        Raises:
            UserError: a column is missing.
        """
        columns = SpanColumns.of(dialect.columns)
        if columns is None or (want_labels and not columns.has_spans):
            raise UserError(
                f"{path}: a CSV file of spans needs the columns text, start, "
                "end and label, and may have id and entity; it has "
                f"{', '.join(dialect.columns)}. Rename its columns."
            )
        decisions = [
            Decision("form", "a row for each span", "the names of its columns"),
            *dialect.decisions,
            Decision("text", dialect.columns[columns.text], "its name"),
        ]
        trained = None
        if like and like.get("form") == FORM:
            trained = bool(like["inclusive"])
        inclusive = bool(trained)
        file = cls(path, dialect, columns, want_labels, inclusive)
        if want_labels:
            inclusive, why = file._ends(choices.span_end, trained)
            columns = dataclasses.replace(columns, inclusive=inclusive)
            name = "inclusive" if inclusive else "exclusive"
            decisions.append(Decision("ends of spans", name, why))
        return cls(
            path, dialect, columns, want_labels, inclusive, tuple(decisions)
        )

    @property
    def layout(self) -> Mapping[str, Any]:
        """The form, as JSON values."""
        return {"form": FORM, "inclusive": self.inclusive}

    def __iter__(self) -> Iterator[TaggedText]:
        """Streams the texts, each with the spans of all its rows.

        Raises:
            UserError: a span is not in its text or incomplete, an id occurs
                twice.
        """
        for number, rows in enumerate(self._groups(), 1):
            first = rows[0]
            text = first.cells[self.columns.text]
            guid = str(number)
            if self.columns.id is not None:
                guid = first.cells[self.columns.id]
            spans = None
            if self.has_labels:
                spans = tuple(
                    span
                    for row in rows
                    if (span := self._span(row, text)) is not None
                )
            yield TaggedText(guid, first.line, text=text, spans=spans)

    @property
    def heading(self) -> str:
        """The names of the columns; see `TaggedFile`."""
        return csv_line(self.dialect.columns)

    def raw_texts(self) -> Iterator[str]:
        """Yields the rows of each text; see `TaggedFile`."""
        for rows in self._groups():
            yield "".join(csv_line(row.cells) for row in rows)

    def write_found(
        self,
        found: Iterable[Sequence[str] | Sequence[Found]],
        folder: pathlib.Path,
    ) -> pathlib.Path:
        """Writes a row for each entity, with the columns of the file.

        Columns that it lacks, and `score`, come last.
        """
        path = folder / f"{PREDICTIONS}{ENDINGS[2]}"
        columns, names = self.columns, [*self.dialect.columns]
        places = []
        for number, name in (
            (columns.start, "start"),
            (columns.end, "end"),
            (columns.type, "label"),
            (columns.surface, "entity"),
            (None, "score"),
        ):
            if number is None:
                number = len(names)
                names.append(name)
            places.append(number)
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            for rows, entities in zip(self._groups(), found, strict=True):
                text = rows[0].cells[columns.text]
                cells = [*rows[0].cells, *[""] * len(names)][: len(names)]
                for place in places:
                    cells[place] = ""
                written = False
                for one in entities:
                    assert isinstance(one, Found)
                    start, end, kind, score = one
                    values = (
                        start,
                        end - self.inclusive,
                        kind,
                        text[start:end],
                        f"{score:.6f}",
                    )
                    for place, value in zip(places, values, strict=True):
                        cells[place] = str(value)
                    writer.writerow(cells)
                    written = True
                if not written:
                    writer.writerow(cells)
        return path

    def _groups(self) -> Iterator[list[Row]]:
        """Yields the rows of each text."""
        columns, path = self.columns, self.path
        seen: dict[str, int] = {}
        group: list[Row] = []
        for row in delimited.rows(path, self.dialect):
            text = row.cells[columns.text]
            if columns.id is None:
                if group and group[0].cells[columns.text] == text:
                    group.append(row)
                    continue
            else:
                guid = row.cells[columns.id]
                if group and group[0].cells[columns.id] == guid:
                    if text not in ("", group[0].cells[columns.text]):
                        raise UserError(
                            f"{path}, line {row.line}: the id {excerpt(guid)} "
                            f"has another text than in line {group[0].line}. "
                            "Give each text an id of its own."
                        )
                    group.append(row)
                    continue
                if guid in seen:
                    raise UserError(
                        f"{path}, line {row.line}: the id {excerpt(guid)} is "
                        f"that of line {seen[guid]}, too, with others between. "
                        "Put the rows of a text together, or give each text "
                        "an id of its own."
                    )
                seen[guid] = row.line
            if group:
                yield group
            group = [row]
        if group:
            yield group

    def _places(self, row: Row) -> tuple[int, int, str, str | None] | None:
        """Returns (start, end, type, text or None); None for empty cells."""
        columns = self.columns
        assert columns.start is not None
        assert columns.end is not None
        assert columns.type is not None
        cells = [
            row.cells[number].strip()
            for number in (columns.start, columns.end, columns.type)
        ]
        if not any(cells):
            return None
        where = f"{self.path}, line {row.line}"
        if not all(cells):
            raise UserError(
                f"{where}: the span {excerpt(','.join(cells))} is incomplete; "
                "fill in start, end and label, or leave all three empty for a "
                "text without an entity"
            )
        try:
            start, end = int(cells[0]), int(cells[1])
        except ValueError:
            raise UserError(
                f"{where}: start {excerpt(cells[0])} and end "
                f"{excerpt(cells[1])} must be whole numbers, which count "
                "characters from 0"
            ) from None
        surface = None
        if columns.surface is not None:
            surface = row.cells[columns.surface] or None
        return start, end, cells[2], surface

    def _span(self, row: Row, text: str) -> Span | None:
        found = self._places(row)
        if found is None:
            return None
        start, end, kind, surface = found
        end += self.columns.inclusive
        where = f"{self.path}, line {row.line}"
        return checked_span(where, text, start, end, kind, surface)

    def _ends(
        self, given: str | None, trained: bool | None
    ) -> tuple[bool, str]:
        if given is not None:
            return given == "inclusive", "as given"
        votes = EndVotes()
        for rows in self._groups():
            text = rows[0].cells[self.columns.text]
            for row in rows:
                found = self._places(row)
                if found is not None:
                    start, end, _, surface = found
                    votes.add(text, start, end, surface)
        return votes.decide(trained)
