"""Files with a token a line: columns of tokens and tags, as of CoNLL.

    -DOCSTART- -X- O

    Steve NNP B-PER
    sang  VBD O

A blank line ends a sentence, or another value in a column of sentence numbers
does. The separator, a header, the column of the tokens and that of the tags are
detected; lines of comments begin with "#".
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from bert_keras3.inputs.column_layout import (
    FORM,
    Layout,
    Table,
    columns_in_words,
    find_separator,
    is_comment,
    name_of,
)
from bert_keras3.inputs.delimited import (
    Decision,
)
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

DOCUMENT_START = "-DOCSTART-"

# Lines from which the columns are detected.
_SAMPLE = 50_000
# Nearly all tokens: a few may be broken.
_MOST = 0.98
_WITH_PLACE = re.compile(r"[^\x00-\x7f]\d|.\d", re.DOTALL)


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
            raise UserError(
                f"{path}: has only blank lines and lines of {DOCUMENT_START}; "
                "it holds no token. Give a file with a token a line."
            )
        separator, width = find_separator(lines, choices.delimiter)
        table = Table(path, lines, separator, width)
        decisions = [
            Decision("form", "a token a line", "its first line"),
            Decision("encoding", encoding, how),
            Decision(
                "delimiter",
                name_of(separator),
                "as given"
                if choices.delimiter
                else f"lines have {columns_in_words(width)}",
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

    heading = ""

    def raw_texts(self) -> Iterator[str]:
        """Yields the lines of each sentence; see `TaggedFile`."""
        for sentence in self._sentences():
            if any(one.cells for one in sentence):
                yield "".join(f"{one.text}\n" for one in sentence) + "\n"

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
                if one is None or not self._is_blank(one.text):
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
            elif self._has_allcolumns_in_words(one.text):
                is_document = one.text.startswith(DOCUMENT_START)
                new_cell = "O" if is_document else "predicted"
                file.write(f"{one.text}{glue}{new_cell}\n")
            else:
                file.write(f"{one.text}\n")
        if next(new, None) is not None:
            raise ValueError(f"{self.path}: more tags than tokens")

    def _has_allcolumns_in_words(self, text: str) -> bool:
        """Whether a line without a token gets a cell more: no comment does."""
        return (
            text.startswith(DOCUMENT_START) or not text.startswith("#")
        ) and len(self.columns.cells(text)) == self.columns.width

    def _token(self, cells: Sequence[str]) -> str:
        token = cells[self.columns.token]
        if self.columns.has_places and len(token) > 1:
            return token[:-1]
        return token

    def _is_blank(self, text: str) -> bool:
        """Whether a line ends a sentence.

        Where a line is a token and nothing else, a no-break space is one.
        """
        return not (
            text.strip() if self.columns.width > 1 else text.strip(" \t")
        )

    def _sentences(self) -> Iterator[list[_Line]]:
        """Yields the lines between blank ones, comments among them."""
        sentence: list[_Line] = []
        for one in self._lines():
            if one is not None and not self._is_blank(one.text):
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
                if self._is_blank(text):
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
            found = columns_in_words(len(cells))
            raise UserError(
                f"{self.path}, line {number}: {found} where {columns.width} "
                f"are expected, in {excerpt(text)}. Each line has a token and "
                "its tag, and a blank line ends a sentence; correct it, or set "
                f"--delimiter (taken: {name_of(columns.separator)})."
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
