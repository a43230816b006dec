"""Streams the values of a JSON list, such as [{"text": "Fine."}, …].

The list may be of any size and written on one line or on many: beside a block
of text, one value at a time is in memory.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import IO, Any

from bert_keras3.inputs.encodings import excerpt
from bert_keras3.inputs.packed_files import open_text
from bert_keras3.safekeeping.errors import UserError

_BLOCK = 1 << 16
# Characters of a value; a longer one is an unclosed quote.
_LONGEST = 1 << 26
# Of a literal or an escape in JSON.
_LONGEST_SIGN = 16
_SPACE = re.compile(r"[\s\ufeff]*")
_FIRST = re.compile(r"[\s\ufeff]*\[[\s]*([{\]]|$)")
# A number that reaches to the end of what was read may go on.
_OPEN_END = re.compile(r"[-+.\w]\Z")


def is_list(path: pathlib.Path, encoding: str) -> bool:
    """Whether a file begins as a list of objects does.

    Args:
        path: the file.
        encoding: a Python codec.
    """
    with open_text(path, encoding, errors="replace") as file:
        return _FIRST.match(file.read(_BLOCK)) is not None


def list_values(path: pathlib.Path, encoding: str) -> Iterator[tuple[int, Any]]:
    """Yields (line where it starts, from 1, value) of the list in a file.

    Args:
        path: a file that begins with a list.
        encoding: a Python codec.

    Raises:
        UserError: it is no JSON, is cut off, or goes on behind the list.
        UnicodeDecodeError: bytes that are not of this encoding.
    """
    with open_text(path, encoding, newline="\n") as file:
        text = _Window(path, file)
        text.passes("[", "a list begins with [")
        if text.has("]"):
            text.passes("]", "")
        else:
            while True:
                yield text.line, text.value()
                if text.has("]"):
                    text.passes("]", "")
                    break
                text.passes(",", "expected , or ] behind a value")
        if text.has(""):
            raise text.error("something stands behind the end of the list")


class _Window:
    """The part of a JSON text that is being read."""

    def __init__(self, path: pathlib.Path, file: IO[str]) -> None:
        self._path, self._file = path, file
        self._text, self._place = "", 0
        self._decode = json.JSONDecoder().raw_decode
        self.line = 1
        """The line of what comes next."""

    def has(self, sign: str) -> bool:
        """Whether a sign, or for "" anything, comes behind white space."""
        while True:
            match = _SPACE.match(self._text, self._place)
            self._pass(match.end() if match else self._place)
            if self._place < len(self._text):
                return self._text.startswith(sign, self._place)
            if not self._reads_more(_BLOCK):
                return False

    def passes(self, sign: str, otherwise: str) -> None:
        """Passes a sign.

        Raises:
            UserError: another comes.
        """
        if not self.has(sign):
            raise self.error(otherwise)
        self._pass(self._place + 1)
        self.has("")

    def value(self) -> Any:
        """Passes a value and returns it.

        Raises:
            UserError: it is no JSON.
        """
        size = _BLOCK
        while True:
            try:
                value, end = self._decode(self._text, self._place)
            except json.JSONDecodeError as error:
                behind = error.pos - self._place
                # Twice as much each time, for a value of many blocks.
                size *= 2
                if not self._may_go_on(error) or not self._reads_more(size):
                    raise self.error(error.msg, self._place + behind) from None
                continue
            except RecursionError:
                raise self.error("it is nested too deeply") from None
            is_open = end == len(self._text) and _OPEN_END.search(self._text)
            if not is_open or not self._reads_more(size):
                self._pass(end)
                return value

    def error(self, what: str, place: int | None = None) -> UserError:
        """Returns the error for what stands at a place, or comes next."""
        place = self._place if place is None else place
        line = self.line + self._text.count("\n", self._place, place)
        rest = self._text[place : place + 60].strip()
        is_cut = not rest or "Unterminated" in what
        found = "" if is_cut else f", and there stands {excerpt(rest)}"
        remedy = (
            "the file is cut off; write or download it again"
            if is_cut
            else "correct the file"
        )
        return UserError(
            f"{self._path}, line {line}: no list of JSON ({what}){found}; "
            f"{remedy}"
        )

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether a value may be whole once more of the file is read."""
        if "Unterminated" in error.msg:
            return len(self._text) < _LONGEST
        return error.pos > len(self._text) - _LONGEST_SIGN

    def _pass(self, place: int) -> None:
        self.line += self._text.count("\n", self._place, place)
        self._place = place

    def _reads_more(self, size: int) -> bool:
        more = self._file.read(size)
        self._text = self._text[self._place :] + more
        self._place = 0
        return bool(more)
