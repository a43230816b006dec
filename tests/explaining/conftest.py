"""A small real checkpoint, and a browser."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def folder(small_bert: pathlib.Path) -> pathlib.Path:
    """Three layers of 64, with a vocabulary."""
    return small_bert


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
