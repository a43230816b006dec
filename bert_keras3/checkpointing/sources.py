"""What a checkpoint's path may also be: an archive, an address, a name.

Each is turned into a folder in the cache; `location` finds the files in it.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping

from bert_keras3.checkpointing.archive import unpack
from bert_keras3.checkpointing.download import download, sha256_of
from bert_keras3.safekeeping.cache import cache_folder
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_folder, atomic_write

Path = str | os.PathLike[str]

_DOWNLOADS = "checkpoints"
_ADDRESS = re.compile(r"(https?|file):/+", re.IGNORECASE)
_PIN = re.compile(r"sha256=([0-9a-fA-F]{64})")
_BASE = "https://storage.googleapis.com/bert_models"

# The models that the original's README links to, by the day of their release.
PUBLISHED: Mapping[str, str] = {
    # The 24 small ones; the largest of them is older and comes below.
    **{
        name: f"{_BASE}/2020_02_20/{name}.zip"
        for layers in (2, 4, 6, 8, 10, 12)
        for width in (128, 256, 512, 768)
        for name in [f"uncased_L-{layers}_H-{width}_A-{width // 64}"]
    },
    **{
        name: f"{_BASE}/{day}/{name}.zip"
        for day, name in (
            ("2018_10_18", "uncased_L-12_H-768_A-12"),
            ("2018_10_18", "uncased_L-24_H-1024_A-16"),
            ("2018_10_18", "cased_L-12_H-768_A-12"),
            ("2018_10_18", "cased_L-24_H-1024_A-16"),
            ("2018_11_03", "chinese_L-12_H-768_A-12"),
            ("2018_11_03", "multilingual_L-12_H-768_A-12"),
            ("2018_11_23", "multi_cased_L-12_H-768_A-12"),
            ("2019_05_30", "wwm_uncased_L-24_H-1024_A-16"),
            ("2019_05_30", "wwm_cased_L-24_H-1024_A-16"),
        )
    },
}


def local_path(path: Path, cache: pathlib.Path | None = None) -> pathlib.Path:
    """Makes a path on this machine of whatever names a checkpoint.

    Args:
        path: a path; the path of a `.zip`; an `https://` or `file://` address
            of one, with `#sha256=…` behind it if its sum is known; one of
            PUBLISHED, where no file has that name.
        cache: where to keep what is fetched and unpacked; by default in
            `cache_folder()`.

    Returns:
        The path, or the folder that the archive was unpacked into. An
        archive that was unpacked before is not fetched again.

    Raises:
        UserError: it cannot be fetched or unpacked, or its SHA-256 is not
            the one that is known.
    """
    text = os.fspath(path)
    cache = cache or cache_folder() / _DOWNLOADS
    if not _ADDRESS.match(text):
        local = pathlib.Path(text).expanduser()
        if local.suffix == ".zip" and local.is_file():
            return _unpacked_file(local, None, cache)
        if text in PUBLISHED and not local.exists():
            return _downloaded(PUBLISHED[text], None, cache)
        return local
    # A pathlib.Path has made one slash of the two.
    text = _ADDRESS.sub(lambda match: f"{match[1].lower()}://", text)
    address, _, fragment = text.partition("#")
    pin = _pin(text, fragment)
    if address.startswith("file://"):
        place = urllib.parse.urlsplit(address.replace("file://", "file:///"))
        local = pathlib.Path(urllib.request.url2pathname(place.path))
        if local.suffix == ".zip":
            return _unpacked_file(local, pin, cache)
        return local
    return _downloaded(address, pin, cache)


def _pin(text: str, fragment: str) -> str | None:
    if not fragment:
        return None
    match = _PIN.fullmatch(fragment)
    if match is None:
        raise UserError(
            f"{text}: behind the # there may be sha256= and 64 hexadecimal "
            f"digits, not {fragment!r}"
        )
    return match[1].lower()


def _unpacked_file(
    path: pathlib.Path, pin: str | None, cache: pathlib.Path
) -> pathlib.Path:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    status = path.stat()
    version = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    folder = _folder(cache, path.stem, version)
    if not folder.is_dir():
        _unpack(path, folder, sha256_of(path), pin, str(path))
    _check_pin(folder, pin, str(path))
    return folder


def _downloaded(
    address: str, pin: str | None, cache: pathlib.Path
) -> pathlib.Path:
    name = pathlib.PurePosixPath(urllib.parse.urlsplit(address).path).name
    folder = _folder(cache, pathlib.PurePath(name).stem, address)
    if not folder.is_dir():
        archive = folder.with_name(f"{folder.name}.zip")
        download(address, archive)
        try:
            _unpack(archive, folder, sha256_of(archive), pin, address)
        finally:
            archive.unlink()
    _check_pin(folder, pin, address)
    return folder


def _unpack(
    archive: pathlib.Path,
    folder: pathlib.Path,
    found: str,
    pin: str | None,
    source: str,
) -> None:
    # What was seen once is known from then on, even if the folder is removed.
    _refuse_unless_equal(pin or _recorded(folder), found, source)
    with atomic_folder(folder) as unfinished:
        unpack(archive, unfinished)
    with atomic_write(_record(folder)) as file:
        file.write(f"{found}\n")


def _check_pin(folder: pathlib.Path, pin: str | None, source: str) -> None:
    if pin is not None:
        _refuse_unless_equal(pin, _recorded(folder), source)


def _refuse_unless_equal(
    known: str | None, found: str | None, source: str
) -> None:
    if known is not None and known != found:
        raise UserError(
            f"{source}: its SHA-256 is {found}, not {known} as it should be; "
            "it was changed or damaged on the way"
        )


def _folder(cache: pathlib.Path, stem: str, version: str) -> pathlib.Path:
    """The name tells people what it is, the sum keeps versions apart."""
    clean = re.sub(r"[^\w.-]+", "_", stem) or "checkpoint"
    digest = hashlib.sha256(version.encode("utf-8")).hexdigest()[:12]
    return cache / f"{clean}-{digest}"


def _record(folder: pathlib.Path) -> pathlib.Path:
    return folder.with_name(f"{folder.name}.sha256")


def _recorded(folder: pathlib.Path) -> str | None:
    try:
        return _record(folder).read_text().strip()
    except OSError:
        return None
