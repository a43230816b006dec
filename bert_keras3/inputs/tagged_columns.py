"""Files with a token a line: columns of tokens and tags, as of CoNLL.

    -DOCSTART- -X- O

    Steve NNP B-PER
    sang  VBD O

A blank line ends a sentence, or another value in a column of sentence numbers
does. The separator, a header, the column of the tokens and that of the tags are
detected; lines of comments begin with "#".
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from bert_keras3.inputs.delimited import DELIMITERS, Decision, delimiter_name
from bert_keras3.inputs.encodings import (
    decoded_lines,
    excerpt,
    find_encoding,
    first_fault,
    undecodable,
)
from bert_keras3.inputs.tagged_text import (
    ENDINGS,
    PREDICTIONS,
    Found,
    TaggedChoices,
    TaggedText,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

FORM = "columns"
DOCUMENT_START = "-DOCSTART-"

BLANKS = "blanks"
"""The separator that is any number of spaces and tabs."""
_BLANKS = re.compile(r"[ \t]+")
_SEPARATORS = ("\t", " ", BLANKS, ",", ";", "|")
# Lines from which the columns are detected.
_SAMPLE = 50_000
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
_WITH_PLACE = re.compile(r"[^\x00-\x7f]\d|.\d", re.DOTALL)


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


class _Line(NamedTuple):
    """One line of a sentence; `cells` is None for a comment or a document."""

    number: int
    text: str
    cells: list[str] | None


@dataclasses.dataclass(frozen=True)
class ColumnFile:
    """A file of columns, bound to its layout.

    Attributes:
        path: the file.
        encoding: a Python codec.
        columns: which column is what.
        has_labels: whether there are tags, and they are read.
        decisions: what was detected.
    """

    path: pathlib.Path
    encoding: str
    columns: Layout
    has_labels: bool
    decisions: tuple[Decision, ...] = ()

    is_text = False

    @classmethod
    def open(
        cls,
        path: pathlib.Path,
        choices: TaggedChoices,
        like: Mapping[str, Any] | None = None,
        *,
        want_tags: bool = True,
    ) -> ColumnFile:
        """Opens a file and detects what `choices` leave open.

        Args:
            path: a file that is there and not empty.
            choices: what the user has given.
            like: `layout` of the training file; its columns are taken if the
                file has as many.
            want_tags: False for a file to predict.

        Raises:
            UserError: undecodable bytes; columns are missing.
        """
        encoding, how = find_encoding(path, choices.encoding)
        lines = _sample(path, encoding)
        if not lines:
            raise UserError(f"{path}: has only blank lines; it holds no text")
        separator, width = _separator(lines, choices.delimiter)
        table = _Table(path, lines, separator, width)
        decisions = [
            Decision("form", "a token a line", "its first line"),
            Decision("encoding", encoding, how),
            Decision(
                "delimiter",
                _name(separator),
                "as given"
                if choices.delimiter
                else f"lines have {_columns(width)}",
            ),
        ]
        token, tag, found = table.columns(choices, like, want_tags)
        columns = Layout(
            separator,
            width,
            token,
            tag,
            table.are_tags(tag),
            has_header=table.has_header,
            sentence=table.sentence_column(token, tag),
        )
        decisions += found
        if table.has_header:
            decisions.append(Decision("header", "yes", "its words"))
        tokens = [cells[token] for cells in table.rows]
        places = sum(_WITH_PLACE.fullmatch(one) is not None for one in tokens)
        beyond = sum(not one[:1].isascii() for one in tokens)
        if places >= _MOST * len(tokens) and beyond > len(tokens) / 2:
            columns = dataclasses.replace(columns, has_places=True)
            decisions.append(
                Decision(
                    "tokens",
                    "characters without the digit",
                    "each is a character and its place in its word",
                )
            )
        reads_tags = want_tags and tag is not None
        return cls(path, encoding, columns, reads_tags, tuple(decisions))

    @property
    def layout(self) -> Mapping[str, Any]:
        """The columns, as JSON values."""
        return {
            "form": FORM,
            "delimiter": self.columns.separator or "\t",
            "width": self.columns.width,
            "token": self.columns.token,
            "tag": self.columns.tag,
        }

    def __iter__(self) -> Iterator[TaggedText]:
        """Streams the sentences.

        Raises:
            UserError: a line has too few or too many columns, or no token.
        """
        tag, number = self.columns.tag if self.has_labels else None, 0
        for sentence in self._sentences():
            rows = [one for one in sentence if one.cells is not None]
            if not rows:
                continue
            number += 1
            cells = [one.cells or [] for one in rows]
            yield TaggedText(
                str(number),
                rows[0].number,
                tuple(self._token(one) for one in cells),
                None if tag is None else tuple(one[tag] for one in cells),
                [one.number for one in rows],
            )

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some sentences to a file; see `TaggedFile`."""
        wanted = set(chosen.tolist())
        number = 0
        with atomic_write(path) as file:
            for sentence in self._sentences():
                if not any(one.cells for one in sentence):
                    continue
                if number in wanted:
                    file.writelines(f"{one.text}\n" for one in sentence)
                    file.write("\n")
                number += 1

    def write_found(
        self,
        found: Iterable[Sequence[str] | Sequence[Found]],
        folder: pathlib.Path,
    ) -> pathlib.Path:
        """Writes every line again, with the found tag as its last column.

        Blank lines and comments stay as they are. A document's line gets an O
        where it has as many columns as the others.
        """
        path = folder / f"{PREDICTIONS}{ENDINGS[0]}"
        tags = iter(found)
        with atomic_write(path) as file:
            pending: list[_Line] = []
            for one in self._lines():
                if one is None or one.text.strip():
                    if one is not None:
                        pending.append(one)
                        continue
                    self._write(file, pending, tags)
                else:
                    self._write(file, pending, tags)
                    file.write(f"{one.text}\n")
                pending = []
        return path

    def _write(
        self,
        file: IO[str],
        sentence: Sequence[_Line],
        tags: Iterator[Sequence[str] | Sequence[Found]],
    ) -> None:
        """Writes the lines of a sentence with its tags."""
        has_tokens = any(one.cells is not None for one in sentence)
        new = iter(next(tags) if has_tokens else ())
        glue = self.columns.glue
        for one in sentence:
            if one.cells is not None:
                file.write(f"{one.text}{glue}{next(new)}\n")
            elif self._has_all_columns(one.text):
                is_document = one.text.startswith(DOCUMENT_START)
                new_cell = "O" if is_document else "predicted"
                file.write(f"{one.text}{glue}{new_cell}\n")
            else:
                file.write(f"{one.text}\n")
        if next(new, None) is not None:
            raise ValueError(f"{self.path}: more tags than tokens")

    def _has_all_columns(self, text: str) -> bool:
        """Whether a line without a token gets a cell more: no comment does."""
        return (
            text.startswith(DOCUMENT_START) or not text.startswith("#")
        ) and len(self.columns.cells(text)) == self.columns.width

    def _token(self, cells: Sequence[str]) -> str:
        token = cells[self.columns.token]
        if self.columns.has_places and len(token) > 1:
            return token[:-1]
        return token

    def _sentences(self) -> Iterator[list[_Line]]:
        """Yields the lines between blank ones, comments among them."""
        sentence: list[_Line] = []
        for one in self._lines():
            if one is not None and one.text.strip():
                sentence.append(one)
            elif sentence:
                yield sentence
                sentence = []

    def _lines(self) -> Iterator[_Line | None]:
        """Yields each line, and None at the end of a sentence without one.

        That is around a document's line or a header, at the end of the file,
        and where a column says that another sentence begins.
        """
        header, column = self.columns.has_header, self.columns.sentence
        sentence = ""
        try:
            for number, line in enumerate(
                decoded_lines(self.path, self.encoding), 1
            ):
                text = line.rstrip("\r\n")
                if not text.strip():
                    yield _Line(number, text, None)
                elif header or text.startswith(DOCUMENT_START):
                    header = False
                    yield None
                    yield _Line(number, text, None)
                    yield None
                else:
                    cells = self._cells(number, text)
                    if column is not None and cells and cells[column]:
                        if cells[column] != sentence:
                            yield None
                        sentence = cells[column]
                    yield _Line(number, text, cells)
        except UnicodeDecodeError as error:
            fault = first_fault(self.path, self.encoding)
            if fault is None:
                raise
            raise undecodable(self.path, self.encoding, fault) from error
        yield None

    def _cells(self, number: int, text: str) -> list[str] | None:
        """Cuts a line of a token; None for a comment.

        Raises:
            UserError: it has another number of columns, or no token.
        """
        columns = self.columns
        cells = columns.cells(text)
        if text.startswith("#") and is_comment(cells, columns):
            return None
        if len(cells) != columns.width:
            raise UserError(
                f"{self.path}, line {number}: {_columns(len(cells))} where "
                f"{columns.width} are expected, in {excerpt(text)}. Each line "
                "has a token and its tag, and a blank line ends a sentence; "
                f"correct it, or set --delimiter (taken: "
                f"{_name(columns.separator)})."
            )
        if not cells[columns.token]:
            raise UserError(
                f"{self.path}, line {number}: there is no token in column "
                f"{columns.token + 1}, in {excerpt(text)}. Fill it in, or "
                "delete the line."
            )
        tag_column = columns.tag if self.has_labels else None
        if tag_column is not None and not cells[tag_column].strip():
            raise UserError(
                f"{self.path}, line {number}: there is no tag in column "
                f"{tag_column + 1}, in {excerpt(text)}. Write O for a token "
                "outside of all entities."
            )
        return cells


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


def _sample(path: pathlib.Path, encoding: str) -> list[str]:
    """Returns the first lines; "" for one that ends a sentence."""
    sample = []
    lines = itertools.islice(decoded_lines(path, encoding), _SAMPLE)
    for line in lines:
        text = line.rstrip("\r\n")
        if not text.strip() or text.startswith(DOCUMENT_START):
            text = ""
        sample.append(text)
    return sample if any(sample) else []


def _separator(lines: Sequence[str], given: str | None) -> tuple[str, int]:
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


class _Table:
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
                f"has {_columns(self._width)}: {first}. "
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
                f"{_columns(self._width)}; give at most "
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


def _columns(number: int) -> str:
    return "1 column" if number == 1 else f"{number} columns"


def _name(separator: str) -> str:
    if separator == " ":
        return "space"
    return delimiter_name(separator)
