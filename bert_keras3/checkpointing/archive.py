"""Opens `.zip` archives that may have been made to do harm.

Nothing is written outside of the folder, and nothing swells beyond what
weights can. Names are checked here, since `ZipFile.extract` takes `..` out of
a name and writes the file elsewhere than its maker said, where an archive
with such a name should be refused, and knows neither links nor limits.
"""

from __future__ import annotations

import pathlib
import shutil
import stat
import zipfile
import zlib

from bert_keras3.safekeeping.errors import UserError

_MOST_MEMBERS = 10_000
# Real weights hardly shrink, and the text beside them is small.
_LARGEST_INFLATION = 50
_ALWAYS_ALLOWED = 64 << 20

# What a damaged or odd archive makes zipfile raise.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


def unpack(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the files of an archive into a folder.

    Args:
        path: a `.zip` file.
        folder: exists and is empty.

    Raises:
        UserError: it is no archive or a damaged one, or a member would be
            written outside of the folder, is a link, is encrypted, or would
            grow beyond measure. The folder may hold some files then.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                info
                for info in archive.infolist()
                if not info.is_dir()
                and not info.filename.startswith("__MACOSX")
            ]
            _check_amount(path, members, shutil.disk_usage(folder).free)
            for info in members:
                target = folder.joinpath(*_safe_parts(path, info))
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, open(target, "xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except UserError:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"{path}: holds two files of one name: {error.filename}"
        ) from error
    except _DAMAGE as error:
        raise UserError(
            f"{path}: is not a .zip archive, or is damaged: {error}; fetch it "
            "again"
        ) from error


def _check_amount(
    path: pathlib.Path, members: list[zipfile.ZipInfo], free: int
) -> None:
    total = sum(info.file_size for info in members)
    packed = path.stat().st_size
    if len(members) > _MOST_MEMBERS:
        raise UserError(f"{path}: holds {len(members)} files; refused")
    if total > max(_LARGEST_INFLATION * packed, _ALWAYS_ALLOWED):
        raise UserError(
            f"{path}: would grow from {packed} to {total} bytes; refused"
        )
    if total > free:
        raise UserError(
            f"{path}: needs {total} bytes unpacked, the disk has {free} free"
        )


def _safe_parts(path: pathlib.Path, info: zipfile.ZipInfo) -> tuple[str, ...]:
    """Takes a member's name apart, or refuses to."""
    name = info.filename
    parts = tuple(name.split("/"))
    bad = any(
        part in ("", ".", "..") or "\\" in part or ":" in part for part in parts
    )
    if bad:
        raise UserError(
            f"{path}: the member {name!r} would be written outside of the "
            "folder; refused"
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UserError(f"{path}: the member {name!r} is a link; refused")
    return parts
