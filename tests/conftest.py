"""What the tests share: the reference material, disks that are full."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import sys
import threading
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
def shared() -> pathlib.Path:
    """The folder of reference arrays, checkpoints and data sets.

    It is not part of the project; the tests that want it are skipped, with
    the reason shown, where it is absent.
    """
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the reference material in {folder}")
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
