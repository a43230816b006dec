"""Finds which column of a file is the text, which the label, which the id.

By the names listed in `examples`; where names do not decide, contents do.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence

from bert_keras3.inputs import examples
from bert_keras3.inputs.column_profiles import ColumnProfile
from bert_keras3.inputs.columns import (
    NO_COLUMN,
    Columns,
    columns_of,
    same_name,
)
from bert_keras3.inputs.delimited import Dialect, Row
from bert_keras3.inputs.extra_columns import KINDS, without_kind
from bert_keras3.inputs.settings import AUTO, FileChoices
from bert_keras3.safekeeping.errors import UserError

# A column is taken for the text if its cells are this much longer than those
# of any other.
_CLEARLY_LONGER = 1.5
# How names of columns end that hold texts.
_LAST_WORDS = frozenset((word,) for word in examples.TEXT_NAMES[0])


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
            ColumnProfile.of(
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
            name, _ = without_kind(value)
            if name != AUTO:
                self._add_feature(name)

    def _add_feature(self, name: str) -> None:
        index = self._locate(name)
        if index is None:
            raise self._error(
                f"--feature_columns: there is no column {name!r}, or more "
                "than one; behind a name may stand one of "
                f"{', '.join(f':{kind}' for kind in KINDS)}"
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
                f"no column{self._but_features} looks like a text; say which "
                "it is with --text_column"
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
        rules: tuple[tuple[Callable[[ColumnProfile], bool], str], ...] = (
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
        remedy = "say which it is with --label_column"
        if len(self._dialect.columns) == 1:
            remedy = (
                "there is one column, and the label must be in another, with a "
                "tab or a comma between (--delimiter names another character)"
            )
        raise self._error(
            f"no column{self._but_features} looks like a label; {remedy}"
        )

    @property
    def _but_features(self) -> str:
        return " beside --feature_columns" * bool(self.found["features"])

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
