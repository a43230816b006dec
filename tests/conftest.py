"""What the tests share: reference material, full disks, a browser."""

from __future__ import annotations

import contextlib
import gzip
import json
import pathlib
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium by way of its driver."""
    pytest.importorskip("selenium")
    from selenium import webdriver

    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("headless=new", "no-sandbox", "window-size=1100,1600"):
        options.add_argument(f"--{flag}")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    service = webdriver.ChromeService(executable_path=driver)
    with contextlib.closing(
        _Closing(webdriver.Chrome(options=options, service=service))
    ) as opened:
        yield opened.driver


class _Closing:
    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def close(self) -> None:
        self.driver.quit()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[[pathlib.Path], Any]]:
    """Opens a page; afterwards nothing may have failed or been loaded."""

    def open_page(path: pathlib.Path) -> Any:
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get(path.as_uri())
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(browser, 20).until(
            lambda driver: driver.execute_script(
                "return document.documentElement.dataset.ready"
            )
        )
        return browser

    yield open_page
    assert browser.get_log("browser") == []
    requests = [
        json.loads(entry["message"])["message"]
        for entry in browser.get_log("performance")
    ]
    addresses = [
        one["params"]["request"]["url"]
        for one in requests
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert addresses
    assert all(url.startswith(("file:", "data:")) for url in addresses)
