"""How a file with a token a line is written: separator and columns.

`B-PER` and `O` are told from words, sentence numbers from tokens, and comments
from tokens that begin with "#".
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bert_keras3.inputs.delimited import (
    DELIMITERS,
    Decision,
    delimiter_name,
)
from bert_keras3.inputs.encodings import (
    excerpt,
)
from bert_keras3.inputs.tagged_text import (
    TaggedChoices,
)
from bert_keras3.safekeeping.errors import UserError

FORM = "columns"

BLANKS = "blanks"
"""The separator that is any number of spaces and tabs."""
_BLANKS = re.compile(r"[ \t]+")
_SEPARATORS = ("\t", " ", BLANKS, ",", ";", "|")
# A column is one of tags, or of numbers, if this share of its cells is.
_MOST = 0.98
# More different types than these are no types.
_MOST_TYPES = 500

_TAG = re.compile(r"O|[BIMELSUW][-_].+")
# Words in the header of a file with a token a line.
_HEADER_WORDS = frozenset(
    (
        *("word", "words", "token", "tokens", "text", "pos", "chunk"),
        *("tag", "tags", "ner", "label", "labels"),
    )
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which column of a line is what, counted from 0.

    Attributes:
        separator: a character, `BLANKS`, or "" for lines of one column.
        width: number of columns.
        token: the column of the tokens.
        tag: that of the tags; None: there are none.
        are_prefixed: whether every tag is O or a letter and a type.
        has_places: whether each token is a character and a digit, its place
            in its word, which is no part of the text.
        has_header: whether the first line names the columns.
        sentence: a column whose cell says which sentence the token is of,
            empty if it is that of the token before; None: there is none.
    """

    separator: str
    width: int
    token: int
    tag: int | None
    are_prefixed: bool = False
    has_places: bool = False
    has_header: bool = False
    sentence: int | None = None

    def cells(self, line: str) -> list[str]:
        """Cuts a line; "," in the first column of ",,O" is a token."""
        if not self.separator:
            return [line]
        if self.separator == BLANKS:
            return _BLANKS.split(line.strip(" \t"))
        cells = line.split(self.separator)
        if self.separator in "\t ":
            return cells
        quoted = _quoted(line, self.separator) if '"' in line else None
        if quoted is not None and len(quoted) == self.width:
            return quoted
        more = len(cells) - self.width
        if more > 0:
            at = self.token
            token = self.separator.join(cells[at : at + more + 1])
            cells[at : at + more + 1] = [token]
        return cells

    @property
    def glue(self) -> str:
        """What stands before one more column."""
        return " " if self.separator == BLANKS else self.separator or "\t"


def _quoted(line: str, separator: str) -> list[str] | None:
    """Cuts a line of CSV with quotes; None if they are not closed."""
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error:
        return None


def is_tag(cell: str) -> bool:
    """Whether a cell is O, or a letter and a type such as B-PER."""
    return _TAG.fullmatch(cell) is not None


def is_comment(cells: Sequence[str], columns: Layout) -> bool:
    """Whether a line that begins with "#" is a comment, and not a token.

    Args:
        cells: of the line.
        columns: of the file.
    """
    if columns.width == 1:
        return cells[0].startswith("# ")
    if len(cells) != columns.width:
        return True
    if columns.tag is None or not columns.are_prefixed:
        return False
    return _TAG.fullmatch(cells[columns.tag]) is None


def find_separator(lines: Sequence[str], given: str | None) -> tuple[str, int]:
    """Returns the separator and the number of columns."""
    tokens = [line for line in lines if line and not line.startswith("#")]
    tokens = tokens or [line for line in lines if line]
    if given is not None:
        given = DELIMITERS.get(given, given)
        if given != BLANKS and len(given) != 1:
            raise UserError(
                f"--delimiter={given}: give one character, or one of "
                f"{', '.join(DELIMITERS)} and {BLANKS}"
            )
        candidates: Sequence[str] = (given,)
    else:
        candidates = _SEPARATORS
    best = (0.0, "", 1)
    for separator in candidates:
        cut = Layout(separator, 0, 0, None).cells
        if separator in ",;|":
            # A token may be the separator itself.
            widths = collections.Counter(
                line.count(separator) + 1 for line in tokens
            )
        else:
            widths = collections.Counter(len(cut(line)) for line in tokens)
        width, number = widths.most_common(1)[0]
        share = number / len(tokens)
        if width > 1 and share > best[0] + 0.01:
            best = (share, separator, width)
    if given is None and best[0] < 0.5:
        return "", 1
    return best[1], best[2]


class Table:
    """The cells of a file's first lines, to detect its columns."""

    def __init__(
        self,
        path: pathlib.Path,
        lines: Sequence[str],
        separator: str,
        width: int,
    ) -> None:
        self._path, self._width = path, width
        layout = Layout(separator, width, 0, None)
        # What begins with "#" may be a comment; look at it only if all does.
        looks_at_all = all(line[:1] in ("", "#") for line in lines)
        self.rows: list[list[str]] = []
        # The place of each row in its sentence, from 0.
        self._places: list[int] = []
        place = 0
        for line in lines:
            if not line:
                place = 0
                continue
            cells = layout.cells(line)
            may_be_comment = line.startswith("#") and not looks_at_all
            if len(cells) != width or (width > 1 and may_be_comment):
                continue
            self.rows.append(cells)
            self._places.append(place)
            place += 1
        self.header: list[str] = []
        if _is_header(self.rows):
            self.header = self.rows.pop(0)
            self._places.pop(0)
        if not self.rows:
            raise UserError(
                f"{path}: no line has a token and a tag; is it a file with a "
                "token a line?"
            )

    @property
    def has_header(self) -> bool:
        """Whether the first line names the columns."""
        return bool(self.header)

    def sentence_column(self, token: int, tag: int | None) -> int | None:
        """Returns a column that the header says is of sentences, if any."""
        for number, name in enumerate(self.header):
            if name.lower().startswith("sent") and number not in (token, tag):
                return number
        return None

    def columns(
        self,
        choices: TaggedChoices,
        like: Mapping[str, Any] | None,
        want_tags: bool,
    ) -> tuple[int, int | None, list[Decision]]:
        """Returns the columns of tokens and tags, and how they were found."""
        trained = like if like and like.get("form") == FORM else None
        tag, how_tag = self._tag(choices.tag_column, trained, want_tags)
        token, how_token = self._token(choices.token_column, trained, tag)
        decisions = [Decision("tokens", f"column {token + 1}", how_token)]
        if tag is not None:
            decisions.append(Decision("tags", f"column {tag + 1}", how_tag))
        elif want_tags:
            first = ", ".join(map(excerpt, self.rows[0]))
            raise UserError(
                f"{self._path}: no column of tags is found; the first line "
                f"has {columns_in_words(self._width)}: {first}. "
                "Tags are O or such as B-PER; name their column with "
                "--tag_column, or set --delimiter."
            )
        return token, tag, decisions

    def are_tags(self, number: int | None) -> bool:
        """Whether nearly all cells of a column are O or such as B-PER."""
        return number is not None and self._share(number, _TAG) >= _MOST

    def _given(self, flag: str, number: int) -> int:
        if number > self._width:
            raise UserError(
                f"--{flag}={number}: lines of {self._path} have "
                f"{columns_in_words(self._width)}; give at most "
                "that, or set --delimiter"
            )
        return number - 1

    def _tag(
        self,
        given: int | None,
        trained: Mapping[str, Any] | None,
        want_tags: bool,
    ) -> tuple[int | None, str]:
        if given is not None and (want_tags or given <= self._width):
            return self._given("tag_column", given), "as given"
        if trained and trained["width"] == self._width:
            return trained["tag"], "as in the training file"
        found = [
            number
            for number in range(self._width if self._width > 1 else 0)
            if self.are_tags(number)
        ]
        if not found and want_tags and self._width > 1:
            found = [
                number
                for number in range(self._width)
                if self._are_plain_types(number)
            ][-1:]
        if not found:
            return None, ""
        last = found[-1]
        types = self._types(last)
        for number in found[:-1]:
            # Two layers, the outer one first.
            if types <= self._types(number):
                return number, "the first column with these types"
        return last, "its cells are O, or such as B-PER"

    def _token(
        self,
        given: int | None,
        trained: Mapping[str, Any] | None,
        tag: int | None,
    ) -> tuple[int, str]:
        if given is not None:
            return self._given("token_column", given), "as given"
        if trained and trained["width"] == self._width:
            return trained["token"], "as in the training file"
        others = [one for one in range(self._width) if one != tag]
        for number in others:
            if len(others) == 1 or not (
                self._are_numbers(number)
                or self._is_mostly_empty(number)
                or number == self.sentence_column(-1, tag)
            ):
                why = "the first" if number == 0 else "the first that is text"
                return number, why
        return others[0], "the first"

    def _share(self, number: int, pattern: re.Pattern[str]) -> float:
        fits = sum(
            pattern.fullmatch(cells[number]) is not None for cells in self.rows
        )
        return fits / len(self.rows)

    def _types(self, number: int) -> set[str]:
        return {cells[number][2:] for cells in self.rows} - {""}

    def _are_plain_types(self, number: int) -> bool:
        counts = collections.Counter(cells[number] for cells in self.rows)
        return "O" in counts and 1 < len(counts) <= _MOST_TYPES

    def _is_mostly_empty(self, number: int) -> bool:
        empty = sum(not cells[number] for cells in self.rows)
        return empty > len(self.rows) / 2

    def _are_numbers(self, number: int) -> bool:
        """Whether a column counts the tokens of each sentence."""
        return any(
            sum(
                cells[number] == str(place + first)
                for cells, place in zip(self.rows, self._places, strict=True)
            )
            >= _MOST * len(self.rows)
            for first in (0, 1)
        )


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has names of columns, and no tag."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    names = [cell.strip().lower() for cell in rows[0]]
    return sum(name in _HEADER_WORDS for name in names) > 1 and not any(
        map(_TAG.fullmatch, rows[0])
    )


def columns_in_words(number: int) -> str:
    """Returns "1 column" or "2 columns"."""
    return "1 column" if number == 1 else f"{number} columns"


def name_of(separator: str) -> str:
    """Returns a separator as messages call it."""
    if separator == " ":
        return "space"
    return delimiter_name(separator)
