"""Documents as they lie in files: a sentence a line, an empty line between.

Reads plain text and JSON lines and cuts files into ranges for several
workers; the words of a sentence are found in `words`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from safekeeping.errors import UserError

JSON_LINES = ".jsonl"


class Sentence(NamedTuple):
    """A line of text.

    Attributes:
        text: without the whitespace around it.
        entities: (start, end) in characters of `text`; only JSON lines have
            any.
    """

    text: str
    entities: tuple[tuple[int, int], ...] = ()


class Range(NamedTuple):
    """A part of a file, from one byte up to another, made of whole lines."""

    path: str
    start: int
    end: int


def cut(path: str, size: int) -> list[Range]:
    """Cuts a file into ranges of about `size` bytes at ends of lines.

    Raises:
        UserError: the file cannot be read.
    """
    ranges = []
    with _open(path) as file:
        total, start = os.fstat(file.fileno()).st_size, 0
        while start < total:
            file.seek(min(start + size, total))
            file.readline()
            ranges.append(Range(path, start, file.tell()))
            start = file.tell()
    return ranges


def read(part: Range) -> Iterator[Sentence | None]:
    r"""Yields the sentences of a range; None stands for an empty line.

    As in the original, lines end at "\n" alone, carriage returns are dropped
    wherever they stand, and a line of nothing but whitespace is empty.

    A file whose name ends in `.jsonl` has an object on each line: `text`, a
    string, and `entities`, a list of [start, end] counted in characters.

    Raises:
        UserError: a line is not UTF-8, or no such object.
    """
    is_json = part.path.endswith(JSON_LINES)
    with _open(part.path) as file:
        position = file.seek(part.start)
        while position < part.end:
            raw = file.readline()
            try:
                line = raw.replace(b"\r", b"").decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{_place(part.path, position)}: byte "
                    f"{error.object[error.start]:#04x} is not UTF-8; save the "
                    "text as UTF-8"
                ) from error
            if not line:
                yield None
            elif is_json:
                yield _sentence(line, part.path, position)
            else:
                yield Sentence(line)
            position += len(raw)


def _open(path: str) -> Any:
    try:
        return open(path, "rb", 1 << 18)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give a text file"
        ) from error


def _place(path: str, position: int) -> str:
    """Returns "file, line n" for a byte; counts only when it is wanted."""
    line, left = 1, position
    with open(path, "rb") as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            line += block.count(b"\n")
            left -= len(block)
    return f"{path}, line {line}"


def _sentence(line: str, path: str, position: int) -> Sentence:
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
            f"{_place(path, position)}: {reason}; each line of a "
            f"{JSON_LINES} file is like "
            '{"text": "Ada Lovelace wrote.", "entities": [[0, 12]]}'
        ) from error
