"""Two runs beside each other: rows won and lost, and McNemar's test."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bert_keras3.finetuning.run_folder import COMPARISON
from bert_keras3.reports.job import run
from bert_keras3.reports.resampling import mcnemar, paired_p_value
from bert_keras3.reports.settings import ReportChoices
from bert_keras3.safekeeping.errors import UserError

LABELS = ("blame", "praise")


def test_mcnemar_by_hand():
    # Of nine coins, one at most, or eight at least, are heads: 20 / 512.
    assert mcnemar(1, 8) == pytest.approx(20 / 512)
    assert mcnemar(8, 1) == pytest.approx(20 / 512)
    assert mcnemar(0, 0) == 1.0


def test_a_permutation_test_by_hand():
    # Of eight sets of three signs, two are as far from 0.
    found = paired_p_value(np.array([0.5, 0.25, 0.0, 0.125]))
    assert found == pytest.approx(2 / 8, abs=0.02)
    assert paired_p_value(np.zeros(4)) == 1.0


@pytest.fixture
def both(write_run, reviews, tmp_path):
    """The second has three of the four mistakes put right, and a new one."""
    rows = [dict(row) for row in reviews.rows]
    for number in (0, 1, 2):
        rows[number]["predicted"] = "praise"
    rows[15]["predicted"] = "praise"
    for row in rows:
        other = {"praise": "blame", "blame": "praise"}[row["predicted"]]
        row["probabilities"] = {row["predicted"]: 0.8, other: 0.2}
    return [
        write_run(
            tmp_path / name,
            reviews.train,
            reviews.dev,
            some,
            {"loss": 0.4, "accuracy": accuracy},
            labels=LABELS,
            seed=seed,
        )
        for name, some, accuracy, seed in (
            ("first", reviews.rows, 0.8, 1),
            ("second", rows, 0.9, 2),
        )
    ]


def test_the_page_in_a_browser(both, screen, opened):
    run([one.path for one in both], ReportChoices(), screen)
    assert screen.lines == [f"report: {both[1] / COMPARISON}"]
    page = opened(both[1] / COMPARISON)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    def rows():
        found = page.find_elements(By.CSS_SELECTOR, "#rows tbody tr")
        return [one.text.split("\n")[0].split()[0] for one in found]

    text = page.find_element(By.ID, "differs").text
    # Of four coins, three or more are alike: 10 / 16.
    assert "3 rows won, 1 lost. McNemar's test: p = 0.62." in text
    assert "both right: 15 · both wrong: 1" in text
    assert sorted(rows()) == ["1", "2", "3"]
    Select(page.find_element(By.ID, "kind")).select_by_value("lost")
    assert rows() == ["16"]
    assert page.find_elements(By.CSS_SELECTOR, "#rows b, #rows img") == []
    assert "seed" in page.find_element(By.ID, "changed").text


def test_other_rows_and_other_tasks(both, screen, write_run, reviews, tmp_path):
    swapped = [reviews.rows[-1], *reviews.rows[1:]]
    other = write_run(
        tmp_path / "other",
        reviews.train,
        reviews.dev,
        swapped,
        reviews.scalars,
        labels=LABELS,
    )
    run([both[0].path, other.path], ReportChoices("zh"), screen)
    page = (other / COMPARISON).read_text("utf-8")
    assert "other 与 first 的评估样本不同" in page
    settings = other.read_settings()
    other.write_settings(dataclasses.replace(settings, problem="regression"))
    with pytest.raises(UserError, match="only runs of one task"):
        run([both[0].path, other.path], ReportChoices(), screen)
