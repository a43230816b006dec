"""Opens files as people have them: compressed, in an archive, or as they are.

    train.csv.gz, train.csv.bz2, train.csv.xz, train.zip  ─▶  the bytes inside
    train.parquet                                ─▶  a JSON object for each row
    train.csv                                             ─▶  its bytes

A file is known by its first bytes, not by its name. Every reader opens files
here, so none knows how they are packed; spreadsheets, which have cells and no
text, are read by `spreadsheets.py`.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import json
import lzma
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO

from bert_keras3.safekeeping.errors import UserError

PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
"""Endings of names behind which another ending may stand."""

PARQUET_SUFFIX = ".parquet"

_MAGIC = (
    (rb"\x1f\x8b", "gzip"),
    (rb"BZh[1-9]1AY&SY", "bzip2"),
    (rb"\xfd7zXZ\x00", "xz"),
    (rb"PK(\x03\x04|\x05\x06)", "zip"),
    (rb"PAR1", "parquet"),
    (rb"\xd0\xcf\x11\xe0", "spreadsheet"),
)
# What archives hold that are spreadsheets of Excel and LibreOffice.
_SHEET_MEMBERS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
# Members of archives that the packing program added.
_ADDED = ("__MACOSX/", ".DS_Store", "._")

_BLOCK = 1 << 18
_ROWS_AT_ONCE = 1000
# What is larger than this and than so many times its packed size is no text:
# texts shrink to a fifth or a twentieth, and those that hardly differ to a
# hundredth.
_LARGE = 1 << 30
_MOST_TIMES = 500
_DAMAGES = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def open_bytes(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens what is in a file for reading, from its beginning.

    Memory does not grow with the file: it is unpacked while it is read.

    Args:
        path: a file that is plain, compressed, a ZIP archive of one file, or
            a Parquet file, whose rows are read as JSON lines.

    Returns:
        A binary stream, which cannot seek unless the file is plain.

    Raises:
        UserError: here or while it is read: the file is damaged, encrypted,
            an archive of several files, or grows beyond all measure.
        OSError: it cannot be read.
    """
    path = pathlib.Path(path)
    kind = kind_of(path)
    if kind == "parquet":
        return io.BufferedReader(_Blocks(_parquet_lines(path)), _BLOCK)
    if kind not in _OPENERS:
        return open(path, "rb", _BLOCK)
    return io.BufferedReader(_Blocks(_unpacked(path, kind)), _BLOCK)


def open_text(
    path: str | os.PathLike[str],
    encoding: str,
    *,
    errors: str = "strict",
    newline: str | None = None,
) -> IO[str]:
    """Opens what is in a file as text; arguments as for `open`.

    Raises:
        UserError: see `open_bytes`.
    """
    return io.TextIOWrapper(
        open_bytes(path), encoding=encoding, errors=errors, newline=newline
    )


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """Returns how a file is packed, by its first bytes.

    Returns:
        "gzip", "bzip2", "xz", "zip", "parquet", "spreadsheet"; None: it is
        plain, or nothing known.

    Raises:
        UserError: it begins as an archive, and is none.
    """
    with open(path, "rb") as file:
        start = file.read(16)
    kind = next((kind for magic, kind in _MAGIC if re.match(magic, start)), "")
    if kind == "zip" and _holds_sheets(pathlib.Path(path)):
        return "spreadsheet"
    return kind or None


def inner_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the name of what is in a file, whose ending says its form.

    Args:
        path: the file.

    Returns:
        `train.csv` of `train.csv.gz`, and of a `train.zip` that holds it;
        `train.jsonl` of `train.parquet`; another path unchanged.
    """
    path = pathlib.Path(path)
    kind = kind_of(path)
    if kind == "zip":
        return path.parent / pathlib.PurePosixPath(_member(path).filename).name
    if kind == "parquet":
        return path.with_suffix(".jsonl")
    is_packed = path.suffix.lower() in PACKED_SUFFIXES
    return path.with_suffix("") if is_packed else path


class _Blocks(io.RawIOBase):
    """A stream of bytes that come in blocks."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            # A generator, whose files are closed with it.
            self._blocks.close()  # type: ignore[attr-defined]
        super().close()


def _unpacked(path: pathlib.Path, kind: str) -> Iterator[bytes]:
    """Yields the bytes inside a packed file.

    Raises:
        UserError: see `open_bytes`.
    """
    most = max(_LARGE, _MOST_TIMES * path.stat().st_size)
    size = 0
    try:
        with _OPENERS[kind](path) as file:
            while block := file.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise UserError(
                        f"{path}: what is packed here with {kind} is more than "
                        f"{_MOST_TIMES} times as large, which no text is; "
                        "unpack it and look at it before you give it"
                    )
                yield block
    except _DAMAGES as error:
        raise UserError(
            f"{path} ({kind}) is damaged or cut off: it cannot be unpacked "
            f"beyond {size} bytes ({error}). Download or pack it again."
        ) from error


def _holds_sheets(path: pathlib.Path) -> bool:
    return any(info.filename in _SHEET_MEMBERS for info in _members(path))


def _members(path: pathlib.Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"{path} begins as a ZIP archive, and is damaged or cut off "
            f"({error}). Download or pack it again."
        ) from error


def _member(path: pathlib.Path) -> zipfile.ZipInfo:
    """Returns the one file in an archive.

    Raises:
        UserError: there is none, or more than one.
    """
    files = [
        info
        for info in _members(path)
        if not info.is_dir()
        and not info.filename.startswith(_ADDED)
        and not pathlib.PurePosixPath(info.filename).name.startswith(_ADDED)
    ]
    if len(files) == 1:
        return files[0]
    listed = ", ".join(info.filename for info in files[:5])
    more = " …" if len(files) > 5 else ""
    raise UserError(
        f"{path}: the archive holds {len(files)} files"
        + (f" ({listed}{more})" if files else "")
        + ", where one is expected; unpack it, and give the one that is meant"
    )


def _open_member(path: pathlib.Path) -> IO[bytes]:
    info = _member(path)
    if info.flag_bits & 1:
        raise UserError(
            f"{path}: {info.filename} in it is encrypted; unpack it with its "
            "password, and give that file"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.open(info)
    except NotImplementedError as error:
        raise UserError(
            f"{path}: {info.filename} in it is packed in a way that is not "
            f"known ({error}); unpack it, and give that file"
        ) from error


_OPENERS: dict[str, Callable[[pathlib.Path], Any]] = {
    "gzip": gzip.GzipFile,
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zip": _open_member,
}


def needed(module: str, extra: str, path: pathlib.Path, what: str) -> Any:
    """Imports a library that only some files need.

    Args:
        module: to import.
        extra: of this package, that installs it.
        path: the file.
        what: the file is, for the message.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{path} is {what}, and {module.split('.')[0]} is not installed, "
            f"which reads it: pip install 'bert-keras3[{extra}]', or save the "
            "file as CSV"
        ) from error


def _parquet_lines(path: pathlib.Path) -> Iterator[bytes]:
    """Yields the rows of a Parquet file as JSON objects, one a line."""
    arrow = needed("pyarrow", "parquet", path, "a Parquet file")
    parquet = needed("pyarrow.parquet", "parquet", path, "a Parquet file")
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                lines = (
                    json.dumps(row, default=_as_json)
                    for row in batch.to_pylist()
                )
                yield "".join(f"{line}\n" for line in lines).encode("ascii")
    except (arrow.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: the Parquet file is damaged or cut off ({error}). "
            "Download or write it again."
        ) from error


def _as_json(value: Any) -> Any:
    """Returns what JSON has for a value of Parquet that JSON does not have."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
