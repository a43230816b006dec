"""Which columns of a file are choices, context, question, label and id.

In a file with the columns `id,sent1,sent2,ending0,ending1,label` they are
found by their names; whether the label 1 is the first choice or the second,
by all labels of the file.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from bert_keras3.inputs import delimited, dialect_search
from bert_keras3.inputs.choice_names import (
    CONTEXT_NAMES,
    LABEL_RANKS,
    PAIRS,
    QUESTION_NAMES,
    choices_in,
)
from bert_keras3.inputs.choices import (
    LABEL_FORMS,
    ChoiceColumns,
    ChoiceFile,
    index_of,
    no_such_choice,
)
from bert_keras3.inputs.columns import NO_COLUMN, same_name
from bert_keras3.inputs.delimited import Decision, Dialect
from bert_keras3.inputs.examples import ID_NAMES, plain_name
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError

_NAMES_LISTED = 20


@dataclasses.dataclass(frozen=True)
class ChoiceFlags:
    """What the user has said about a file of choices.

    Attributes:
        file: how it is written; its text is the context, its second text the
            question.
        columns: of the choices, by name or by number from 1.
        form: how labels are spelled, one of `LABEL_FORMS`.
    """

    file: FileChoices = dataclasses.field(default_factory=FileChoices)
    columns: tuple[str, ...] = ()
    form: str | None = None


def open_choices(
    path: str | os.PathLike[str],
    flags: ChoiceFlags,
    *,
    want_label: bool,
    skip_labels: frozenset[str] = frozenset(),
) -> tuple[ChoiceFile, tuple[Decision, ...]]:
    """Opens a file of rows and detects what the flags leave open.

    Reads the whole file, so that a broken row is found at once.

    Args:
        path: of the file.
        flags: what is known.
        want_label: False for a file to predict.
        skip_labels: labels whose rows are left out.

    Returns:
        The file, and what was decided and how, for display.

    Raises:
        UserError: a column is unknown or not found, or it is not clear how
            labels are spelled; as for iterating over a `ChoiceFile`.
    """
    path = pathlib.Path(path)
    search = _search(path, flags, want_label)
    file = ChoiceFile(path, search.dialect, search.columns(), skip_labels)
    decisions = [*search.dialect.decisions, *search.decisions()]
    if not want_label:
        columns = dataclasses.replace(file.columns, form=flags.form or "0")
        return dataclasses.replace(file, columns=columns), tuple(decisions)
    form, how = flags.form, "as given"
    if form is None:
        form, how = _find_form(file)
    decisions.append(Decision("labels", LABEL_FORMS[form], how))
    columns = dataclasses.replace(file.columns, form=form)
    return dataclasses.replace(file, columns=columns), tuple(decisions)


def open_choices_like(
    path: str | os.PathLike[str],
    trained: ChoiceColumns,
    choices: FileChoices,
    *,
    want_label: bool,
    skip_labels: frozenset[str] = frozenset(),
) -> tuple[ChoiceFile, tuple[Decision, ...]]:
    """Opens another file with the columns of the training file.

    By name, if both have a header, else by number; a file to predict may
    lack the label.

    Args:
        path: of the file.
        trained: columns of the training file.
        choices: how this file is written, where it is known.
        want_label: False for a file to predict.
        skip_labels: labels whose rows are left out.

    Raises:
        UserError: a column is not there, or the numbers do not fit.
    """
    path = pathlib.Path(path)
    header = choices.header
    headers: tuple[bool | None, ...] = (
        (trained.header,) if header is None else (header,)
    )
    if header is None and trained.header:
        headers = (None, True)
    for one in headers:
        dialect = dialect_search.sniff_as_given(
            path, choices, one, trained.names
        )
        places = _same_columns(trained, dialect, want_label)
        if places is not None:
            break
    if places is None:
        needed = [
            trained.names[index]
            for index in (
                trained.context,
                trained.question,
                *trained.choices,
                trained.label if want_label else None,
            )
            if index is not None
        ]
        raise UserError(
            f"{path} needs the columns {', '.join(needed)} of the training "
            f"file, and has {', '.join(dialect.columns[:_NAMES_LISTED])}. "
            "Name them so in its header"
        )

    def new(index: int | None) -> int | None:
        return None if index is None else places[index]

    columns = ChoiceColumns(
        context=new(trained.context),
        question=new(trained.question),
        choices=tuple(
            place
            for index in trained.choices
            if (place := places[index]) is not None
        ),
        label=new(trained.label) if want_label else None,
        id=new(trained.id),
        names=dialect.columns,
        header=dialect.header,
        form=trained.form,
    )
    file = ChoiceFile(path, dialect, columns, skip_labels)
    return file, dialect.decisions


def _same_columns(
    trained: ChoiceColumns, dialect: Dialect, want_label: bool
) -> dict[int, int | None] | None:
    """Returns {column of the training file: column here}; None: no match."""
    width, number = len(dialect.columns), len(trained.names)
    if trained.header and dialect.header:
        places = {
            index: same_name(name, dialect)
            for index, name in enumerate(trained.names)
        }
    elif width == number:
        places = {index: index for index in range(number)}
    elif width == number - 1 and not want_label and trained.label is not None:
        kept = [index for index in range(number) if index != trained.label]
        places = dict.fromkeys(range(number))
        places.update({old: new for new, old in enumerate(kept)})
    else:
        return None
    needed = [trained.context, trained.question]
    if want_label:
        needed.append(trained.label)
    # A file may have fewer choices than the training file, two at least.
    choices = [index for index in trained.choices if places[index] is not None]
    if len(choices) < min(2, len(trained.choices)):
        return None
    if any(index is not None and places[index] is None for index in needed):
        return None
    return places


def _search(
    path: pathlib.Path, flags: ChoiceFlags, want_label: bool
) -> _Search:
    """Finds the columns, if need be by taking the first row for a header."""
    header = flags.file.header
    error = None
    paths = (*flags.file.named_columns, *flags.columns)
    for one in (None, True) if header is None else (header,):
        dialect = dialect_search.sniff_as_given(path, flags.file, one, paths)
        search = _Search(path, dialect, flags)
        try:
            search.run(want_label)
        except UserError as found:
            error = error or found
        else:
            return search
    assert error is not None
    raise error


class _Search:
    """One search for the columns of a file."""

    def __init__(
        self, path: pathlib.Path, dialect: Dialect, flags: ChoiceFlags
    ) -> None:
        self._path, self.dialect, self._flags = path, dialect, flags
        self._plain = [plain_name(name) for name in dialect.columns]
        self._found: dict[str, tuple[int, ...]] = {}
        self._how: dict[str, str] = {}

    def run(self, want_label: bool) -> None:
        """Finds every role.

        Raises:
            UserError: a column is unknown or missing.
        """
        file = self._flags.file
        given = {
            "context": ("text_column", file.text),
            "question": ("text_pair_column", file.text_pair),
            "label": ("label_column", file.label),
            "id": ("id_column", file.id),
        }
        if self._flags.columns:
            self._set(
                "choices",
                [
                    self._place("choice_columns", name)
                    for name in self._flags.columns
                ],
                "as given",
            )
        for role, (flag, name) in given.items():
            if name is not None:
                none = name.strip().lower() == NO_COLUMN
                places = [] if none else [self._place(flag, name)]
                self._set(role, places, "as given")
        if "choices" not in self._found:
            names = self.dialect.columns
            self._set("choices", choices_in(names, 2), "the names")
        if not self._found["choices"]:
            raise self._error(
                "no columns look like choices; name them with "
                "--choice_columns, such as --choice_columns=a,b,c"
            )
        if "label" not in self._found:
            for rank in LABEL_RANKS:
                self._find("label", rank)
        if "context" not in self._found and "question" not in self._found:
            for pair in PAIRS:
                if set(pair) <= set(self._plain):
                    self._find("context", pair[:1])
                    self._find("question", pair[1:])
        for role, names in (
            ("context", CONTEXT_NAMES),
            ("question", QUESTION_NAMES),
            ("id", (*ID_NAMES, "qid", "questionid", "ind")),
        ):
            self._find(role, names)
        self._check(want_label)

    def _check(self, want_label: bool) -> None:
        if not self._found.get("context") and not self._found.get("question"):
            raise self._error(
                "no column looks like a context or a question; name one with "
                "--text_column or --text_pair_column"
            )
        if want_label and not self._found.get("label"):
            raise self._error(
                "no column looks like a label; say which it is with "
                "--label_column"
            )
        if not want_label:
            self._set("label", (), "not needed")
        used = [index for places in self._found.values() for index in places]
        for index in used:
            if used.count(index) > 1:
                raise self._error(
                    f"column {self.dialect.columns[index]!r} is given twice"
                )

    def columns(self) -> ChoiceColumns:
        """The columns; `form` is still open."""

        def only(role: str) -> int | None:
            return next(iter(self._found.get(role, ())), None)

        return ChoiceColumns(
            only("context"),
            only("question"),
            self._found["choices"],
            only("label"),
            only("id"),
            self.dialect.columns,
            self.dialect.header,
        )

    def decisions(self) -> list[Decision]:
        """What was decided and how."""
        return [
            Decision(
                role if role == "choices" else f"{role} column",
                ", ".join(
                    self.dialect.columns[index]
                    for index in self._found.get(role, ())
                )
                or NO_COLUMN,
                self._how.get(role, "none was found"),
            )
            for role in ("context", "question", "choices", "label", "id")
        ]

    def _find(self, role: str, names: Sequence[str]) -> None:
        """Takes the first of some names that is there and free."""
        if role in self._found:
            return
        taken = {index for places in self._found.values() for index in places}
        for name in names:
            if self._plain.count(name) != 1:
                continue
            index = self._plain.index(name)
            if index in taken or (role == "id" and not self._unique(index)):
                continue
            self._set(role, [index], "the name")
            return

    def _unique(self, index: int) -> bool:
        rows = delimited.sample(self._path, self.dialect)
        return len({row.cells[index] for row in rows}) == len(rows)

    def _set(self, role: str, places: Sequence[int], how: str) -> None:
        self._found[role], self._how[role] = tuple(places), how

    def _place(self, flag: str, name: str) -> int:
        name = name.strip()
        index = same_name(name, self.dialect)
        if index is None and name.isdecimal():
            index = int(name) - 1
        if index is None or not 0 <= index < len(self._plain):
            raise self._error(
                f"--{flag}={name}: there is no such column, or more than one"
            )
        return index

    def _error(self, what: str) -> UserError:
        columns = self.dialect.columns
        more = ", …" if len(columns) > _NAMES_LISTED else ""
        return UserError(
            f"{self._path}: {what}. Its columns are "
            f"{', '.join(columns[:_NAMES_LISTED])}{more}"
        )


def _find_form(file: ChoiceFile) -> tuple[str, str]:
    """Finds how labels are spelled, from all of them.

    Returns:
        (one of `LABEL_FORMS`, how it was found).

    Raises:
        UserError: none suits every label, or several do.
    """
    assert file.columns.label is not None
    suited = dict.fromkeys(LABEL_FORMS, 0)
    misfits: dict[str, tuple[Any, ...]] = {}
    # Forms that both suit all labels, and do not mean the same choice.
    apart: set[tuple[str, str]] = set()
    number = 0
    for _, row, choices, places in file.choices():
        number += 1
        label = row.cells[file.columns.label].strip()
        found = {}
        for form in LABEL_FORMS:
            index = index_of(label, form, choices, places)
            if index is None:
                misfits.setdefault(form, (row.line, label, choices, places))
            else:
                suited[form] += 1
                found[form] = index
        if len(set(found.values())) > 1:
            apart.update(
                (one, other)
                for one in found
                for other in found
                if found[one] != found[other]
            )
    # Small letters before capitals, which take both.
    suiting = [
        form for form in ("0", "1", "a", "A", "text") if suited[form] == number
    ]
    if not suiting:
        nearest = max(LABEL_FORMS, key=lambda form: suited[form])
        line, *rest = misfits[nearest]
        label, choices, places = rest
        raise no_such_choice(
            f"{file.path}, line {line}", label, nearest, choices, places
        )
    for one, other in apart:
        if {one, other} <= set(suiting):
            raise UserError(
                f"{file.path}: its labels could be "
                f"{LABEL_FORMS[min(one, other)]} or "
                f"{LABEL_FORMS[max(one, other)]}; say which with "
                f"--choice_labels={min(one, other)} or "
                f"--choice_labels={max(one, other)}"
            )
    return suiting[0], f"it suits all {number} labels"
