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


SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FILLERS = ("the", "film", "was", "so", "and", "it", "is", "a")
WORDS = (*FILLERS, "good", "bad", "un", "##seen", "今", "天")


@pytest.fixture(scope="session")
def make_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., pathlib.Path]:
    """Writes a run folder with random weights, as a training leaves it."""
    import keras

    from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
    from bert_keras3.finetuning.tasks import TASKS
    from modeling import BertConfig, BertWithHeads

    def make(
        problem: str, labels: tuple[str, ...], takes_pairs: bool = False
    ) -> pathlib.Path:
        folder = tmp_path_factory.mktemp(problem)
        config = BertConfig(
            vocab_size=len(SPECIAL + WORDS),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
            initializer_range=0.4,
        )
        keras.utils.set_random_seed(3)
        task = TASKS[problem](labels)
        model = BertWithHeads(config, task.heads, labels or ("score",))
        vocab_file = folder / "vocab.txt"
        vocab_file.write_text(
            "".join(f"{token}\n" for token in SPECIAL + WORDS), "utf-8"
        )
        run = FinetuningFolder(folder)
        run.write_encoder_files(config, vocab_file)
        run.save_model(model)
        run.write_settings(
            RunSettings(
                task_name="csv",
                problem=problem,
                labels=labels,
                max_seq_length=16,
                do_lower_case=True,
                takes_pairs=takes_pairs,
            )
        )
        return folder

    return make
