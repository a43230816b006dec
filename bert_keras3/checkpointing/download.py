"""Downloads one large file: with a progress bar, resumed, checked.

The tries are counted here: urllib3's `Retry` sends a request again, but a body
that breaks off half-way has to go on behind the bytes that have come, of the
same version of the file, and each redirection is checked before it is taken.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
import time
import urllib.parse
from collections.abc import Callable

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
from bert_keras3.safekeeping.files import atomic_write

_TRIES = 5
_SECONDS_TO_CONNECT = 20
_SECONDS_WITHOUT_A_BYTE = 60
# What a broken connection has not filled is fetched again.
_CHUNK = 1 << 16
_MOST_REDIRECTIONS = 10
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

# What a connection that breaks off makes requests raise.
_BROKEN_OFF = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


def download(
    address: str,
    target: pathlib.Path,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Downloads an address to a file.

    What was received of it before, in this run or an earlier one, is kept as
    `target` with the ending `.part` and not fetched again, unless the server
    says that the file has changed.

    Args:
        address: `https://…`; `http://` on this machine alone.
        target: the file; it is there when it is whole.
        pause: waits between two tries.

    Raises:
        UserError: the address cannot be reached, refuses, or breaks off
            again and again; what has come is kept for the next time.
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
    """Says what broke; requests' own words hold its objects' names."""
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
    """Fetches what is missing; returns whether the file is whole."""
    have, known = _state(part)
    headers = {"Accept-Encoding": "identity"}
    if have and known:
        # The rest only if the file is still the one that was begun.
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
    """Asks for an address, and for where it leads to."""
    place = address
    for _ in range(_MOST_REDIRECTIONS):
        _refuse_unless_safe(place, address)
        response = requests.get(
            place,
            headers=headers,
            stream=True,
            timeout=(_SECONDS_TO_CONNECT, _SECONDS_WITHOUT_A_BYTE),
            # Each step is looked at before it is taken.
            allow_redirects=False,
        )
        if not response.is_redirect:
            return response
        place = urllib.parse.urljoin(place, response.headers["Location"])
        response.close()
    raise UserError(f"{address}: leads from one address to the next for ever")


def _refuse_unless_safe(address: str, asked: str) -> None:
    """Refuses what anyone on the way could change."""
    url = urllib.parse.urlsplit(address)
    if url.scheme == "https":
        return
    if url.scheme == "http" and url.hostname in _LOCAL_HOSTS:
        return
    raise UserError(
        f"{asked}: leads to {address}, which is not encrypted; give an "
        "https:// address"
    )


def _starts_at(response: requests.Response, have: int) -> bool:
    given = response.headers.get("Content-Range", "")
    return given.startswith(f"bytes {have}-")


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
    """What has come before: bytes, and how the server named that file."""
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
