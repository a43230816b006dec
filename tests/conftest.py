"""What the tests share: the reference material, disks that are full."""

from __future__ import annotations

import contextlib
import gzip
import json
import pathlib
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def pytest_configure():
    """Lets Ctrl-C come through, which a shell's background would ignore."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    """The folder of what other programs computed; its README says how."""
    return ROOT / "tests" / "reference"


@pytest.fixture(scope="session")
def small_bert(
    reference: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """A checkpoint of the original's in a folder, with a vocabulary."""
    path = tmp_path_factory.mktemp("small_bert")
    for file in (reference / "small_bert").glob("bert_*"):
        shutil.copy(file, path)
    kept = (reference / "extract_features.json.gz").read_bytes()
    tokens = json.loads(gzip.decompress(kept))["vocabulary"]
    (path / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in tokens), "utf-8"
    )
    return path


@pytest.fixture(scope="session")
def write_vocabulary() -> Callable[[Mapping[str, Any], pathlib.Path], str]:
    """A function that writes an abridged vocabulary at its full length.

    Given are the `size` of the vocabulary and, as `entries`, the ids of all
    its tokens that occur in some texts. Every other line is a token that no
    text has, so that these texts are tokenized as with all of it.
    """

    def write(abridged: Mapping[str, Any], path: pathlib.Path) -> str:
        tokens = [f"[unused {n}]" for n in range(abridged["size"])]
        for token, number in abridged["entries"].items():
            tokens[number] = token
        path.write_text("".join(f"{token}\n" for token in tokens), "utf-8")
        return str(path)

    return write


@pytest.fixture
def shared(request) -> pathlib.Path:
    """A folder of large material: data sets, vocabularies, checkpoints.

    It is not part of the project. Only slow tests may ask for it, and they
    are skipped where it is absent: the default run needs nothing but a clone.
    """
    if request.node.get_closest_marker("slow") is None:
        pytest.fail("only a test marked `slow` may use the folder `shared`")
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the large material in {folder}")
    return folder


@contextlib.contextmanager
def files_of_at_most(size):
    """To its writer, a file that may grow no more is a full disk.

    Python itself would leave half of what it compiles on it, for good.
    """
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with mock.patch.object(sys, "dont_write_bytecode", True):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk():
    """A function of bytes: a context in which no file can have more."""
    return files_of_at_most


@pytest.fixture
def full_at_call():
    """A function that lets the disk be full during one call of a function."""

    def change(monkeypatch, owner, name, number, size=4096):
        original = getattr(owner, name)
        calls = []

        def call(*args):
            calls.append(args)
            if len(calls) == number:
                with files_of_at_most(size):
                    return original(*args)
            return original(*args)

        monkeypatch.setattr(owner, name, call)

    return change
