"""Detects a file's encoding, and where bytes do not fit it.

UTF-8 and marked UTF-16 are recognised with certainty; other encodings are
guessed from the bytes beyond ASCII, and the guess is shown to the user.
"""

from __future__ import annotations

import codecs
import io
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import charset_normalizer

from bert_keras3.inputs.packed_files import open_bytes, open_text
from bert_keras3.safekeeping.errors import UserError

_BLOCK = 1 << 20
# Characters in which line ends are looked for.
_HEAD = 1 << 14
_QUOTED = re.compile('"[^"]*"')

_MARK = "\ufeff"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NOT_TEXT = (
    (b"PK\x03\x04", "a spreadsheet, or packed twice"),
    (b"\xd0\xcf\x11\xe0", "an Excel spreadsheet"),
    (b"\x1f\x8b", "packed twice"),
    (b"\xfd7zXZ\x00", "packed twice"),
    (b"PAR1", "a packed Parquet file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a", "a RAR archive"),
    (b"(\xb5/\xfd", "compressed with zstd"),
    (b"version https://git-lfs", "a Git LFS pointer (try `git lfs pull`)"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a document with formats"),
    (b"SQLite format", "a database"),
    (b"\x80\x04\x95", "a pickle of Python"),
    (b"\x80\x05\x95", "a pickle of Python"),
)
# In any case, and behind white space or a byte order mark.
_MARKUP = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    # So programs write what is named .xls.
    (b"<table", "a table of a web page"),
    (b"<?xml", "XML"),
)
# Control characters: all but white space, ESC, and NUL, which is dropped. Some
# texts have one or two of them as separators; none has nearly all 25.
_CONTROLS = {*range(1, 32)} - {*range(9, 14), 27}
_MOST_CONTROLS = 20

# What is not UTF-8 may be one of these; the commoner wins a tie. GB18030
# includes GBK and GB2312, each cp… its ISO or national relative.
_ENCODINGS = (
    *("gb18030", "cp950", "cp932", "euc_jp", "cp949"),
    *("cp1252", "cp1251", "koi8_r", "cp1250"),
)

# With fewer bytes beyond ASCII only the commonest Latin letters and signs can
# be guessed; a lone Ã or ÿ is damage.
_FEWEST_TELLING_BYTES = 12
_LATIN_SHARE = 0.9
_SIGNS = "‘’“”‚„«»‹›–—…•·€§°©®\xa0"
_LATIN = {
    "cp1252": "ÄÖÜäöüßÀÁÉÈÇÑÓàâáãéèêëíìîïóòôõúùûñçÅåØøÆæŒœ¡¿£²" + _SIGNS,
    "cp1250": "ąćęłńóśźżčďěňřšťůžáéíýúäôľöőüűăâîşţŁŚŻŹĆČŘŠŽ" + _SIGNS,
}


class Fault(NamedTuple):
    """Where bytes cannot be decoded: offset from 0, line from 1."""

    offset: int
    line: int


def check_text_file(path: pathlib.Path, what: str) -> None:
    """Checks that there is a file, and that it begins like one of text.

    Args:
        path: the file.
        what: what it is to hold, in the singular, for the message.

    Raises:
        UserError: it does not exist, is no regular file, is empty, or is an
            archive, a spreadsheet, a web page or other bytes.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file.")
    if not path.is_file():
        raise UserError(
            f"{path} is a folder or a device; give the path of a file."
        )
    with open_bytes(path) as file:
        start = file.read(4096)
    if not start:
        raise UserError(f"{path} is empty: it holds no {what}.")
    markup = start.lstrip(codecs.BOM_UTF8).lstrip().lower()
    kinds = [kind for magic, kind in _NOT_TEXT if start.startswith(magic)]
    kinds += [kind for magic, kind in _MARKUP if markup.startswith(magic)]
    kind = next(iter(kinds), None)
    # The header of a tar archive is mostly of text.
    if start[257:262] == b"ustar":
        kind = "a tar archive"
    marked = any(start.startswith(bom) for bom, _ in _BOMS)
    is_wide = marked or _utf_16_without_mark(start) is not None
    controls = _CONTROLS.intersection(start)
    if kind is None and not is_wide and len(controls) > _MOST_CONTROLS:
        kind = f"binary (it begins with the bytes {start[:4].hex(' ')})"
    if kind is not None:
        raise UserError(
            f"{path} is {kind}, not text; unpack it, or save it as text, such "
            "as CSV, in UTF-8, and give that file."
        )


def find_encoding(path: pathlib.Path, given: str | None) -> tuple[str, str]:
    """Finds an encoding that decodes the whole file.

    Args:
        path: a file that is not empty.
        given: the codec that the user named, or None.

    Returns:
        (a Python codec, how it was found).

    Raises:
        UserError: an unknown codec; undecodable bytes, with their offset.
    """
    with open_bytes(path) as file:
        start = file.read(4096)
    mark = next((name for bom, name in _BOMS if start.startswith(bom)), None)
    if given is not None:
        encoding, how = _given_encoding(given, mark), "as given"
    elif mark is not None:
        encoding, how = mark, "from the byte order mark"
    else:
        encoding = _utf_16_without_mark(start) or "utf-8"
        how = f"the whole file is valid {encoding.upper()}"
    fault = first_fault(path, encoding)
    if fault is None:
        return encoding, how
    if given is not None or mark is not None or _mostly_utf_8(path):
        raise undecodable(path, encoding, fault)
    guess = _guess_encoding(path)
    if guess is None:
        raise undecodable(path, encoding, fault)
    return guess, (
        f"not UTF-8 (byte {fault.offset}); guessed, so look at the text"
    )


def first_fault(path: pathlib.Path, encoding: str) -> Fault | None:
    """Returns where a file first cannot be decoded; None if it can."""
    # utf-8-sig counts its offsets from behind the mark.
    encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0
    line = 1
    with open_bytes(path) as file:
        while True:
            block = file.read(_BLOCK)
            pending = len(decoder.getstate()[0])
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError as error:
                good = error.object[: error.start].decode(encoding, "ignore")
                return Fault(
                    offset - pending + error.start, line + good.count("\n")
                )
            if not block:
                return None
            offset += len(block)


def line_encoding(path: pathlib.Path, encoding: str) -> str:
    """Returns the codec that decodes each line of a file by itself.

    It differs from the file's where a byte order mark at the beginning gives
    the byte order of all lines.

    Args:
        path: the file.
        encoding: from `find_encoding`.
    """
    with open_bytes(path) as file:
        start = file.read(4)
    big = start.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    return {
        "utf-8-sig": "utf-8",
        "utf-16": "utf-16-be" if big else "utf-16-le",
        "utf-32": "utf-32-be" if big else "utf-32-le",
    }.get(encoding, encoding)


def undecodable(path: pathlib.Path, encoding: str, fault: Fault) -> UserError:
    """Returns the error for a fault, with the bytes found there."""
    with open_bytes(path) as file:
        for start in range(0, fault.offset, _BLOCK):
            file.read(min(_BLOCK, fault.offset - start))
        found = file.read(4)
    return UserError(
        f"{path}, line {fault.line}: the bytes "
        f"{found.hex(' ')} at offset {fault.offset} are not "
        f"{encoding.removesuffix('-sig')} text; save the file as UTF-8, or "
        "name its encoding with --encoding (such as gb18030, big5, cp932, "
        "cp1252)."
    )


def decoded_lines(path: pathlib.Path, encoding: str) -> Iterator[str]:
    """Streams the lines of a file with their ends, NUL characters dropped.

    So are byte order marks before the first character of a line, as where files
    were joined; by itself, the mark may be a token. Lines end in LF or CR LF. A
    CR by itself is white space; only in files of old Macs, which have no LF
    outside of quotes, it ends a line.

    Raises:
        UnicodeDecodeError: bytes that are not of this encoding.
    """
    newline = "" if _is_of_old_mac(path, encoding) else "\n"
    with open_text(path, encoding, newline=newline) as file:
        for line in file:
            if line[0] == _MARK and not line[1:2].isspace():
                line = line.lstrip(_MARK)
            # The csv module refused NUL until Python 3.11.
            yield line.replace("\0", "")


def _is_of_old_mac(path: pathlib.Path, encoding: str) -> bool:
    """Whether CR alone ends the lines at the beginning of a file."""
    with open_text(path, encoding, newline="") as file:
        unquoted = _QUOTED.sub("", file.read(_HEAD))
    return "\r" in unquoted and "\n" not in unquoted


def excerpt(text: str, length: int = 60) -> str:
    """Quotes the beginning of a piece of a file, for a message."""
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def _given_encoding(given: str, mark: str | None) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=given)
    except LookupError:
        raise UserError(
            f"--encoding={given}: there is no such encoding; try utf-8, "
            f"utf-16, {', '.join(_ENCODINGS)}."
        ) from None
    name = codecs.lookup(given).name
    # A mark left in place would become part of the first column's name.
    return mark if mark and mark.startswith(name[:6]) else name


def _utf_16_without_mark(start: bytes) -> str | None:
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = start[first::2]
        if half.count(0) > 0.5 * len(half) and 0 not in start[1 - first :: 2]:
            return encoding
    return None


def _mostly_utf_8(path: pathlib.Path) -> bool:
    """Whether the characters beyond ASCII are UTF-8 more often than not.

    Such a file is damaged UTF-8 rather than something else: of text in
    another encoding few byte pairs happen to decode (less than a third in
    Chinese, Japanese and Korean, hardly any in the one-byte encodings).
    """
    good = bad = 0
    with open_text(path, "utf-8", errors="replace", newline="") as file:
        while text := file.read(_BLOCK):
            wrong = text.count("\ufffd")
            bad += wrong
            good += len(text) - len(text.encode("ascii", "ignore")) - wrong
    return good > bad


def _guess_encoding(path: pathlib.Path) -> str | None:
    """The likeliest encoding, or None if what is there looks like damage."""
    possible = [
        encoding
        for encoding in _ENCODINGS
        if first_fault(path, encoding) is None
    ]
    telling = bytearray()
    with open_bytes(path) as file:
        while len(telling) < _BLOCK // 16 and (line := file.readline(_BLOCK)):
            if not line.isascii():
                telling += line
    if sum(byte > 127 for byte in telling) < _FEWEST_TELLING_BYTES:
        possible = ["cp1252"] if "cp1252" in possible else []
    guess = _likeliest(bytes(telling), possible)
    if guess in _LATIN:
        shares = {
            encoding: _share(telling.decode(encoding), _LATIN[encoding])
            for encoding in _LATIN
            if encoding in possible
        }
        guess = max(shares, key=lambda encoding: shares[encoding])
        return guess if shares[guess] > _LATIN_SHARE else None
    if guess is None or _stands_alone(telling.decode(guess)):
        return None
    return guess


def _likeliest(telling: bytes, possible: list[str]) -> str | None:
    if len(possible) < 2:
        return possible[0] if possible else None
    matches = charset_normalizer.from_bytes(telling, cp_isolation=possible)
    best = matches.best()
    if best is None:
        # Text in another encoding is seldom valid GB18030 throughout.
        return "gb18030" if "gb18030" in possible else None
    tied = {
        encoding
        for match in matches
        if (match.chaos, match.coherence) == (best.chaos, best.coherence)
        for encoding in match.could_be_from_charset
    }
    return next(encoding for encoding in possible if encoding in tied)


def _share(text: str, letters: str) -> float:
    """The fraction of characters beyond ASCII that are among the letters."""
    beyond = [character for character in text if not character.isascii()]
    return sum(character in letters for character in beyond) / len(beyond)


def _stands_alone(text: str) -> bool:
    """Whether most characters beyond ASCII have no other beside them.

    This is so for stray bytes, not for the words of other scripts; nor for
    files of a character a line, where nearly every line begins with one.
    """
    lines = text.splitlines()
    if sum(not line[:1].isascii() for line in lines) > 0.9 * len(lines):
        return False
    runs = re.findall(r"[^\x00-\x7f]+", text)
    return sum(map(len, runs)) < 2 * len(runs)
