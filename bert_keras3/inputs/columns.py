"""Which columns of a file are used, and where they are in another file.

In a file with the columns `id,review,stars` the text is `review` and the label
is `stars`; `column_search` finds that out. A dev or test file has the columns
of the training file.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from bert_keras3.inputs import examples
from bert_keras3.inputs.delimited import Decision, Dialect
from bert_keras3.safekeeping.errors import UserError

NO_COLUMN = "none"
"""The flag's value for a file without such a column."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of a file that are used, as indices from 0.

    Attributes:
        text: column of the text, or of the first text of a pair.
        text_pair: column of the second text, if there is one.
        label: columns of the labels; several for multi-label data.
        id: column of the identifier, if there is one.
        features: extra columns.
        names: names of all columns of the file.
        header: whether the file has a header.
        decisions: what was decided and how, for display.
    """

    text: int
    text_pair: int | None
    label: tuple[int, ...]
    id: int | None
    names: tuple[str, ...]
    header: bool
    features: tuple[int, ...] = ()
    decisions: tuple[Decision, ...] = dataclasses.field(
        default=(), compare=False
    )

    def to_dict(self) -> dict[str, Any]:
        """The columns as values that JSON has, without the decisions."""
        values = dataclasses.asdict(self)
        del values["decisions"]
        return values

    def are_said(self, role: str, value: str) -> bool:
        """Whether a flag's value names the same columns for a role.

        Args:
            role: "text", "text_pair", "label" or "id".
            value: as in `settings.FileChoices`.
        """
        found = getattr(self, role)
        indices = found if role == "label" else _as_tuple(found)
        if value.strip().lower() == NO_COLUMN:
            return not indices
        whole = self._place(value)
        parts = value.split(",") if whole is None else [value]
        return tuple(map(self._place, parts)) == indices

    def _place(self, value: str) -> int | None:
        value = value.strip()
        for index, name in enumerate(self.names):
            if name.casefold() == value.casefold():
                return index
        return int(value) - 1 if value.isdecimal() else None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Columns:
        """The columns that `to_dict` wrote."""
        lists = {
            name: tuple(values.get(name, ()))
            for name in ("label", "names", "features")
        }
        return cls(**{**values, **lists})


def matching_columns(
    trained: Columns,
    dialect: Dialect,
    *,
    path: str | os.PathLike[str],
    want_label: bool = True,
) -> Columns:
    """Finds the columns of a training file again in another file.

    By name, if both have a header. By number otherwise: if there are as many
    columns, or, for a file to predict, as many as without the labels. The
    only column of a file to predict is the text, however it is called.

    Args:
        trained: the columns of the training file.
        dialect: dialect of the other file.
        path: path of the other file, for messages.
        want_label: False to leave out the label columns, present or not.

    Returns:
        The columns of the other file.

    Raises:
        UserError: a column is not there, or the numbers do not fit.
    """
    places: dict[int, int | None]
    if _is_only_text(trained, dialect, want_label):
        places = dict.fromkeys(range(len(trained.names)))
        places[trained.text] = 0
        how = "the only column"
    elif trained.header and dialect.header:
        places = {
            index: same_name(name, dialect)
            for index, name in enumerate(trained.names)
        }
        how = "the name in the training file"
    else:
        places = _same_places(trained, dialect, path, want_label)
        how = "the place in the training file"
    needed = [trained.text]
    if trained.text_pair is not None:
        needed.append(trained.text_pair)
    needed.extend(trained.features)
    if want_label:
        needed.extend(trained.label)
    for index in needed:
        if places[index] is None:
            raise UserError(
                f"{path} has no column {trained.names[index]!r}, which the "
                f"training file had; its columns are "
                f"{', '.join(dialect.columns)}. Name it so in its header."
            )
    roles = {
        "text": (trained.text,),
        "text_pair": _as_tuple(trained.text_pair),
        "label": trained.label if want_label else (),
        "id": _as_tuple(trained.id),
        "features": trained.features,
    }
    found = {
        role: tuple(
            place for index in old if (place := places[index]) is not None
        )
        for role, old in roles.items()
    }
    return columns_of(found, dict.fromkeys(found, how), dialect)


def _is_only_text(trained: Columns, dialect: Dialect, want_label: bool) -> bool:
    """Whether a file has the text of each example and nothing else."""
    return (
        not want_label
        and len(dialect.columns) == 1
        and trained.text_pair is None
        and not trained.features
        and (not dialect.header or examples.is_text_name(dialect.columns[0]))
    )


def _same_places(
    trained: Columns,
    dialect: Dialect,
    path: str | os.PathLike[str],
    want_label: bool,
) -> dict[int, int | None]:
    """Returns {column of the training file: column of another} by number."""
    kept = [
        index
        for index in range(len(trained.names))
        if want_label or index not in trained.label
    ]
    width = len(dialect.columns)
    if width == len(trained.names):
        kept = list(range(width))
    if width != len(kept):
        raise UserError(
            f"{path} has {width} columns ({', '.join(dialect.columns)}) "
            f"where the training file had {len(trained.names)} "
            f"({', '.join(trained.names)}), and no names to tell which is "
            "which; put the training file's names into its first row."
        )
    places: dict[int, int | None] = dict.fromkeys(range(len(trained.names)))
    places.update({old: new for new, old in enumerate(kept)})
    return places


def _as_tuple(index: int | None) -> tuple[int, ...]:
    return () if index is None else (index,)


def same_name(name: str, dialect: Dialect) -> int | None:
    """Returns a column's index by its name, letter by letter or any case."""
    for spell in (str, str.casefold):
        spelt = [spell(column) for column in dialect.columns]
        if spelt.count(spell(name)) == 1:
            return spelt.index(spell(name))
    return None


def columns_of(
    found: Mapping[str, tuple[int, ...]],
    how: Mapping[str, str],
    dialect: Dialect,
) -> Columns:
    """Returns the columns, given by role, with how each was decided.

    Args:
        found: indices by role: "text", "text_pair", "label", "id",
            "features".
        how: the reason, by role.
        dialect: dialect of the file.
    """
    names = dialect.columns
    decisions = tuple(
        Decision(
            f"{role} column".replace("_", " "),
            ", ".join(names[index] for index in indices) or NO_COLUMN,
            how.get(role, "none was found"),
        )
        for role, indices in found.items()
        if indices or role != "features"
    )
    text_pair, id_ = found["text_pair"], found["id"]
    return Columns(
        text=found["text"][0],
        text_pair=text_pair[0] if text_pair else None,
        label=found["label"],
        id=id_[0] if id_ else None,
        names=names,
        header=dialect.header,
        features=found["features"],
        decisions=decisions,
    )
