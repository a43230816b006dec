"""Files of questions → records, whatever their form; what they must hold.

    form                              questions stand in
    SQuAD, XQuAD, DRCD, KorQuAD, …    data[…].paragraphs[…].qas[…]
    CMRC 2018's own                   […] or data[…], with context_text, qas[…]
    flat (Hugging Face)               […] or data[…], or one object a line
    rows (CSV, TSV)                   columns context, question, answer, …

JSON is read entry by entry: beside the text of the file only one entry of its
list is in memory.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.inputs import delimited, dialect_search
from bert_keras3.inputs.delimited import Decision, Dialect, json_records
from bert_keras3.inputs.encodings import (
    check_text_file,
    excerpt,
    find_encoding,
)
from bert_keras3.inputs.examples import plain_name
from bert_keras3.inputs.packed_files import inner_path, open_text
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.inputs.spreadsheets import is_spreadsheet
from bert_keras3.safekeeping.errors import UserError

CONTEXT_KEYS = ("context", "context_text")
QUESTION_KEYS = ("question", "query_text")
ID_KEYS = ("id", "query_id")
START_KEYS = ("answer_start", "answer_starts")

ROWS = "a row for each question"
"""The form of a file of cells, as it is described."""

# Names of columns, spelt as `plain_name` leaves them.
_COLUMN_NAMES = {
    "context": (
        *("context", "passage", "paragraph", "document", "contexttext"),
        *("上下文", "文章", "段落"),
    ),
    "question": ("question", "query", "querytext", "问题"),
    "answer": ("answer", "answers", "answertext", "答案"),
    "answer_start": ("answerstart", "answerstarts", "start"),
    "id": ("id", "qid", "questionid", "queryid", "guid", "编号"),
}
_JSON_LINES = (".jsonl", ".ndjson")
_ROWS = (".csv", ".tsv", ".txt", ".tab")
_SPACE = re.compile(r"[ \t\n\r]*")
_NAMES_LISTED = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A question as it stands in a file.

    Attributes:
        values: of the question; of a row, {column: cell}.
        context: the text.
        place: for messages.
        is_row: whether it is a row of cells, where an empty answer means that
            there is none and a start may be missing.
    """

    values: Mapping[str, Any]
    context: str
    place: str
    is_row: bool = False


def read_records(path: pathlib.Path, choices: FileChoices) -> Iterator[Record]:
    """Streams the questions of a file in any of the forms.

    Raises:
        UserError: no such file, undecodable bytes, JSON that is cut off or
            not of one of the forms, a missing key or column.
    """
    if _has_rows(path):
        yield from _of_rows(path, choices)
        return
    check_text_file(path, "question")
    suffix = inner_path(path).suffix.lower()
    encoding, _ = find_encoding(path, choices.encoding)
    if suffix in _JSON_LINES:
        for line, value in json_records(path, encoding):
            yield from _of_entry(path, value, f"line {line}")
        return
    with open_text(path, encoding) as file:
        text = file.read()
    for place, value in json_entries(path, text):
        yield from _of_entry(path, value, place)


def _has_rows(path: pathlib.Path) -> bool:
    """Whether a file has rows of cells, by its name."""
    if not path.is_file():
        return False
    return is_spreadsheet(path) or inner_path(path).suffix.lower() in _ROWS


def describe_records(
    path: pathlib.Path, choices: FileChoices
) -> tuple[Decision, ...]:
    """Says how `read_records` reads a file.

    Raises:
        UserError: as `read_records`, for the beginning of the file.
    """
    first = next(read_records(path, choices), None)
    if _has_rows(path):
        dialect, columns = _columns(path, choices)
        return (
            Decision("form", ROWS, "the file's name"),
            *dialect.decisions,
            *(
                Decision(what.replace("_", " "), dialect.columns[n], "its name")
                for what, n in columns.items()
            ),
        )
    nested = first is not None and "qas[" in first.place
    form = (
        ("paragraphs with questions", "its key 'qas'")
        if nested
        else ("a record for each question", "there is no key 'qas'")
    )
    return (
        Decision("form", *form),
        Decision("encoding", *find_encoding(path, choices.encoding)),
    )


def value_of(
    path: object, place: str, values: Mapping[str, Any], keys: Sequence[str]
) -> Any:
    """Returns what stands under the first of the keys that is there.

    Raises:
        UserError: none of them is.
    """
    for key in keys:
        if key in values:
            return values[key]
    listed = ", ".join(map(repr, list(values)[:_NAMES_LISTED]))
    raise UserError(
        f"{path}, {place}: {keys[0]!r} is missing (there are "
        f"{listed or 'none'}); each question needs {QUESTION_KEYS[0]!r} and "
        f"{ID_KEYS[0]!r}, and it or its paragraph {CONTEXT_KEYS[0]!r}"
    )


def text_of(
    path: object, place: str, values: Mapping[str, Any], keys: Sequence[str]
) -> str:
    """Returns the text under the first of the keys that is there.

    Raises:
        UserError: none of them is, or it is no text.
    """
    value = value_of(path, place, values, keys)
    if not isinstance(value, str):
        raise UserError(
            f"{path}, {place}: {keys[0]!r} must be a text, and is "
            f"{excerpt(json.dumps(value, ensure_ascii=False))}"
        )
    return value


def _of_entry(path: pathlib.Path, value: Any, place: str) -> Iterator[Record]:
    """Yields the questions of an article, a paragraph or a flat record."""
    if not isinstance(value, dict):
        raise UserError(
            f"{path}, {place}: expected an object with 'paragraphs', 'qas' or "
            f"'question', and found {excerpt(json.dumps(value))}"
        )
    if isinstance(value.get("data"), list):
        # A whole file of SQuAD's form in one line.
        for number, entry in enumerate(value["data"]):
            yield from _of_entry(path, entry, f"{place}, data[{number}]")
    elif "paragraphs" in value:
        for number, paragraph in enumerate(_list(path, place, value)):
            yield from _of_paragraph(
                path, paragraph, f"{place}.paragraphs[{number}]"
            )
    elif "qas" in value:
        yield from _of_paragraph(path, value, place)
    else:
        yield Record(value, text_of(path, place, value, CONTEXT_KEYS), place)


def _of_paragraph(
    path: pathlib.Path, value: Any, place: str
) -> Iterator[Record]:
    if not isinstance(value, dict):
        raise UserError(f"{path}, {place}: a paragraph must be an object")
    context = text_of(path, place, value, CONTEXT_KEYS)
    for number, question in enumerate(_list(path, place, value, "qas")):
        of_question = f"{place}.qas[{number}]"
        if not isinstance(question, dict):
            raise UserError(
                f"{path}, {of_question}: a question must be an object"
            )
        yield Record(question, context, of_question)


def _list(
    path: pathlib.Path,
    place: str,
    value: Mapping[str, Any],
    key: str = "paragraphs",
) -> list[Any]:
    found = value_of(path, place, value, (key,))
    if not isinstance(found, list):
        raise UserError(f"{path}, {place}: {key!r} must be a list")
    return found


def json_entries(path: pathlib.Path, text: str) -> Iterator[tuple[str, Any]]:
    """Yields (place, value) of the entries of a JSON text, one by one.

    Of `{"data": […], …}` and of `[…]` the elements of the list; of several
    values in a row, as in JSON lines, those.
    """
    scan = _Scanner(path, text)
    found_data = False
    while not scan.at_end():
        if scan.takes("["):
            yield from scan.elements("")
            found_data = True
        elif scan.takes("{"):
            start = scan.place - 1
            if not scan.finds_key("data"):
                # A flat record, or what else has no list of data.
                scan.place = start
                line = scan.line()
                yield f"line {line}", scan.value()
                found_data = True
                continue
            found_data = True
            scan.expects("[", "'data' must be a list")
            yield from scan.elements("data")
            scan.to_the_end_of_object()
        else:
            scan.value()  # says what is wrong if it is no JSON
            raise UserError(
                f"{path}: neither an object with a list 'data' nor a list of "
                "questions"
            )
    if not found_data:
        raise UserError(f"{path} holds no question")


class _Scanner:
    """Goes through a JSON text."""

    def __init__(self, path: pathlib.Path, text: str) -> None:
        self._path, self._text = path, text
        self._decode = json.JSONDecoder().raw_decode
        self.place = 0
        self._counted, self._line = 0, 1

    def line(self) -> int:
        """The line of what comes next."""
        self._skip()
        self._line += self._text.count("\n", self._counted, self.place)
        self._counted = self.place
        return self._line

    def at_end(self) -> bool:
        """Whether nothing comes any more."""
        self._skip()
        return self.place >= len(self._text)

    def takes(self, sign: str) -> bool:
        """Passes a sign if it is next."""
        self._skip()
        if not self._text.startswith(sign, self.place):
            return False
        self.place += 1
        return True

    def expects(self, sign: str, otherwise: str) -> None:
        """Passes a sign.

        Raises:
            UserError: it is not next.
        """
        if not self.takes(sign):
            raise self._error(otherwise, self.place)

    def value(self) -> Any:
        """Passes a value and returns it.

        Raises:
            UserError: it is no JSON.
        """
        self._skip()
        try:
            value, self.place = self._decode(self._text, self.place)
        except json.JSONDecodeError as error:
            raise self._error(error.msg, error.pos) from None
        except RecursionError:
            raise self._error("it is nested too deeply", self.place) from None
        return value

    def elements(self, name: str) -> Iterator[tuple[str, Any]]:
        """Yields the rest of a list behind its bracket."""
        number = 0
        if self.takes("]"):
            return
        while True:
            line = self.line()
            yield f"line {line}, {name}[{number}]", self.value()
            number += 1
            if self.takes("]"):
                return
            self.expects(",", "Expecting ',' or ']' in the list")

    def finds_key(self, wanted: str) -> bool:
        """Goes to the value of a key of an object behind its brace."""
        if self.takes("}"):
            return False
        while True:
            key = self.value()
            self.expects(":", "Expecting ':' behind a key")
            if key == wanted:
                return True
            self.value()
            if self.takes("}"):
                return False
            self.expects(",", "Expecting ',' or '}' in the object")

    def to_the_end_of_object(self) -> None:
        """Passes what follows a value up to the brace."""
        while not self.takes("}"):
            self.expects(",", "Expecting ',' or '}' in the object")
            self.value()
            self.expects(":", "Expecting ':' behind a key")
            self.value()

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self.place)
        self.place = match.end() if match else self.place

    def _error(self, what: str, place: int) -> UserError:
        line = self._text.count("\n", 0, place) + 1
        column = place - self._text.rfind("\n", 0, place)
        rest = self._text[place : place + 60].strip()
        is_cut = not rest or "Unterminated" in what
        remedy = (
            "the file ends here, or in the middle of a text: it is cut off, "
            "so download or write it again"
            if is_cut
            else f"there stands {excerpt(rest)}; correct the file"
        )
        return UserError(
            f"{self._path}, line {line}, column {column}: no JSON ({what}); "
            f"{remedy}"
        )


def _of_rows(path: pathlib.Path, choices: FileChoices) -> Iterator[Record]:
    dialect, columns = _columns(path, choices)
    for row in delimited.rows(path, dialect):
        values = {name: row.cells[n] for name, n in columns.items()}
        yield Record(values, values["context"], f"line {row.line}", True)


def _columns(
    path: pathlib.Path, choices: FileChoices
) -> tuple[Dialect, dict[str, int]]:
    """Finds {what: number of the column} by the names of the header."""
    headers = (None, True) if choices.header is None else (choices.header,)
    for header in headers:
        dialect = dialect_search.sniff_as_given(path, choices, header)
        plain = [plain_name(name) for name in dialect.columns]
        columns = {
            what: plain.index(name)
            for what, names in _COLUMN_NAMES.items()
            for name in reversed(names)
            if name in plain
        }
        if {"context", "question"} <= columns.keys():
            return dialect, columns
    raise UserError(
        f"{path}: a file of questions needs a header with the columns context "
        "and question, and may have answer, answer_start and id; it has "
        f"{', '.join(dialect.columns[:_NAMES_LISTED])}. Rename its columns, or "
        "set --delimiter."
    )
