"""Archives, addresses and names in the place of a path.

The server runs in this process, on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import pathlib
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import sources
from bert_keras3.safekeeping.errors import UserError

# Received in parts of 65536 bytes.
CONTENT = bytes(range(256)) * 1600


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, in ranges, and breaks off connections on demand."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.version = '"one"'
        self.break_off_after: list[int] = []
        self.asked: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/tiny.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path == "/away.zip":
            self.send_response(302)
            self.send_header("Location", "http://example.invalid/tiny.zip")
            self.end_headers()
            return
        if self.path != "/tiny.zip":
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = 0
        if wanted and self.headers.get("If-Range") == self.server.version:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        size = len(self.server.content)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{size - 1}/{size}"
            )
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.server.version)
        self.end_headers()
        if self.server.break_off_after:
            body = body[: self.server.break_off_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Server]:
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def fetch(server: Server, target: pathlib.Path) -> bytes:
    sources.download(server.address, target, pause=lambda seconds: None)
    return target.read_bytes()


def test_goes_on_after_every_break(tmp_path: pathlib.Path) -> None:
    with serving(CONTENT) as server:
        server.break_off_after = [70_000, 140_000, 60_000]
        assert fetch(server, tmp_path / "a.zip") == CONTENT
        assert server.asked == [
            None,
            "bytes=65536-",
            "bytes=196608-",
            "bytes=196608-",
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_goes_on_in_a_later_run(tmp_path: pathlib.Path) -> None:
    with serving(CONTENT) as server:
        server.break_off_after = [70_000] * 5
        with pytest.raises(UserError, match="to go on where it stopped"):
            fetch(server, tmp_path / "a.zip")
        assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:327_680]
        assert fetch(server, tmp_path / "a.zip") == CONTENT
        assert server.asked[-1] == "bytes=327680-"


def test_starts_anew_when_the_file_has_changed(tmp_path: pathlib.Path) -> None:
    with serving(CONTENT) as server:
        server.break_off_after = [70_000] * 5
        with pytest.raises(UserError):
            fetch(server, tmp_path / "a.zip")
        server.version, server.content = '"two"', CONTENT[::-1]
        assert fetch(server, tmp_path / "a.zip") == CONTENT[::-1]


def test_nobody_answers(tmp_path: pathlib.Path) -> None:
    with serving(CONTENT) as server:
        pass
    with pytest.raises(UserError) as caught:
        fetch(server, tmp_path / "a.zip")
    assert "no connection to " in str(caught.value)
    assert "Pool" not in str(caught.value)


def test_addresses_that_are_refused(tmp_path: pathlib.Path) -> None:
    with serving(CONTENT) as server:
        gone = server.address.replace("tiny", "gone")
        with pytest.raises(UserError, match="the server answers 404"):
            sources.download(gone, tmp_path / "a.zip")
    with pytest.raises(UserError, match="not encrypted"):
        sources.download("http://example.invalid/a.zip", tmp_path / "a.zip")


def test_a_server_that_leads_away(tmp_path: pathlib.Path) -> None:
    with serving(CONTENT) as server:
        address = server.address.replace("tiny", "away")
        with pytest.raises(
            UserError, match=r"leads to http://example\.invalid"
        ):
            sources.download(address, tmp_path / "a.zip")


# Whole checkpoints.


@pytest.fixture
def archive(tmp_path: pathlib.Path, google_folder: Any) -> pathlib.Path:
    """A tiny checkpoint as Google publishes its own: a folder in a .zip."""
    folder = google_folder({"bert/pooler/dense/bias": np.array([1.0, 2.0])})
    path = tmp_path / "tiny.zip"
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(folder.iterdir()):
            file.write(member, f"tiny_L-2/{member.name}")
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bert-keras3" / "checkpoints"


def test_archive_and_file_address(
    archive: pathlib.Path, cache: pathlib.Path
) -> None:
    for path in (archive, str(archive), archive.as_uri()):
        location = checkpointing.locate(path)
        assert location.weights.is_relative_to(cache)
        assert location.weights.parent.name == "tiny_L-2"
        assert location.config_file == location.weights.parent / (
            "bert_config.json"
        )
        arrays = checkpointing.read(path)
        assert arrays["bert/pooler/dense/bias"].tolist() == [1.0, 2.0]


def test_an_address_is_fetched_once(
    archive: pathlib.Path, cache: pathlib.Path
) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with serving(archive.read_bytes()) as server:
        for _ in range(2):
            path = f"{server.address}#sha256={digest}"
            assert "bert/pooler/dense/bias" in checkpointing.read(path)
        assert len(server.asked) == 1
    folders = [path for path in cache.iterdir() if path.is_dir()]
    assert [folder.name[:5] for folder in folders] == ["tiny-"]
    assert (cache / f"{folders[0].name}.sha256").read_text() == f"{digest}\n"


def test_a_wrong_sum(archive: pathlib.Path, cache: pathlib.Path) -> None:
    with serving(archive.read_bytes()) as server:
        for _ in range(2):
            with pytest.raises(UserError, match=f"not {'0' * 64} as it should"):
                checkpointing.read(f"{server.address}#sha256={'0' * 64}")
        assert list(cache.iterdir()) == []
        checkpointing.read(server.address)
        with pytest.raises(UserError, match="as it should be"):
            checkpointing.read(f"{server.address}#sha256={'0' * 64}")
    with pytest.raises(UserError, match="64 hexadecimal digits"):
        checkpointing.read("https://example.invalid/a.zip#sha256=12")


def test_published_names(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, archive: Any
) -> None:
    assert len(sources.PUBLISHED) == 24 + 8
    assert sources.PUBLISHED["uncased_L-2_H-128_A-2"].endswith(
        "/bert_models/2020_02_20/uncased_L-2_H-128_A-2.zip"
    )
    monkeypatch.chdir(tmp_path)
    name = "chinese_L-12_H-768_A-12"
    with serving(archive.read_bytes()) as server:
        monkeypatch.setitem(sources.PUBLISHED, name, server.address)
        assert "bert/pooler/dense/bias" in checkpointing.read(name)
    # What lies here under that name counts first.
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpointing.read(name)
