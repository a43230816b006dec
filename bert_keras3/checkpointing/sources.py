"""Downloads and unpacks checkpoints that are given by URL, name or archive.

`uncased_L-2_H-128_A-2`, `https://host/model.zip#sha256=…` and `model.zip` each
become a folder in the cache; downloads are resumed and checksums verified.

Retries are written here, since urllib3's `Retry` repeats a request, but does
not resume a body that broke off half-way from the bytes received, of the same
version of the file. Each redirection is checked before it is followed.

An archive may be malicious: nothing is written outside of the folder, and
sizes are limited. Names are checked here, since `ZipFile.extract` drops `..`
from a name and writes the file elsewhere, and has no limits.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import tarfile
import time
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import IO

import requests
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import (
    atomic_folder,
    atomic_write,
    cache_folder,
)

Path = str | os.PathLike[str]

_DOWNLOADS = "checkpoints"
_ADDRESS = re.compile(r"(https?|file):/+", re.IGNORECASE)
_PIN = re.compile(r"sha256=([0-9a-fA-F]{64})")
_BASE = "https://storage.googleapis.com/bert_models"

# Of downloads.
_TRIES = 5
_SECONDS_TO_CONNECT = 20
_SECONDS_WITHOUT_A_BYTE = 60
# Bytes that are written at a time; an incomplete chunk is fetched again.
_CHUNK = 1 << 16
_MOST_REDIRECTIONS = 10
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
# Errors of `requests` for a connection that breaks off.
_BROKEN_OFF = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)

# Of archives.
_MOST_MEMBERS = 10_000
# Weights hardly compress, and the text beside them is small.
_LARGEST_INFLATION = 50
_ALWAYS_ALLOWED = 64 << 20
_ARCHIVES = (".zip", ".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"
# Errors of `zipfile` and `tarfile` for a damaged archive.
_DAMAGE = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)

# The models that the original's README links to, by the day of their release.
PUBLISHED: Mapping[str, str] = {
    # The 24 small models; the largest of them is older and comes below.
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
    """Returns a local path for whatever names a checkpoint.

    Args:
        path: a path; the path of a `.zip` or `.tar.gz`; an `https://` or
            `file://` URL of one, with `#sha256=…` after it if its checksum is
            known; one of PUBLISHED, where no file has that name.
        cache: folder for downloads and unpacked archives; by default in
            `cache_folder()`.

    Returns:
        The path, or the folder that the archive was unpacked into. An
        archive that was unpacked before is not downloaded again.

    Raises:
        UserError: it cannot be downloaded or unpacked, or its SHA-256 is not
            the known one.
    """
    text = os.fspath(path)
    cache = cache or cache_folder() / _DOWNLOADS
    if not _ADDRESS.match(text):
        local = pathlib.Path(text).expanduser()
        if local.name.endswith(_ARCHIVES) and local.is_file():
            return _unpacked_file(local, None, cache)
        if text in PUBLISHED and not local.exists():
            return _downloaded(PUBLISHED[text], None, cache)
        return local
    # pathlib.Path reduces the two slashes to one.
    text = _ADDRESS.sub(lambda match: f"{match[1].lower()}://", text)
    address, _, fragment = text.partition("#")
    pin = _pin(text, fragment)
    if address.startswith("file://"):
        place = urllib.parse.urlsplit(address.replace("file://", "file:///"))
        local = pathlib.Path(urllib.request.url2pathname(place.path))
        if local.name.endswith(_ARCHIVES):
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
    folder = _folder(cache, _stem(path.name), version)
    if not folder.is_dir():
        _unpack_checked(path, folder, sha256_of(path), pin, str(path))
    _check_pin(folder, pin, str(path))
    return folder


def _downloaded(
    address: str, pin: str | None, cache: pathlib.Path
) -> pathlib.Path:
    name = pathlib.PurePosixPath(urllib.parse.urlsplit(address).path).name
    folder = _folder(cache, _stem(name), address)
    if not folder.is_dir():
        archive = folder.with_name(f"{folder.name}.zip")
        download(address, archive)
        try:
            _unpack_checked(archive, folder, sha256_of(archive), pin, address)
        finally:
            archive.unlink()
    _check_pin(folder, pin, address)
    return folder


def _unpack_checked(
    archive: pathlib.Path,
    folder: pathlib.Path,
    found: str,
    pin: str | None,
    source: str,
) -> None:
    # A recorded checksum counts even after its folder is removed.
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


def _stem(name: str) -> str:
    ending = next((one for one in _ARCHIVES if name.endswith(one)), None)
    return name.removesuffix(ending) if ending else pathlib.PurePath(name).stem


def _folder(cache: pathlib.Path, stem: str, version: str) -> pathlib.Path:
    """Names a folder by the archive and a checksum of its version."""
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


def download(
    address: str,
    target: pathlib.Path,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Downloads a URL to a file.

    Bytes received before, in this run or an earlier one, are kept as `target`
    with the ending `.part` and not fetched again, unless the server says that
    the file has changed.

    Args:
        address: `https://…`; `http://` on this machine alone.
        target: the file; it exists once it is complete.
        pause: waits between two tries.

    Raises:
        UserError: the server cannot be reached, refuses, or breaks off in
            every try; the bytes received are kept for the next time.
    """
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_TRIES):
        try:
            if _receive(address, part):
                part.replace(target)
                _state_file(part).unlink(missing_ok=True)
                return
        except _BROKEN_OFF as error:
            problem = _in_words(address, error)
        else:
            problem = "the connection ended early"
        if attempt + 1 < _TRIES:
            pause(2.0**attempt)
    raise UserError(
        f"{address}: cannot be downloaded: {problem}; run the same command "
        "again to go on where it stopped, or download it by hand and give the "
        "path of the .zip"
    )


def _in_words(address: str, error: Exception) -> str:
    """Describes an error; `requests` would show names of its objects."""
    host = urllib.parse.urlsplit(address).hostname
    if isinstance(error, requests.Timeout):
        return f"{host} does not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection to {host} broke off"
    return f"no connection to {host} (is this machine offline?)"


def sha256_of(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _receive(address: str, part: pathlib.Path) -> bool:
    """Downloads the missing bytes; returns whether the file is complete."""
    have, known = _state(part)
    headers = {"Accept-Encoding": "identity"}
    if have and known:
        # The rest, but only of the same version of the file.
        headers |= {"Range": f"bytes={have}-", "If-Range": known}
    with _open(address, headers) as response:
        if response.status_code not in (200, 206):
            raise UserError(
                f"{address}: the server answers {response.status_code} "
                f"{response.reason}; check the address"
            )
        resumed = response.status_code == 206 and _starts_at(response, have)
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        _check_space(address, part, (total or 0) - have)
        _remember(part, response)
        with (
            _progress() as progress,
            open(part, "r+b" if resumed else "wb") as file,
        ):
            file.seek(have)
            task = progress.add_task(
                address.rsplit("/", 1)[-1], total=total, completed=have
            )
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress.update(task, completed=have)
        return total is None or have == total


def _open(address: str, headers: dict[str, str]) -> requests.Response:
    """Requests a URL, and follows redirections."""
    place = address
    for _ in range(_MOST_REDIRECTIONS):
        _refuse_unless_safe(place, address)
        response = requests.get(
            place,
            headers=headers,
            stream=True,
            timeout=(_SECONDS_TO_CONNECT, _SECONDS_WITHOUT_A_BYTE),
            # Each redirection is checked before it is followed.
            allow_redirects=False,
        )
        if not response.is_redirect:
            return response
        place = urllib.parse.urljoin(place, response.headers["Location"])
        response.close()
    raise UserError(f"{address}: leads from one address to the next for ever")


def _refuse_unless_safe(address: str, given: str) -> None:
    """Refuses unencrypted connections, except on this machine."""
    url = urllib.parse.urlsplit(address)
    if url.scheme == "https":
        return
    if url.scheme == "http" and url.hostname in _LOCAL_HOSTS:
        return
    raise UserError(
        f"{given}: leads to {address}, which is not encrypted; give an "
        "https:// address"
    )


def _starts_at(response: requests.Response, have: int) -> bool:
    content = response.headers.get("Content-Range", "")
    return content.startswith(f"bytes {have}-")


def _check_space(address: str, part: pathlib.Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f"{address}: needs {needed} more bytes, the disk of {part.parent} "
            f"has {free} free"
        )


def _state_file(part: pathlib.Path) -> pathlib.Path:
    return part.with_name(f"{part.name}.json")


def _state(part: pathlib.Path) -> tuple[int, str | None]:
    """Returns the bytes received before, and the version of their file."""
    try:
        version = json.loads(_state_file(part).read_text())["version"]
        return part.stat().st_size, str(version)
    except (OSError, ValueError, KeyError, TypeError):
        return 0, None


def _remember(part: pathlib.Path, response: requests.Response) -> None:
    # A weak tag does not promise equal bytes.
    tag = response.headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else None
    version = version or response.headers.get("Last-Modified")
    if version is None:
        _state_file(part).unlink(missing_ok=True)
        return
    with atomic_write(_state_file(part)) as file:
        json.dump({"version": version}, file)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def unpack(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the files of an archive into a folder.

    Args:
        path: a `.zip` or `.tar.gz` file, which its content tells.
        folder: exists and is empty.

    Raises:
        UserError: it is no archive or a damaged one, or a member would be
            written outside of the folder, is a link, is encrypted, or grows
            beyond the limits. The folder may contain some files then.
    """
    with open(path, "rb") as file:
        is_tar = file.read(len(_GZIP)) == _GZIP
    try:
        (_unpack_tar if is_tar else _unpack_zip)(path, folder)
    except UserError:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"{path}: holds two files of one name: {error.filename}"
        ) from error
    except _DAMAGE as error:
        raise UserError(
            f"{path}: is not a {'.tar.gz' if is_tar else '.zip'} archive, or "
            f"is damaged: {error}; fetch it again"
        ) from error


def _unpack_zip(path: pathlib.Path, folder: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [
            info
            for info in archive.infolist()
            if not info.is_dir() and not info.filename.startswith("__MACOSX")
        ]
        _check_amount(path, members, shutil.disk_usage(folder).free)
        for info in members:
            name = info.filename
            if stat.S_ISLNK(info.external_attr >> 16):
                raise UserError(
                    f"{path}: the member {name!r} is a link; refused"
                )
            with archive.open(info) as source:
                _write_member(path, folder, name, source)


def _unpack_tar(path: pathlib.Path, folder: pathlib.Path) -> None:
    # Read once, from the front: how much it holds, only reading it shows.
    with (
        gzip.open(path) as content,
        tarfile.open(
            fileobj=_Limited(path, content, shutil.disk_usage(folder).free),  # type: ignore[call-overload]
            mode="r|",
        ) as archive,
    ):
        for count, member in enumerate(archive):
            # `tar -C folder .` writes names that begin like this.
            name = member.name.removeprefix("./")
            if count >= _MOST_MEMBERS:
                raise UserError(
                    f"{path}: holds {count} files and more; refused"
                )
            if member.isdir() or name.startswith("__MACOSX"):
                continue
            source = archive.extractfile(member) if member.isreg() else None
            # A sparse file takes less in the archive than on the disk.
            if source is None or member.issparse():
                raise UserError(
                    f"{path}: the member {name!r} is a link, or no plain "
                    "file; refused"
                )
            _write_member(path, folder, name, source)


class _Limited:
    """The content of an archive, until it is more than is allowed."""

    def __init__(
        self, path: pathlib.Path, content: gzip.GzipFile, free: int
    ) -> None:
        packed = path.stat().st_size
        self._path, self._content = path, content
        self._limit = min(
            max(_LARGEST_INFLATION * packed, _ALWAYS_ALLOWED), free
        )
        self._read = 0

    def read(self, size: int) -> bytes:
        """Returns the next bytes, at most `size`."""
        found = self._content.read(size)
        self._read += len(found)
        if self._read > self._limit:
            raise UserError(
                f"{self._path}: would grow to more than {self._limit} bytes, "
                "more than a checkpoint does or the disk has free; refused"
            )
        return found


def _write_member(
    path: pathlib.Path, folder: pathlib.Path, name: str, source: IO[bytes]
) -> None:
    target = folder.joinpath(*_safe_parts(path, name))
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


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


def _safe_parts(path: pathlib.Path, name: str) -> tuple[str, ...]:
    """Splits a member's name into parts that stay within the folder."""
    parts = tuple(name.split("/"))
    bad = any(
        part in ("", ".", "..") or "\\" in part or ":" in part for part in parts
    )
    if bad:
        raise UserError(
            f"{path}: the member {name!r} would be written outside of the "
            "folder; refused"
        )
    return parts
