"""CSV files of spans, and rows of joined tokens and tags.

id,text,start,end,label        a row for each span; a text without any has
1,Smith sang in Berlin,0,5,PER one row with empty cells
1,Smith sang in Berlin,14,20,LOC

text_a<tab>label               a row for each text; tokens and tags are
Smith sang<tab>B-PER O         joined by a space or another separator
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs import delimited, dialect_search
from bert_keras3.inputs.delimited import Decision, Dialect, Row
from bert_keras3.inputs.encodings import excerpt
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

SPANS_FORM = "spans"
JOINED_FORM = "joined"

_TEXT = tuple(itertools.chain.from_iterable(TEXT_NAMES))
_LABEL = (
    *itertools.chain.from_iterable(LABEL_NAMES),
    *("type", "entitytype", "tag", "tags", "nertags", "predicted"),
)
# Names of columns, spelt as `plain_name` leaves them.
_START = ("start", "startoffset", "begin", "startidx", "startchar", "开始")
_END = ("end", "endoffset", "stop", "endidx", "endchar", "结束")
_SURFACE = ("entity", "mention", "span", "surface", "word", "entitytext")

_TAG = re.compile(r"O|[BIMELSUW][-_].+")
SEPARATORS = ("\x02", " ", "|", "\x01", "\x03")
"""What tokens and tags of a cell may be joined by."""
_LOOKED_AT = 200
_MOST = 0.98


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
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
        text = _column(names, _TEXT)
        if text is None:
            return None
        return cls(
            text,
            _column(names, ID_NAMES),
            _column(names, _START),
            _column(names, _END),
            _column(names, _LABEL),
            _column(names, _SURFACE),
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
        if like and like.get("form") == SPANS_FORM:
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
        return {"form": SPANS_FORM, "inclusive": self.inclusive}

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

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes the rows of some texts to a CSV file; see `TaggedFile`."""
        wanted = set(chosen.tolist())
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.dialect.columns)
            for number, rows in enumerate(self._groups()):
                if number in wanted:
                    writer.writerows(row.cells for row in rows)

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


@dataclasses.dataclass(frozen=True)
class JoinedRows:
    """A file whose cells are joined tokens and tags.

    Attributes:
        path: the file.
        dialect: how its bytes become rows.
        tokens: the column of tokens, from 0.
        tags: that of tags; None: there is none, or it is not read.
        separator: between tokens, and between tags.
        decisions: what was detected.
    """

    path: pathlib.Path
    dialect: Dialect
    tokens: int
    tags: int | None
    separator: str
    decisions: tuple[Decision, ...] = ()

    is_text = False

    @classmethod
    def find(
        cls,
        path: pathlib.Path,
        dialect: Dialect,
        like: Mapping[str, Any] | None = None,
        *,
        want_tags: bool = True,
    ) -> JoinedRows | None:
        """Opens a file if it is of this form; else returns None.

        Args:
            path: the file.
            dialect: of the file.
            like: `layout` of the training file.
            want_tags: False for a file to predict.
        """
        rows = [
            row.cells
            for row in itertools.islice(
                delimited.rows(path, dialect), _LOOKED_AT
            )
        ]
        width = len(dialect.columns)
        trained = like if like and like.get("form") == JOINED_FORM else None
        for tags, tokens, separator in itertools.product(
            range(width), range(width), SEPARATORS
        ):
            if tags == tokens or not _are_joined(rows, tokens, tags, separator):
                continue
            decisions = (
                Decision("form", "a row for each text", "joined tags"),
                *dialect.decisions,
                Decision("tokens", dialect.columns[tokens], "as many as tags"),
                Decision("tags", dialect.columns[tags], "O, or such as B-PER"),
                Decision("joined by", repr(separator), "the tags"),
            )
            column = tags if want_tags else None
            return cls(path, dialect, tokens, column, separator, decisions)
        if trained is None or want_tags:
            return None
        tokens = trained["tokens"] if width > trained["tokens"] else 0
        return cls(path, dialect, tokens, None, trained["separator"])

    @property
    def has_labels(self) -> bool:
        """Whether tags are read."""
        return self.tags is not None

    @property
    def layout(self) -> Mapping[str, Any]:
        """The columns, as JSON values."""
        return {
            "form": JOINED_FORM,
            "tokens": self.tokens,
            "separator": self.separator,
        }

    def __iter__(self) -> Iterator[TaggedText]:
        """Streams the texts.

        Raises:
            UserError: a row has another number of tags than tokens.
        """
        rows = delimited.rows(self.path, self.dialect)
        for number, row in enumerate(rows, 1):
            cell = row.cells[self.tokens]
            tokens = tuple(cell.split(self.separator)) if cell else ()
            tags = None
            if self.tags is not None:
                cell = row.cells[self.tags]
                tags = tuple(cell.split(self.separator)) if cell else ()
                if len(tags) != len(tokens):
                    raise UserError(
                        f"{self.path}, line {row.line}: {len(tokens)} tokens "
                        f"and {len(tags)} tags, joined by "
                        f"{self.separator!r}; each token needs one tag"
                    )
            lines = [row.line] * len(tokens)
            yield TaggedText(str(number), row.line, tokens, tags, lines)

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some rows to a CSV file; see `TaggedFile`."""
        wanted = set(chosen.tolist())
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            if self.dialect.header:
                writer.writerow(self.dialect.columns)
            for number, row in enumerate(
                delimited.rows(self.path, self.dialect)
            ):
                if number in wanted:
                    writer.writerow(row.cells)

    def write_found(
        self,
        found: Iterable[Sequence[str] | Sequence[Found]],
        folder: pathlib.Path,
    ) -> pathlib.Path:
        """Writes every row again, with a column `predicted` of joined tags."""
        path = folder / f"{PREDICTIONS}{ENDINGS[2]}"
        with atomic_write(path, newline="") as file:
            writer = csv.writer(file)
            if self.dialect.header:
                writer.writerow([*self.dialect.columns, "predicted"])
            rows = delimited.rows(self.path, self.dialect)
            for row, tags in zip(rows, found, strict=True):
                joined = self.separator.join(map(str, tags))
                writer.writerow([*row.cells, joined])
        return path


def _are_joined(
    rows: Sequence[Sequence[str]], tokens: int, tags: int, separator: str
) -> bool:
    """Whether a column has a tag for each token of another."""
    cut = [
        (row[tokens].split(separator), row[tags].split(separator))
        for row in rows
    ]
    # One tag a row would be a label for each text.
    if not any(len(two) > 1 for _, two in cut):
        return False
    fits = sum(
        len(one) == len(two) and all(map(_TAG.fullmatch, two))
        for one, two in cut
    )
    return fits >= _MOST * len(rows)


def may_be_header(line: str) -> bool:
    """Whether a line names a column of texts, or has joined cells.

    A token a line seldom has the names of both, text and label.
    """
    names = re.split(r"[,;|\t]", line.replace('"', ""))
    if len(names) > 1 and _column(names, _TEXT) is not None:
        return _column(names, (*_LABEL, *_START)) is not None
    return any(one in line for one in SEPARATORS if one < " ")


def open_rows(
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
    was_spans = like is not None and like.get("form") == SPANS_FORM
    if columns is None or not (
        columns.has_spans or (was_spans and not want_labels)
    ):
        return None
    return SpanRows.open(path, dialect, choices, like, want_labels=want_labels)
