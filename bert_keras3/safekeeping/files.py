"""Files and folders that are either whole or not there.

Writers work under a temporary name beside the target and rename at the end,
so an interruption or a full disk leaves what was there before.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterator
from typing import IO, Any

from bert_keras3.safekeeping.errors import UserError

_PROGRAM = "bert-keras3"
# Errors of a write when the disk is full.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Names that `_temporary_name` makes.
_TEMPORARY = re.compile(r"^\.(.+)\.[0-9a-f]{8}\.tmp(\.[^.]*)?$")


def _temporary_name(path: pathlib.Path) -> pathlib.Path:
    # The ending stays: some writers choose the format by it.
    return path.with_name(
        f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}"
    )


def wanted_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the final path of a temporary one; other paths stay.

    For messages: the user does not know the temporary names.
    """
    folder, name = os.path.split(path)
    return pathlib.Path(folder, _TEMPORARY.sub(r"\1\2", name))


@contextlib.contextmanager
def own_folder(
    path: str | os.PathLike[str], flag: str
) -> Iterator[pathlib.Path]:
    """Keeps a folder for this process until the block ends.

    The operating system releases the lock when the process ends, however it
    ends. Some network disks have no locks; there nothing is refused.

    Args:
        path: the folder. If it is not there it is made, and removed after
            the block if nothing was put into it.
        flag: name of the flag for this folder, for the message.

    Yields:
        The folder.

    Raises:
        UserError: another process works in it.
        OSError: it cannot be made.
    """
    folder = pathlib.Path(path)
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, f"--{flag}={folder}")
        yield folder
    finally:
        os.close(descriptor)
        for one in made:
            with contextlib.suppress(OSError):  # not empty, or gone
                one.rmdir()


def _lock(descriptor: int, flag: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            raise UserError(
                f"{flag}: another process is at work in this folder. Wait "
                "until it has ended, or give another."
            ) from None


def _sync_folder(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full_disk(error: OSError) -> bool:
    """Whether a write failed because there is no more room."""
    return error.errno in _FULL


def digest(path: str | os.PathLike[str]) -> str:
    """Returns a checksum of a file, made at about a gigabyte a second.

    Args:
        path: the file.

    Raises:
        UserError: it cannot be read.
    """
    checksum = hashlib.blake2b(digest_size=32)
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                checksum.update(block)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return checksum.hexdigest()


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds a file name to the error of a full disk, which has none.

    Args:
        path: the file that is written in the block.
    """
    try:
        yield
    except OSError as error:
        if is_full_disk(error) and error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def atomic_path(
    path: str | os.PathLike[str],
) -> Iterator[pathlib.Path]:
    """Yields a temporary path that replaces `path` if the block succeeds.

    For writers that want a file name rather than a file object. The parent
    folder is made if need be.

    Args:
        path: the file that is to exist, whole, after the block.

    Yields:
        A path in the same folder that does not exist yet.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` is
            then what it was before.
    """
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(target)
    try:
        with naming(target):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
            _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_write(
    path: str | os.PathLike[str],
    mode: str = "w",
    encoding: str | None = None,
    newline: str | None = None,
) -> Iterator[IO[Any]]:
    """Opens a temporary file that replaces `path` if the block succeeds.

    Args:
        path: the file that is to exist, whole, after the block.
        mode: "w" (text, UTF-8 unless `encoding` says otherwise) or "wb".
        encoding: of a text file.
        newline: as in `open`; the csv module wants "".

    Yields:
        The open file object.

    Raises:
        OSError: as for `atomic_path`.
    """
    if "b" not in mode and encoding is None:
        encoding = "utf-8"
    with (
        atomic_path(path) as temporary,
        open(temporary, mode, encoding=encoding, newline=newline) as file,
    ):
        yield file


@contextlib.contextmanager
def atomic_folder(
    path: str | os.PathLike[str],
) -> Iterator[pathlib.Path]:
    """Yields an empty folder that becomes `path` if the block succeeds.

    Args:
        path: the folder that is to exist after the block; it must not exist
            yet, since a folder cannot be replaced in one step.

    Yields:
        A temporary folder beside `path`.

    Raises:
        FileExistsError: `path` exists already.
        OSError: as for `atomic_path`.
    """
    target = pathlib.Path(path)
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(target)
    temporary.mkdir()
    try:
        with naming(target):
            yield temporary
            # One that is made between these two lines is not empty.
            if target.exists():
                raise FileExistsError(f"{target} exists already")
            try:
                os.rename(temporary, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise FileExistsError(f"{target} exists already") from error
            _sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cache_folder() -> pathlib.Path:
    """Returns this program's folder in `$XDG_CACHE_HOME` or `~/.cache`.

    It need not exist. As the XDG base directory specification has it, a path
    that is not absolute counts as none.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return pathlib.Path(base, _PROGRAM)
