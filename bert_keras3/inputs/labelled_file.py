"""A file of labelled texts as an iterable of examples.

file = LabelledFile.open("train.csv")  # detects dialect and columns
next(iter(file))  # InputExample(guid="1", text_a="Fine.", label="yes", …)
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from bert_keras3.inputs import delimited, dialect_search
from bert_keras3.inputs.column_search import find_columns
from bert_keras3.inputs.columns import (
    Columns,
    matching_columns,
    same_name,
)
from bert_keras3.inputs.delimited import Decision, Dialect, Row
from bert_keras3.inputs.examples import (
    MISSING_TEXTS,
    InputExample,
    is_text_name,
    label_of,
    plain_number,
)
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError

# Lines that a note names.
_MOST_LINES = 5

Label: TypeAlias = str | tuple[str, ...] | None


class Description(NamedTuple):
    """What was detected about a file, and its first examples."""

    decisions: tuple[Decision, ...]
    first: tuple[InputExample, ...]


@dataclasses.dataclass(frozen=True)
class LabelledFile:
    """A file bound to its dialect and columns: an iterable of examples.

    Each iteration streams the file anew. The `guid` of an example is its id
    cell, or the number of its data row, counted from 1, where there is no id.

    Attributes:
        path: the file.
        dialect: how its bytes become rows.
        columns: which cell is what; with no label column, labels are None.
        skip_labels: rows with such a label are left out (OCNLI and SNLI mark
            with `-` the pairs on which their annotators did not agree).
        classes: names that the labels may be numbers of, from 0: with
            ("sport", "trade"), the label 1 is "trade".
        again: the lines that repeated the header when the file was read last;
            they are left out.
        missing: how often each of `MISSING_TEXTS` stood for a text when the
            file was read last; such texts are empty.
    """

    path: pathlib.Path
    dialect: Dialect
    columns: Columns
    skip_labels: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()
    again: list[int] = dataclasses.field(default_factory=list, compare=False)
    missing: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter, compare=False
    )

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        choices: FileChoices | None = None,
        *,
        want_label: bool = True,
        skip_labels: frozenset[str] = frozenset(),
    ) -> LabelledFile:
        """Opens a file and detects everything that `choices` leaves open.

        Reads the whole file, so that a broken row is found at once.

        Args:
            path: the file.
            choices: what the user has given.
            want_label: False for a file to predict; its labels are then read
                only if `choices` name their column.
            skip_labels: labels whose rows are left out.

        Returns:
            The file, ready to be iterated over.

        Raises:
            UserError: as for `dialect_search.sniff`, `delimited.rows` and
                `find_columns`.
        """
        path = pathlib.Path(path)
        choices = choices or FileChoices()
        dialect = _sniff(path, choices, choices.header, choices.named_columns)
        columns = find_columns(
            dialect,
            delimited.sample(path, dialect),
            path=path,
            choices=choices,
            want_label=want_label,
        )
        return cls(path, dialect, columns, skip_labels)

    @classmethod
    def open_like(
        cls,
        path: str | os.PathLike[str],
        trained: Columns,
        choices: FileChoices | None = None,
        *,
        want_label: bool = True,
        skip_labels: frozenset[str] = frozenset(),
    ) -> LabelledFile:
        """Opens a dev or test file with the columns of the training file.

        Args:
            path: the file.
            trained: the columns of the file that the model was trained on.
            choices: how this file is written, where the user has given it;
                its columns are those of the training file, and not used.
            want_label: False for a file to predict.
            skip_labels: labels whose rows are left out.

        Returns:
            The file, ready to be iterated over.

        Raises:
            UserError: as for `dialect_search.sniff`, `delimited.rows` and
                `matching_columns`.
        """
        path = pathlib.Path(path)
        choices = choices or FileChoices()
        header = choices.header
        if header is None and not trained.header:
            header = False
        dialect = _sniff(path, choices, header, trained.names)
        if choices.header is None and trained.header and not dialect.header:
            with_header = _sniff(path, choices, True, trained.names)
            if same_name(trained.names[trained.text], with_header) is not None:
                dialect = with_header
        columns = matching_columns(
            trained, dialect, path=path, want_label=want_label
        )
        return cls(path, dialect, columns, skip_labels)

    def __iter__(self) -> Iterator[InputExample]:
        """Streams the examples.

        Yields:
            The examples, in the order of the file.

        Raises:
            UserError: an empty label cell, or as for `delimited.rows`.
        """
        self.missing.clear()
        columns = self.columns
        text, pair, id_ = columns.text, columns.text_pair, columns.id
        extra = columns.features
        for number, row, label in self._kept():
            yield InputExample(
                guid=str(number) if id_ is None else row.cells[id_],
                text_a=self._text(row, text),
                text_b=None if pair is None else self._text(row, pair),
                label=self._named(label),
                line=row.line,
                columns=tuple(row.cells[index] for index in extra),
            )

    def notes(self) -> tuple[str, ...]:
        """Returns lines on a header that is no row, and on missing texts."""
        return (*self.header_notes(), *missing_notes(self.missing))

    def header_notes(self) -> tuple[str, ...]:
        """Returns a line on a header that comes again, or of one column."""
        dialect = self.dialect
        if self.again:
            places = ", ".join(map(str, self.again[:_MOST_LINES]))
            more = " …" if len(self.again) > _MOST_LINES else ""
            note = (
                f"note: {self.path}: {len(self.again)} times the header comes "
                f"again (line {places}{more}) and is left out"
            )
            return (note,)
        if len(dialect.columns) > 1 or not dialect.header or _is_json(dialect):
            return ()
        note = (
            f"note: {dialect.columns[0]!r}, the first line of {self.path}, is "
            "taken for its header (--header=false if it is a text)"
        )
        return (note,)

    def with_classes(self, classes: tuple[str, ...]) -> LabelledFile:
        """Returns the same file, whose labels may be numbers of classes."""
        return dataclasses.replace(self, classes=classes)

    def with_features(self, names: Sequence[str]) -> LabelledFile:
        """Returns the same file with these of its extra columns, in order."""
        known = self.columns.names
        places = {known[index]: index for index in self.columns.features}
        features = tuple(places[name] for name in names)
        columns = dataclasses.replace(self.columns, features=features)
        return dataclasses.replace(self, columns=columns)

    def rows(self) -> Iterator[Row]:
        """Streams the rows of the examples, as they are in the file."""
        return (row for _, row, _ in self._kept())

    def describe(self, count: int = 3) -> Description:
        """Returns what was detected, and the first examples.

        Args:
            count: how many examples.

        Returns:
            The description.

        Raises:
            UserError: as for iterating.
        """
        return Description(
            self.dialect.decisions + self.columns.decisions,
            tuple(itertools.islice(self, count)),
        )

    def _kept(self) -> Iterator[tuple[int, Row, Label]]:
        """Streams (number of the row, from 1, the row, its label)."""
        self.again.clear()
        rows = delimited.rows(
            self.path,
            self.dialect,
            header_again=lambda row: self.again.append(row.line),
        )
        for number, row in enumerate(rows, 1):
            label = self._label(row)
            if label not in self.skip_labels:
                yield number, row, label

    def _text(self, row: Row, column: int) -> str:
        cell = row.cells[column]
        text = cell.strip()
        if text in MISSING_TEXTS:
            self.missing[text] += 1
            return ""
        return cell

    def _named(self, label: Label) -> Label:
        if not isinstance(label, str) or label in self.classes:
            return label
        value = plain_number(label) if self.classes else None
        if value is None or value not in range(len(self.classes)):
            return label
        return self.classes[int(value)]

    def _label(self, row: Row) -> Label:
        indices = self.columns.label
        if not indices:
            return None
        cells = tuple(label_of(row.cells[index]) for index in indices)
        if "" in cells:
            name = self.columns.names[indices[cells.index("")]]
            raise UserError(
                f"{self.path}, line {row.line}: the label (column {name!r}) "
                "is empty; fill it in or delete the row."
            )
        return cells if len(cells) > 1 else cells[0]


def missing_notes(missing: collections.Counter[str]) -> tuple[str, ...]:
    """Returns a line on `LabelledFile.missing`, if there is anything in it."""
    if not missing:
        return ()
    found = ", ".join(
        f"{text} ({number})" for text, number in missing.most_common()
    )
    note = (
        f"note: {found} in place of a text means that it is missing, and is "
        "read as an empty one"
    )
    return (note,)


def _check_has_rows(path: pathlib.Path, encoding: str) -> None:
    """Checks that a file of one JSON object has not all rows inside it.

    Raises:
        UserError: it has a list or an object for each column, as pandas
            writes tables, or a list of the rows.
    """
    records = delimited.json_records(path, encoding)
    first, *others = (one for _, one in itertools.islice(records, 2))
    if others:
        return
    values = [*first.values()]
    is_table = len(values) > 1 and (
        all(isinstance(one, list) for one in values)
        or (
            all(isinstance(one, dict) for one in values)
            and len(set(map(frozenset, values))) == 1
        )
    )
    has_rows = not any(map(is_text_name, first)) and any(
        isinstance(one, list)
        and len(one) > 1
        and isinstance(one[0], (list, dict))
        for one in values
    )
    if is_table or has_rows:
        raise UserError(
            f"{path} is one object, of {', '.join(first)}, with all rows in "
            'it; write an object for each row, one a line or in a list: [{"'
            'text": "…", "label": "…"}, …] (pandas: to_json(orient="records"))'
        )


def _sniff(
    path: pathlib.Path,
    choices: FileChoices,
    header: bool | None,
    paths: Sequence[str],
) -> Dialect:
    dialect = dialect_search.sniff_as_given(path, choices, header, paths)
    if _is_json(dialect):
        _check_has_rows(path, dialect.encoding)
    if (
        header is None
        and dialect.header
        and not _is_json(dialect)
        and len(dialect.columns) == 1
        and not is_text_name(dialect.columns[0])
    ):
        # A short text before longer ones looks like a header. Every line of a
        # file to predict needs an answer.
        return dialect_search.sniff_as_given(path, choices, False, paths)
    return dialect


def _is_json(dialect: Dialect) -> bool:
    return dialect.form == "json"
