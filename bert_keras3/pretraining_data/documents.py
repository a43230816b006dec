"""Text files as sentences: one a line, an empty line between documents.

The file

    The sun rises.
    The moon sets.

    Another document.

is read as Sentence("The sun rises."), Sentence("The moon sets."), None,
Sentence("Another document."). A line of a `.jsonl` file is an object, like
{"text": "Ada wrote.", "entities": [[0, 3]]}. Files are cut into ranges of
whole lines, so that several workers can read one of them; packed files, such as
text.txt.gz, are unpacked first.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import IO, NamedTuple

from bert_keras3.inputs.encodings import (
    Fault,
    excerpt,
    find_encoding,
    line_encoding,
    undecodable,
)
from bert_keras3.inputs.packed_files import inner_path, kind_of, open_bytes
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

JSON_LINES = ".jsonl"


class Sentence(NamedTuple):
    """A line of text.

    Attributes:
        text: without the whitespace around it.
        entities: (start, end) in characters of `text`, the end excluded;
            only JSON lines have any.
    """

    text: str
    entities: tuple[tuple[int, int], ...] = ()


class Range(NamedTuple):
    """Some whole lines of a file.

    Attributes:
        path: of the file.
        start: the first byte.
        end: one more than the last byte.
        encoding: codec that decodes each line by itself.
        packed: the file that `path` was unpacked from; "" if it was not.
    """

    path: str
    start: int
    end: int
    encoding: str = "utf-8"
    packed: str = ""

    @property
    def shown(self) -> pathlib.Path:
        """The file that the user knows, for messages."""
        return pathlib.Path(self.packed or self.path)


def cut_all(
    paths: Sequence[str],
    size: int,
    folder: pathlib.Path,
    encoding: str | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> list[Range]:
    """Cuts files into ranges of about `size` bytes at ends of lines.

    Args:
        paths: of the files, in order.
        size: in bytes.
        folder: where packed files are unpacked, unless they are there since
            an earlier call for the same files.
        encoding: of all of them; None: detected for each.
        warn: takes a line for each encoding that was detected beside UTF-8.

    Raises:
        UserError: a file cannot be read or decoded.
    """
    ranges: list[Range] = []
    found: dict[str, list[tuple[Range, str]]] = {}
    for number, given in enumerate(paths):
        path = _unpacked(given, folder, number)
        with _open(path) as file:
            total = os.fstat(file.fileno()).st_size
        if not total:
            continue
        packed = "" if path == given else given
        codec, how = find_encoding(pathlib.Path(path), encoding)
        codec = line_encoding(pathlib.Path(path), codec)
        ranges.extend(
            part._replace(packed=packed)
            for part in _cut(path, size, total, codec)
        )
        if encoding is None and codec != "utf-8":
            found.setdefault(codec, []).append((ranges[-1], how))
    for codec, files in found.items():
        warn(_notice(codec, files))
    return ranges


def read(part: Range) -> Iterator[Sentence | None]:
    r"""Yields the sentences of a range; None stands for an empty line.

    As in the original, lines end at "\n" alone, carriage returns are dropped
    wherever they are, and a line of nothing but whitespace is empty. A byte
    order mark is dropped.

    A file whose name ends in `.jsonl` has an object on each line: `text`, a
    string, and `entities`, a list of [start, end] counted in characters.

    Raises:
        UserError: a line cannot be decoded, or is no such object.
    """
    is_json = part.path.endswith(JSON_LINES)
    newline = "\n".encode(part.encoding)
    with _open(part.path) as file:
        position = file.seek(part.start)
        while position < part.end:
            raw = _read_line(file, newline)
            try:
                line = raw.decode(part.encoding)
            except UnicodeDecodeError as error:
                raise undecodable(
                    part.shown,
                    part.encoding,
                    Fault(position + error.start, _line_of(part, position)),
                ) from error
            if position == 0:
                line = line.removeprefix("\ufeff")
            line = line.replace("\r", "").strip()
            if not line:
                yield None
            elif is_json:
                yield _sentence(line, part, position)
            else:
                yield Sentence(line)
            position += len(raw)


def _unpacked(given: str, folder: pathlib.Path, number: int) -> str:
    """Returns the path of a plain file with the content of another.

    Unpacked, since a compressed file can only be read from its beginning.
    """
    with _open(given):
        pass  # an error if it cannot be read
    kind = kind_of(given)
    if kind is None:
        return given
    if kind == "spreadsheet":
        raise UserError(
            f"{given} is a spreadsheet; save its text as a file with a "
            "sentence on each line"
        )
    path = folder / f"unpacked-{number:06}{inner_path(given).suffix}"
    if not path.exists():
        with open_bytes(given) as packed, atomic_write(path, "wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    return str(path)


def is_json_lines(path: str) -> bool:
    """Whether the lines of a file, or of what is packed in it, are objects.

    Args:
        path: a file that is there.
    """
    return inner_path(path).suffix == JSON_LINES


def _notice(encoding: str, files: Sequence[tuple[Range, str]]) -> str:
    """Returns a line on files in another encoding than UTF-8.

    It quotes how the text begins, so that a wrong guess is seen.
    """
    last, how = files[0]
    first = next(filter(None, read(last._replace(start=0))), None)
    begins = f"; it begins {excerpt(first.text)}" if first else ""
    more = f"; {len(files) - 1} more files alike" if len(files) > 1 else ""
    return (
        f"{last.shown}: {encoding} ({how}){begins}{more}. "
        "--encoding names another."
    )


def _cut(path: str, size: int, total: int, encoding: str) -> Iterator[Range]:
    newline = "\n".encode(encoding)
    if newline.strip(b"\0") != b"\n":
        raise UserError(
            f"{path}: lines of {encoding} text end in other bytes than those "
            "of all other files; save the text as UTF-8"
        )
    with _open(path) as file:
        start = 0
        while start < total:
            end = min(start + size, total)
            # In UTF-16 and UTF-32, not within a character.
            file.seek(end - end % len(newline))
            _read_line(file, newline)
            yield Range(path, start, file.tell(), encoding)
            start = file.tell()


def _read_line(file: IO[bytes], newline: bytes) -> bytes:
    """Reads up to the next end of a line, from the start of a character."""
    raw = file.readline()
    while len(newline) > 1 and raw:
        # The byte that ended the read may be a part of another character.
        raw += file.read(-len(raw) % len(newline))
        if raw.endswith(newline) or not (more := file.readline()):
            break
        raw += more
    return raw


def _open(path: str) -> IO[bytes]:
    try:
        return open(path, "rb", 1 << 18)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a text file"
        ) from error


def _line_of(part: Range, position: int) -> int:
    """Returns the number of the line of a byte, from 1."""
    newline = "\n".encode(part.encoding)
    line = 1
    with _open(part.path) as file:
        while file.tell() < position and _read_line(file, newline):
            line += 1
    return line


def _sentence(line: str, part: Range, position: int) -> Sentence:
    try:
        content = json.loads(line)
        text = content["text"]
        entities = content.get("entities", ())
        if not isinstance(text, str):
            raise TypeError("text is no string")
        spans = []
        for start, end in entities:
            if not 0 <= int(start) < int(end) <= len(text):
                raise ValueError(
                    f"the entity [{start}, {end}] lies outside of the text "
                    f"of {len(text)} characters or is empty"
                )
            spans.append((int(start), int(end)))
        return Sentence(text, tuple(sorted(spans)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = "no text" if isinstance(error, KeyError) else error
        raise UserError(
            f"{part.shown}, line {_line_of(part, position)}: {reason}; each "
            f"line of a {JSON_LINES} file is like "
            '{"text": "Ada Lovelace wrote.", "entities": [[0, 12]]}'
        ) from error
