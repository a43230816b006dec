r"""Rows that cannot be read are left out of a shard, each with its reason.

    a,b\n1,2\n3\n4,5\n  ─▶  a,b\n1,2\n4,5\n   and row 2, "1 cells where 2 …"

A shard is looked through once. Only one with a fault is taken apart: into rows
of cells, or lines of JSON, and those that stop the program's own reader are
found by halving. Other forms of files cannot be taken apart.
"""

from __future__ import annotations

import abc
import contextlib
import csv
import dataclasses
import itertools
import json
import pathlib
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from bert_keras3.batch_inference.work import Failure, Failures
from bert_keras3.inputs import dialect_search
from bert_keras3.inputs.delimited import (
    JSON_SUFFIXES,
    Dialect,
    is_blank,
    reader,
)
from bert_keras3.inputs.encodings import (
    find_encoding,
    line_encoding,
)
from bert_keras3.inputs.json_lists import is_list
from bert_keras3.inputs.packed_files import inner_path, open_text
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.inputs.spreadsheets import is_spreadsheet
from bert_keras3.safekeeping.errors import UserError

# Rows among which faulty ones are looked for together.
_ROWS_AT_ONCE = 1000
# Lines by which the dialect is detected.
_HEAD_LINES = 1000
# Rows at the beginning that may be faulty.
_MOST_TRIED = 20
# Characters of a row that are kept with its reason.
_MOST_SHOWN = 2000

_Source = TypeVar("_Source", bound=Iterable[Any])

# Opens a file, given what is known of how it is written: {name of
# `FileChoices`: value}. It, or what reads the file, raises a UserError.
Open = Callable[[pathlib.Path, Mapping[str, Any]], _Source]


@dataclasses.dataclass(frozen=True)
class Rows(Generic[_Source]):
    """The rows of a shard that can be read.

    Attributes:
        source: these rows alone.
        left_out: numbers of the rows of the shard that are not in it, from 1,
            ascending.
    """

    source: _Source
    left_out: Sequence[int]

    def numbers(self) -> Iterator[int]:
        """Yields the number that each row has in the shard, from 1."""
        left_out = iter(self.left_out)
        skipped = next(left_out, None)
        for number in itertools.count(1):
            if number == skipped:
                skipped = next(left_out, None)
            else:
                yield number


def readable_rows(
    path: pathlib.Path,
    choices: FileChoices,
    folder: pathlib.Path,
    open_file: Open[_Source],
    failures: Failures,
    *,
    has_lines: bool = False,
) -> Rows[_Source]:
    """Returns the rows that can be read; the others are failures.

    Args:
        path: the shard.
        choices: how it is written, as the user says.
        folder: for a copy, if there has to be one.
        open_file: opens the shard, or a file with some of its rows.
        failures: gets the rows that are left out.
        has_lines: whether a line is a row where there are no columns.

    Raises:
        UserError: the shard cannot be read, whatever rows are left out.
    """
    try:
        return Rows(_looked_through(open_file(path, {})), ())
    except UserError as error:
        fault = error
    form = _form(path, choices, folder, has_lines=has_lines)
    if form is None:
        raise fault
    left_out: list[int] = []
    number = 0
    copy = folder / f"readable{form.suffix}"
    with form.writer(copy) as write:
        records = form.records()
        while block := list(itertools.islice(records, _ROWS_AT_ONCE)):
            faults = form.faults(block, folder, open_file)
            for place, record in enumerate(block):
                number += 1
                if place in faults:
                    left_out.append(number)
                    reason, text = faults[place], record.text[:_MOST_SHOWN]
                    failures.add(Failure(number, record.line, reason, text))
                else:
                    write(record)
    if number == len(left_out):
        raise fault
    # What remains are faults of no row alone, such as an id that comes twice.
    return Rows(_looked_through(open_file(copy, form.written)), left_out)


def _looked_through(source: _Source) -> _Source:
    """Returns a source that can be read to its end."""
    for _ in source:
        pass
    return source


class _Record(NamedTuple):
    """A row as it stands in a shard."""

    line: int
    text: str
    cells: Sequence[str] = ()
    fault: str | None = None


def _form(
    path: pathlib.Path,
    choices: FileChoices,
    folder: pathlib.Path,
    *,
    has_lines: bool,
) -> _Form | None:
    """Returns how a file is taken apart; None if it cannot be."""
    if not path.is_file() or is_spreadsheet(path):
        return None
    try:
        encoding, _ = find_encoding(path, choices.encoding)
    except UserError:
        encoding = choices.encoding or "utf-8"
    if inner_path(path).suffix.lower() in JSON_SUFFIXES:
        if is_list(path, encoding):
            return None
        return _JsonLines(path, encoding)
    dialect = _dialect(path, choices, encoding, folder)
    if dialect is None or len(dialect.columns) < 2:
        return _Lines(path, encoding) if has_lines else None
    return _Cells(path, encoding, dialect)


class _Form(abc.ABC):
    """A file that is taken apart."""

    suffix: str
    written: Mapping[str, Any]

    def __init__(self, path: pathlib.Path, encoding: str) -> None:
        self._path = path
        self._encoding = encoding

    @abc.abstractmethod
    def records(self) -> Iterator[_Record]:
        """Yields the rows."""

    @abc.abstractmethod
    def write(self, file: Any, record: _Record) -> None:
        """Writes a row as it was."""

    def begin(self, file: Any) -> None:
        """Writes what stands before the first row: by default, nothing."""
        return

    def writer(self, path: pathlib.Path) -> _Writer:
        return _Writer(self, path)

    def faults(
        self,
        block: Sequence[_Record],
        folder: pathlib.Path,
        open_file: Open[_Source],
    ) -> dict[int, str]:
        """Returns {place in the block: reason} of the rows to leave out."""
        found = {
            place: record.fault
            for place, record in enumerate(block)
            if record.fault is not None
        }
        piece = folder / f"piece{self.suffix}"

        def halve(places: Sequence[int]) -> None:
            if not places:
                return
            with self.writer(piece) as write:
                for place in places:
                    write(block[place])
            try:
                _looked_through(open_file(piece, self.written))
            except UserError as error:
                if len(places) == 1:
                    reason = str(error)
                    # The piece and its lines are not the user's.
                    found[places[0]] = reason.replace(
                        str(piece), self._path.name
                    )
                    return
                middle = len(places) // 2
                halve(places[:middle])
                halve(places[middle:])

        halve([place for place in range(len(block)) if place not in found])
        piece.unlink(missing_ok=True)
        return found

    def _lines(self) -> Iterator[str]:
        """Yields the lines; what cannot be decoded are lone surrogates."""
        with open_text(
            self._path,
            self._encoding,
            errors="surrogateescape",
            newline="\n",
        ) as file:
            for line in file:
                yield line.replace("\0", "")

    def _undecodable(self, text: str) -> str | None:
        if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
            return None
        encoding = line_encoding(self._path, self._encoding)
        return f"it has bytes that are not {encoding}"


class _Writer:
    """Writes rows to a file, as a context."""

    def __init__(self, form: _Form, path: pathlib.Path) -> None:
        self._form = form
        self._path = path

    def __enter__(self) -> Callable[[_Record], None]:
        self._file = open(self._path, "w", encoding="utf-8", newline="")
        self._form.begin(self._file)
        return lambda record: self._form.write(self._file, record)

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _Lines(_Form):
    suffix = ".txt"
    written: Mapping[str, Any] = types.MappingProxyType({"encoding": "utf-8"})

    def records(self) -> Iterator[_Record]:
        for number, line in enumerate(self._lines(), 1):
            text = line.rstrip("\r\n").removeprefix("\ufeff")
            if self._is_row(text):
                fault = self._undecodable(text) or self._fault(text)
                yield _Record(number, _shown(text), fault=fault)

    def _is_row(self, text: str) -> bool:
        return True

    def _fault(self, text: str) -> str | None:
        return None

    def write(self, file: Any, record: _Record) -> None:
        file.write(f"{record.text}\n")


class _JsonLines(_Lines):
    suffix = ".jsonl"

    def _is_row(self, text: str) -> bool:
        return bool(text.strip())

    def _fault(self, text: str) -> str | None:
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            return f"column {error.colno}: {error.msg}"
        return None if isinstance(record, dict) else "it is no JSON object"


class _Cells(_Form):
    suffix = ".csv"

    def __init__(
        self, path: pathlib.Path, encoding: str, dialect: Dialect
    ) -> None:
        super().__init__(path, encoding)
        self._dialect = dialect
        self.written = {
            "delimiter": "comma",
            "quoting": "double",
            "encoding": "utf-8",
            "header": dialect.header,
            "skip_rows": 0,
        }

    def begin(self, file: Any) -> None:
        if self._dialect.header:
            csv.writer(file).writerow(self._dialect.columns)

    def write(self, file: Any, record: _Record) -> None:
        csv.writer(file).writerow(record.cells)

    def records(self) -> Iterator[_Record]:
        dialect, width = self._dialect, len(self._dialect.columns)
        lines = itertools.islice(self._lines(), dialect.skip, None)
        rows = reader(lines, dialect.delimiter, dialect.quoting)
        is_header = dialect.header
        while True:
            line = rows.line_num + 1 + dialect.skip
            fault = None
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                cells, fault = [], str(error)
            if fault is None and is_blank(cells):
                continue
            if is_header:
                is_header = False
                continue
            text = dialect.delimiter.join(cells)
            if fault is None and len(cells) != width:
                fault = (
                    f"{len(cells)} cells where {width} are expected "
                    f"({', '.join(dialect.columns)})"
                )
            fault = fault or self._undecodable(text)
            yield _Record(line, _shown(text), cells, fault)


def _shown(text: str) -> str:
    """Returns a text that can be encoded."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _dialect(
    path: pathlib.Path,
    choices: FileChoices,
    encoding: str,
    folder: pathlib.Path,
) -> Dialect | None:
    """Detects the dialect; by its first rows if not all of it can be read."""
    given = dataclasses.replace(choices, encoding=encoding)
    with contextlib.suppress(UserError):
        return _sniffed(path, given)
    with open_text(
        path, encoding, errors="surrogateescape", newline="\n"
    ) as file:
        head = [
            _shown(line).replace("\0", "")
            for line in itertools.islice(file, _HEAD_LINES)
        ]
    copy = folder / f"head{inner_path(path).suffix}"
    given = dataclasses.replace(choices, encoding="utf-8")
    for _ in range(_MOST_TRIED):
        copy.write_text("".join(head), "utf-8", newline="")
        with contextlib.suppress(UserError):
            return _sniffed(copy, given)
        # The row behind the header may be a faulty one.
        del head[1:2]
    return None


def _sniffed(path: pathlib.Path, choices: FileChoices) -> Dialect:
    return dialect_search.sniff(
        path,
        delimiter=choices.delimiter,
        quoting=choices.quoting,
        encoding=choices.encoding,
        header=choices.header,
        skip_rows=choices.skip_rows,
    )
