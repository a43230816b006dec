"""Examples with several choices, one of which is right, read from files.

The row of a CSV file

    context,question,A,B,C,label
    It rains.,What is wet?,the sun,the street,,B

and the question of a nested JSON file (C3, DREAM)

    [[["It rains."], [{"question": "What is wet?",
        "choice": ["the sun", "the street"], "answer": "the street"}], "1"]]

are the same example with two choices. This file reads rows, whose columns are
found by `choice_columns`; `choice_documents` reads nested JSON. The files of
benchmarks are listed in `choice_benchmarks`.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from bert_keras3.inputs import delimited
from bert_keras3.inputs.delimited import Dialect, Row, as_cell
from bert_keras3.inputs.encodings import excerpt
from bert_keras3.safekeeping.errors import UserError

LABEL_FORMS: Mapping[str, str] = {
    "0": "numbers from 0",
    "1": "numbers from 1",
    "A": "letters from A",
    "a": "letters from a",
    "text": "texts of choices",
}
"""How a file says which choice is right; the values are for display."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclasses.dataclass(frozen=True, slots=True)
class ChoiceExample:
    """One example.

    Attributes:
        guid: the id in the file, or the number of the example, from 1.
        context: what the question is about; None if the file has none.
        question: what each choice answers or continues, if there is more
            than the context.
        choices: their texts, two at least.
        places: the number of each choice among those of the file, from 0;
            smaller numbers may be missing, for cells that are empty.
        form: how the file spells labels, one of `LABEL_FORMS`.
        names: the label of each choice, if the file lists them.
        answer: index of the right choice; None in a file without labels.
        label: the label as the file spells it.
        line: the line of the file where it starts; 0 in nested JSON.
        path: the file.
        place: where in the file, for messages.
    """

    guid: str
    context: str | None
    question: str | None
    choices: tuple[str, ...]
    places: tuple[int, ...]
    form: str
    names: tuple[str, ...] = ()
    answer: int | None = None
    label: str | None = None
    line: int = 0
    path: str = ""
    place: str = ""

    @property
    def where(self) -> str:
        """File and place, as a message begins."""
        return f"{self.path}, {self.place}"

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts that should be there: a question may be missing."""
        given = [] if self.context is None else [self.context]
        if self.question is not None and self.question.strip():
            given.append(self.question)
        return (*given, *self.choices)

    def spelled(self, index: int) -> str:
        """Returns the label that names a choice, as the file would."""
        if self.names:
            return self.names[index]
        if self.form == "text":
            return self.choices[index]
        place = self.places[index]
        if self.form.isdecimal():
            return str(place + int(self.form))
        letter = _LETTERS[place]
        return letter if self.form == "A" else letter.lower()

    def place_of(self, label: str) -> int:
        """Returns the place of the first choice of a label."""
        spelled = map(self.spelled, range(len(self.choices)))
        return self.places[[*spelled].index(label)]


def index_of(
    label: str, form: str, choices: Sequence[str], places: Sequence[int]
) -> int | None:
    """Returns the index of the choice that a label names; None: it does not.

    Of equal choices, a text names the first.

    Args:
        label: without spaces around it.
        form: one of `LABEL_FORMS`; `A` takes small letters, too.
        choices: texts of the choices.
        places: see `ChoiceExample`.
    """
    if form == "text":
        return choices.index(label) if label in choices else None
    if form.isdecimal():
        if not (label.isascii() and label.isdecimal()):
            return None
        place = int(label) - int(form)
    else:
        place = _LETTERS.find(label.upper())
        if len(label) != 1 or (form == "a" and label.isupper()):
            return None
    return places.index(place) if place in places else None


class Ids:
    """Remembers the ids of a file, so that none occurs twice."""

    def __init__(self) -> None:
        """Knows no id yet."""
        # Hashes, which are shorter than ids.
        self._seen: set[int] = set()

    def add(self, where: str, guid: str, remedy: str) -> None:
        """Adds an id.

        Raises:
            UserError: it occurred before.
        """
        key = hash(guid)
        if key in self._seen:
            raise UserError(
                f"{where}: the id {guid!r} occurred before, so predictions "
                f"could not be told apart. {remedy}"
            )
        self._seen.add(key)


@dataclasses.dataclass(frozen=True)
class ChoiceColumns:
    """The columns of a file of rows that are used, as indices from 0.

    Attributes:
        context: column of the context, if there is one.
        question: column of the question, if there is one.
        choices: columns of the choices; a single one has lists, as JSON.
        label: column of the label; None if it is not read.
        id: column of the id, if there is one.
        names: names of all columns of the file.
        header: whether the file has a header.
        form: how labels are spelled, one of `LABEL_FORMS`.
    """

    context: int | None
    question: int | None
    choices: tuple[int, ...]
    label: int | None
    id: int | None
    names: tuple[str, ...]
    header: bool
    form: str = "0"


@dataclasses.dataclass(frozen=True)
class ChoiceFile:
    """A file of rows bound to its dialect and columns.

    Each iteration streams the file anew.

    Attributes:
        path: the file.
        dialect: how its bytes become rows.
        columns: which cell is what; without a label column, answers are None.
        skip_labels: rows with such a label are left out.
    """

    path: pathlib.Path
    dialect: Dialect
    columns: ChoiceColumns
    skip_labels: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[ChoiceExample]:
        """Streams the examples.

        Raises:
            UserError: fewer than two choices, neither context nor question,
                a label that names no choice, an id that occurred before, or
                as for `delimited.rows`.
        """
        columns, ids = self.columns, Ids()
        for number, row, choices, places in self.choices():
            where = f"line {row.line}"
            guid = str(number)
            if columns.id is not None:
                guid = row.cells[columns.id]
                ids.add(
                    f"{self.path}, {where}",
                    guid,
                    "Correct it, or give --id_column=none",
                )
            label, answer = None, None
            if columns.label is not None:
                label = row.cells[columns.label].strip()
                answer = index_of(label, columns.form, choices, places)
                if answer is None:
                    raise no_such_choice(
                        f"{self.path}, {where}",
                        label,
                        columns.form,
                        choices,
                        places,
                    )
            context = self._cell(row, columns.context)
            question = self._cell(row, columns.question)
            if not (context or "").strip() and not (question or "").strip():
                raise UserError(
                    f"{self.path}, {where}: there is no text beside the "
                    "choices; fill in "
                    f"{self._names(columns.context, columns.question)}, or "
                    "delete the row"
                )
            yield ChoiceExample(
                guid,
                context,
                question,
                choices,
                places,
                columns.form,
                answer=answer,
                label=label,
                line=row.line,
                path=str(self.path),
                place=where,
            )

    def rows(self) -> Iterator[Row]:
        """Streams the rows of the examples, as they are in the file."""
        return (row for _, row, _, _ in self.choices())

    def choices(
        self,
    ) -> Iterator[tuple[int, Row, tuple[str, ...], tuple[int, ...]]]:
        """Streams (number from 1, row, texts of the choices, their places).

        Raises:
            UserError: fewer than two choices, a list that is no JSON.
        """
        columns = self.columns
        for number, row in enumerate(
            delimited.rows(self.path, self.dialect), 1
        ):
            if (
                columns.label is not None
                and row.cells[columns.label].strip() in self.skip_labels
            ):
                continue
            texts = [row.cells[index] for index in columns.choices]
            if len(texts) == 1:
                texts = self._listed(row, texts[0])
            found = [
                (text, place)
                for place, cell in enumerate(texts)
                if (text := cell.strip())
            ]
            if len(found) < 2:
                raise UserError(
                    f"{self.path}, line {row.line}: there "
                    f"{'is 1 choice' if found else 'are no choices'} in "
                    f"{self._names(*columns.choices)}, where two are needed "
                    "at least; fill in more, or delete the row"
                )
            choices, places = zip(*found, strict=True)
            yield number, row, choices, places

    def _listed(self, row: Row, cell: str) -> list[str]:
        """Returns the choices of a cell that has them as a JSON list."""
        try:
            value = json.loads(cell)
        except json.JSONDecodeError:
            value = None
        if not isinstance(value, list) or any(
            isinstance(text, (list, dict)) for text in value
        ):
            raise UserError(
                f"{self.path}, line {row.line}: "
                f"{self._names(*self.columns.choices)} must hold a list of "
                f'texts, such as ["yes", "no"], and has {excerpt(cell)}. Name '
                "the columns of the choices with --choice_columns, if each "
                "has a column."
            )
        return list(map(as_cell, value))

    def _names(self, *indices: int | None) -> str:
        """Returns the names of columns, for a message."""
        names = [
            repr(self.columns.names[index])
            for index in indices
            if index is not None
        ]
        return f"column{'s' * (len(names) > 1)} {' and '.join(names)}"

    @staticmethod
    def _cell(row: Row, column: int | None) -> str | None:
        return None if column is None else row.cells[column]


def no_such_choice(
    where: str,
    label: str,
    form: str,
    choices: Sequence[str],
    places: Sequence[int],
    names: Sequence[str] = (),
) -> UserError:
    """Returns the error for a label that names no choice of its row."""
    if not label:
        return UserError(
            f"{where}: the label is empty; fill it in or delete the row"
        )
    example = ChoiceExample("", None, None, tuple(choices), tuple(places), form)
    names = names or [example.spelled(n) for n in range(len(choices))]
    return UserError(
        f"{where}: the label {label!r} is none of its {len(choices)} choices, "
        f"which are {', '.join(map(excerpt, names))}; correct it, or say with "
        "--choice_labels how labels are spelled"
    )
