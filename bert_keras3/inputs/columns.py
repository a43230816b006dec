"""Which column of a file is the text, which the label, which the id.

In a file with the columns `id,review,stars` the text is `review` and the label
is `stars`, by the names listed in `examples`; where names do not decide,
contents do. A dev or test file has the columns of the training file.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bert_keras3.inputs import examples
from bert_keras3.inputs.delimited import Decision, Dialect, Row
from bert_keras3.inputs.extra_columns import KINDS
from bert_keras3.inputs.settings import AUTO, FileChoices
from bert_keras3.safekeeping.errors import UserError

NO_COLUMN = "none"
"""The flag's value for a file without such a column."""

# A column is taken for the text if its cells are this much longer than those
# of any other.
_CLEARLY_LONGER = 1.5
# How names of columns end that hold texts.
_LAST_WORDS = frozenset((word,) for word in examples.TEXT_NAMES[0])
# Cells of JSON that hold objects, not texts or labels.
_OBJECTS = re.compile(r"\{|\[\s*\{")
_YES_AND_NO = ({"0", "1"}, {"0.0", "1.0"}, {"true", "false"}, {"yes", "no"})
# A column with more values than this, or with fewer rows for each value, is no
# label unless its name says so.
_MOST_LABELS = 150
_FEWEST_ROWS_A_LABEL = 2


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


def find_columns(
    dialect: Dialect,
    sample_rows: Sequence[Row],
    *,
    path: str | os.PathLike[str],
    choices: FileChoices,
    want_label: bool = True,
) -> Columns:
    """Finds the columns by their names, and failing that by their contents.

    A pair of texts is found by names alone, and only if no text is given.

    Args:
        dialect: dialect of the file.
        sample_rows: rows of the file, from `delimited.sample`.
        path: path of the file, for messages.
        choices: the columns that the user named.
        want_label: whether a file without a label column is an error.

    Returns:
        The columns.

    Raises:
        UserError: an unknown column; no text or label column, or two that
            are equally likely. The message names the flag that settles it.
    """
    search = _Search(path, dialect, sample_rows)
    label = choices.label
    search.set_given("text", choices.text)
    search.set_given("text_pair", choices.text_pair)
    search.set_given("label", label)
    search.set_given("id", choices.id)
    search.set_features(choices.features)
    if choices.text is None and choices.text_pair is None:
        search.find_pair()
    if label is None:
        search.find_label_by_name(tie_is_error=want_label)
    if choices.id is None:
        search.find_id()
    if not search.found["text"]:
        search.find_text()
    if label is None and want_label and not search.found["label"]:
        search.find_label_by_content()
    if label is None and not want_label:
        # Searched only so that it is not taken for the text.
        search.leave_out("label")
    if AUTO in choices.features:
        search.take_the_rest()
    return search.columns()


def named_features(
    features: Sequence[str], names: Sequence[str]
) -> dict[str, str | None]:
    """Returns {name of a column: its kind, if given} of --feature_columns.

    Args:
        features: as they are given, by name or number; `AUTO` is left out.
        names: of all columns of the file.
    """
    folded = [name.casefold() for name in names]
    found: dict[str, str | None] = {}
    for value in features:
        name, kind = _without_kind(value)
        if name.casefold() in folded:
            name = names[folded.index(name.casefold())]
        elif name.isdecimal() and 1 <= int(name) <= len(names):
            name = names[int(name) - 1]
        if name != AUTO:
            found[name] = kind
    return found


def column_names(features: Sequence[str]) -> dict[str, str | None]:
    """Returns {name: kind, if given} of columns that are given by name."""
    return dict(map(_without_kind, features))


def _without_kind(value: str) -> tuple[str, str | None]:
    """Splits `price:number` into a column and a kind, if there is one."""
    name, _, kind = value.strip().rpartition(":")
    return (name, kind) if name and kind in KINDS else (value.strip(), None)


@dataclasses.dataclass(frozen=True)
class _Profile:
    """What the cells of one column of the sample are like."""

    mean_length: float
    values: frozenset[str]
    count: int
    numeric: bool
    has_dates: bool
    has_objects: bool
    has_empty: bool
    shown: str

    @classmethod
    def of(cls, cells: Sequence[str], *, is_json: bool) -> _Profile:
        stripped = [cell.strip() for cell in cells]
        filled = [cell for cell in stripped if cell]
        shown = filled[0] if filled else ""
        return cls(
            mean_length=sum(map(len, filled)) / max(1, len(filled)),
            values=frozenset(filled),
            count=len(cells),
            numeric=all(map(examples.is_number, filled)),
            has_dates=bool(filled) and all(map(examples.is_date, filled)),
            has_objects=is_json
            and bool(filled)
            and all(map(_OBJECTS.match, filled)),
            has_empty=len(filled) < len(cells),
            shown=shown if len(shown) <= 30 else shown[:29] + "…",
        )

    @property
    def unique(self) -> bool:
        return not self.has_empty and len(self.values) == self.count

    @property
    def could_be_classes(self) -> bool:
        """Few values, each of which comes again."""
        return (
            not self.has_empty
            and 2 <= len(self.values) <= _MOST_LABELS
            and len(self.values) * _FEWEST_ROWS_A_LABEL <= self.count
        )

    @property
    def counts_classes(self) -> bool:
        """0, 1, 2… or 1, 2, 3… without a gap."""
        if not self.could_be_classes or not all(
            value.isdecimal() for value in self.values
        ):
            return False
        numbers = sorted(map(int, self.values))
        return numbers[0] in (0, 1) and len(numbers) == (
            numbers[-1] - numbers[0] + 1
        )

    @property
    def says_yes_or_no(self) -> bool:
        """Only 0 and 1, or words for them; one of them may be missing."""
        values = {value.casefold() for value in self.values}
        return (
            bool(values)
            and not self.has_empty
            and any(values <= words for words in _YES_AND_NO)
        )

    @property
    def could_be_scores(self) -> bool:
        """Numbers that are not merely a count of the rows."""
        return (
            self.numeric
            and not self.has_empty
            and len(self.values) > 1
            and not (
                self.unique and all(value.isdecimal() for value in self.values)
            )
        )


class _Search:
    """One search for the columns of one file, role after role."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        dialect: Dialect,
        sample_rows: Sequence[Row],
    ) -> None:
        self._path = path
        self._dialect = dialect
        self._plain = [examples.plain_name(name) for name in dialect.columns]
        self._words = [examples.name_words(name) for name in dialect.columns]
        self._profiles = [
            _Profile.of(
                [row.cells[index] for row in sample_rows],
                is_json=dialect.form == "json",
            )
            for index in range(len(dialect.columns))
        ]
        roles = ("text", "text_pair", "label", "id", "features")
        self.found: dict[str, tuple[int, ...]] = dict.fromkeys(roles, ())
        self._how: dict[str, str] = {}

    def columns(self) -> Columns:
        return columns_of(self.found, self._how, self._dialect)

    def leave_out(self, role: str) -> None:
        self.found[role] = ()
        self._how[role] = "not needed"

    def set_given(self, role: str, value: str | None) -> None:
        if value is None:
            return
        self._how[role] = "as given"
        if value.strip().lower() == NO_COLUMN and role != "text":
            return
        # A name may hold a comma.
        several = role == "label" and self._locate(value) is None
        for part in value.split(",") if several else [value]:
            index = self._locate(part)
            if index is None:
                raise self._error(
                    f"--{role}_column={value}: there is no column "
                    f"{part.strip()!r}, or more than one"
                )
            if index in self._taken():
                raise self._error(
                    f"--{role}_column={value}: column {part.strip()!r} is "
                    "given twice"
                )
            if self._profiles[index].has_objects:
                raise self._error(
                    f"--{role}_column={value}: column {part.strip()!r} holds "
                    "objects; name a value in them by its path"
                    f"{self._path_in(index)}"
                )
            self.found[role] += (index,)

    def set_features(self, values: Sequence[str]) -> None:
        for value in values:
            name, _ = _without_kind(value)
            if name != AUTO:
                self._add_feature(name)

    def _add_feature(self, name: str) -> None:
        index = self._locate(name)
        if index is None:
            raise self._error(
                f"--feature_columns: there is no column {name!r}, or more "
                "than one"
            )
        if index in self._taken() or self._profiles[index].has_objects:
            raise self._error(
                f"--feature_columns: column {name!r} is given twice, or holds "
                "objects"
            )
        self._set("features", (*self.found["features"], index), "as given")

    def take_the_rest(self) -> None:
        """Adds all other columns; what they hold is looked at later."""
        taken = (*self.found["features"], *self._free())
        self._set("features", sorted(taken), "the columns that are left")

    def find_pair(self) -> None:
        for names in examples.PAIR_NAMES:
            places = [
                self._plain.index(name)
                for name in names
                if self._plain.count(name) == 1
            ]
            if len(places) == 2 and not set(places) & self._taken():
                self._set("text", places[:1], "the names of a pair")
                self._set("text_pair", places[1:], "the names of a pair")
                return

    def find_label_by_name(self, tie_is_error: bool) -> None:
        for rank in self._ranks(examples.LABEL_NAMES, self._free()):
            if len(rank) > 1 and tie_is_error:
                raise self._tie("label", rank)
            if rank:
                self._set("label", rank, "the name")
                return

    def find_id(self) -> None:
        free = self._free()
        exact = [i for i in free if self._plain[i] in examples.ID_NAMES]
        ending = [i for i in free if self._words[i][-1:] == ("id",)]
        # Two ids name two things; neither need name the row.
        for rank in (exact, ending):
            if len(rank) == 1 and self._profiles[rank[0]].unique:
                self._set("id", rank, "the name; no value comes twice")
                return

    def find_text(self) -> None:
        texts = [
            index
            for index in self._free()
            if not self._profiles[index].numeric
            and not self._profiles[index].has_dates
        ]
        if not texts:
            raise self._error(
                "no column looks like a text; say which it is with "
                "--text_column"
            )
        first, second, *rest = self._ranks(examples.TEXT_NAMES, texts)
        # Of "Title" and the longer "Review Text", the second is the text.
        worded = [
            index
            for index in texts
            if self._words[index][-1:] in _LAST_WORDS
            and "." not in self._dialect.columns[index]
        ]
        longest = self._longest([*second, *worded])
        if not first and len(longest) == 1 and longest[0] in worded:
            self._set("text", longest, "a word of the name, and the length")
            return
        for rank in (first, second, *rest, texts):
            longest = self._longest(rank)
            if len(longest) > 1:
                raise self._tie("text", longest)
            if longest:
                how = "the longest texts" if rank is texts else "the name"
                self._set("text", longest, how)
                return

    def find_label_by_content(self) -> None:
        rules: tuple[tuple[Callable[[_Profile], bool], str], ...] = (
            (lambda column: column.counts_classes, "numbers of classes"),
            (lambda column: column.could_be_classes, "few values that recur"),
            (lambda column: column.could_be_scores, "numbers"),
        )
        free = [
            index
            for index in self._free()
            if self._plain[index] not in examples.OTHER_NAMES
            and not self._profiles[index].has_dates
        ]
        for fits, how in rules:
            places = [i for i in free if fits(self._profiles[i])]
            if len(places) > 1:
                raise self._tie("label", places)
            if places:
                self._set("label", places, how)
                return
        raise self._error(
            "no column looks like a label; say which it is with --label_column"
        )

    def _set(self, role: str, indices: Sequence[int], how: str) -> None:
        self.found[role] = tuple(indices)
        self._how.setdefault(role, how)

    def _taken(self) -> set[int]:
        return set(itertools.chain.from_iterable(self.found.values()))

    def _free(self) -> list[int]:
        taken = self._taken()
        return [
            index
            for index, profile in enumerate(self._profiles)
            if index not in taken and not profile.has_objects
        ]

    def _path_in(self, index: int) -> str:
        """Returns an example of a path, for a message."""
        start = f"{self._dialect.columns[index]}."
        paths = [
            name for name in self._dialect.columns if name.startswith(start)
        ]
        return f", such as {', '.join(paths[:3])}" if paths else ""

    def _locate(self, value: str) -> int | None:
        value = value.strip()
        by_name = same_name(value, self._dialect)
        if by_name is None and value.isdecimal():
            number = int(value)
            return number - 1 if 1 <= number <= len(self._plain) else None
        return by_name

    def _ranks(
        self, names: tuple[tuple[str, ...], ...], free: list[int]
    ) -> list[list[int]]:
        """The columns by rank of name; last, those with such a word in it."""
        ranks = [[i for i in free if self._plain[i] in rank] for rank in names]
        words = set(itertools.chain.from_iterable(names[:2]))
        with_word = [
            i
            for i in free
            if words & set(self._words[i]) and self._words[i][-1] != "id"
        ]
        return [*ranks, with_word]

    def _longest(self, indices: list[int]) -> list[int]:
        """The column of the longest texts, with those about as long."""
        lengths = {i: self._profiles[i].mean_length for i in indices}
        most = max(lengths.values(), default=0)
        return [i for i in indices if _CLEARLY_LONGER * lengths[i] > most]

    def _tie(self, role: str, indices: Sequence[int]) -> UserError:
        names = " and ".join(repr(self._dialect.columns[i]) for i in indices)
        more = ""
        if role == "text":
            more = ", and the second text of pairs with --text_pair_column"
        elif len(flags := self._several(indices)) > 1:
            more = (
                "; if rows can have several of them, give "
                f"--label_column={','.join(flags)}"
            )
        return self._error(
            f"{names} could each be the {role}; say which it is with "
            f"--{role}_column{more}"
        )

    def _several(self, indices: Sequence[int]) -> list[str]:
        """Columns of 0 and 1 as --label_column names them, if a tie is such.

        A rare label may be 0 in all rows that were looked at.
        """
        yes_or_no = [
            index
            for index in self._free()
            if self._profiles[index].says_yes_or_no
        ]
        if not set(indices) & set(yes_or_no):
            return []
        names = self._dialect.columns
        return [
            str(index + 1)
            if "," in names[index] or self._locate(names[index]) != index
            else names[index]
            for index in yes_or_no
        ]

    def _error(self, what: str) -> UserError:
        shown = "; ".join(
            f"{number} {name!r} (such as {profile.shown!r})"
            for number, (name, profile) in enumerate(
                zip(self._dialect.columns, self._profiles, strict=True), 1
            )
        )
        return UserError(f"{self._path}: {what}. Its columns are {shown}.")
