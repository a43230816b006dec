"""Files on whatever file system Apache Beam reads and writes.

Local files are used where they lie; others are copied to this machine, and
written here first. A file has its name when it is whole.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write, digest

_BLOCK = 1 << 20


def is_remote(path: str) -> bool:
    """Whether a path is of another file system than the local one."""
    return "://" in path


def absolute(path: str) -> str:
    """Returns a path that is the same in every working directory."""
    return path if is_remote(path) else os.path.abspath(path)


def join(folder: str, name: str) -> str:
    """Returns the path of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def find(pattern: str) -> list[str]:
    """Returns the paths that a path or pattern matches, sorted.

    Raises:
        UserError: the file system is not known or cannot be read.
    """
    if not is_remote(pattern):
        # Brackets may be part of a name.
        return [pattern] if os.path.isfile(pattern) else []
    with _explained(pattern):
        matched = _beam().match([pattern])[0].metadata_list
    return sorted(one.path for one in matched)


def content_of(path: str) -> str:
    """Returns what tells the content of a file from any other.

    Of a local file it is a checksum, for which it is read, since size and time
    may be those of another content. Of another one it is what its file system
    keeps: a checksum or tag of each content that was written.

    Raises:
        UserError: it cannot be read.
    """
    if not is_remote(path):
        return digest(path)
    with _explained(path):
        return str(_beam().checksum(path))


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    with _explained(path):
        return bool(_beam().exists(path))


def names_in(folder: str, ending: str) -> list[str]:
    """Returns the names of the files in a folder that end so, sorted."""
    if not is_remote(folder):
        files = pathlib.Path(folder).glob(f"*{ending}")
        return sorted(one.name for one in files)
    found = find(join(folder, f"*{ending}"))
    return [one.rpartition("/")[2] for one in found]


def make_folder(folder: str) -> None:
    """Makes a folder if it is not there.

    Raises:
        UserError: it cannot be made.
    """
    with _explained(folder):
        if not _beam().exists(folder):
            _beam().mkdirs(folder)


def read(path: str) -> bytes:
    """Returns the content of a small file."""
    with _explained(path), _opened(path) as file:
        content: bytes = file.read()
        return content


def write(path: str, content: bytes) -> None:
    """Writes a small file, which is then whole or not there."""
    if not is_remote(path):
        with atomic_write(path, "wb") as file:
            file.write(content)
        return
    with tempfile.TemporaryDirectory() as folder:
        local = pathlib.Path(folder, "content")
        local.write_bytes(content)
        publish(local, path)


def publish(file: pathlib.Path, path: str) -> None:
    """Moves a file of this machine to a path, where it appears as a whole.

    Args:
        file: on the disk of `path`, if that is local.
        path: its new one.

    Raises:
        UserError: it cannot be written.
    """
    if not is_remote(path):
        with open(file, "rb+") as content:
            os.fsync(content.fileno())
        os.replace(file, path)
        return
    folder, _, name = path.rpartition("/")
    temporary_name = join(folder, f".{name}.{secrets.token_hex(4)}.tmp")
    with _explained(path):
        with (
            open(file, "rb") as source,
            _beam().create(temporary_name, compression_type=_plain()) as target,
        ):
            shutil.copyfileobj(source, target, _BLOCK)
        # Some file systems do not replace what is there.
        if _beam().exists(path):
            _beam().delete([path])
        _beam().rename([temporary_name], [path])


def remove(path: str) -> None:
    """Removes a file, if it is there."""
    with _explained(path):
        if _beam().exists(path):
            _beam().delete([path])


@contextlib.contextmanager
def on_this_machine(path: str, folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a file of this machine with the content of another.

    Args:
        path: the file; a local one is not copied.
        folder: for the copy.
    """
    if not is_remote(path):
        yield pathlib.Path(path)
        return
    # The name's ending says what the file is.
    copy = folder / path.rpartition("/")[2]
    with _explained(path), _opened(path) as source, open(copy, "wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
    try:
        yield copy
    finally:
        os.unlink(copy)


def _beam() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _plain() -> Any:
    """What packed files are is for their readers to find out."""
    from apache_beam.io.filesystem import CompressionTypes

    return CompressionTypes.UNCOMPRESSED


def _opened(path: str) -> Any:
    return _beam().open(path, compression_type=_plain())


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    from apache_beam.io.filesystem import BeamIOError

    try:
        yield
    except (BeamIOError, ValueError) as error:
        raise UserError(
            f"{path}: Apache Beam cannot use it: {error}. Is the path right, "
            "and the extra of Apache Beam for this file system installed, "
            "such as apache-beam[gcp], [aws] or [azure]?"
        ) from error
