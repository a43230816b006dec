"""The report on one run: figures, rows, and the page in a browser."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from bert_keras3.commands.fine_tuning import report
from bert_keras3.finetuning.run_folder import EVALUATED, PROVENANCE, REPORT
from bert_keras3.reports.baselines import Vectors
from bert_keras3.reports.job import run
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.resampling import intervals, mean_of
from bert_keras3.reports.settings import ReportChoices, ReportFlags
from bert_keras3.reports.single_label import classification_metrics
from bert_keras3.reports.wording import texts
from bert_keras3.safekeeping.errors import UserError

LABELS = ("blame", "praise")


@pytest.fixture
def folder(write_run, reviews, tmp_path):
    return write_run(
        tmp_path / "out",
        reviews.train,
        reviews.dev,
        reviews.rows,
        reviews.scalars,
        labels=LABELS,
        confusion=reviews.confusion,
    )


def page_of(folder, screen, language="en"):
    run([folder.path], ReportChoices(language), screen)
    return (folder / REPORT).read_text("utf-8")


def data_of(page):
    found = re.search(
        r'<script type="application/json".*?>(.*?)</script>', page
    )
    return json.loads(found[1])


def test_intervals_by_hand():
    """Of 40 examples, 30 are right: a binomial's percentiles."""
    right = np.repeat([1, 0], [30, 10])
    found = intervals(right, {"accuracy": mean_of(np.array([0.0, 1.0]))})
    value, low, high = found["accuracy"]
    assert value == 0.75
    # scipy.stats.binom(40, 0.75).ppf((0.025, 0.975)) / 40
    assert abs(low - 24 / 40) <= 0.03
    assert abs(high - 35 / 40) <= 0.03


def test_metrics_are_those_of_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(0)
    expected, predicted = rng.integers(0, 4, (2, 200))
    found = classification_metrics(expected, predicted, 4)
    wanted = {
        "accuracy": metrics.accuracy_score(expected, predicted),
        "macro_f1": metrics.f1_score(expected, predicted, average="macro"),
        "mcc": metrics.matthews_corrcoef(expected, predicted),
    }
    once = np.ones((1, 200))
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name](once)[0], value, rtol=1e-12)


def test_the_page_says_how_good_it_is(folder, screen):
    page = page_of(folder, screen)
    assert screen.lines == [f"report: {folder / REPORT}"]
    # "good" and "bad" decide, so words alone are enough.
    assert "accuracy 0.8: worse than “bag of words” (1)" in page
    assert "http" not in re.sub(r"<script type.*?</script>", "", page)
    rows = {row["row"]: row for row in data_of(page)["rows"]}
    assert len(rows) == 20
    assert rows[4]["predicted"] == "blame"
    # The surest mistake comes first.
    mistakes = {
        row["kinds"]["mistake"]: number
        for number, row in rows.items()
        if "mistake" in row["kinds"]
    }
    assert mistakes == {0: 4, 1: 3, 2: 2, 3: 1}
    assert rows[1]["kinds"]["unsure"] == 0
    # Its row 2 is evaluated as well.
    assert "Evaluated texts that were trained on (1)" in page


def test_chinese(folder, screen):
    page = page_of(folder, screen, "zh")
    assert '<html lang="zh">' in page
    assert "效果好吗？" in page
    assert "Is it good?" not in page
    for key, both in texts().items():
        fields = [sorted(re.findall(r"{\w+}", text)) for text in both]
        assert len(both) == 2
        assert fields[0] == fields[1], key


def test_whatever_is_missing(folder, screen, tmp_path):
    (tmp_path / "out_dev.csv").unlink()
    assert "The data files could not be read" in page_of(folder, screen)
    (folder / EVALUATED).unlink()
    (folder / PROVENANCE).unlink()
    page = page_of(folder, screen)
    assert "were not kept" in page
    (folder / "eval_results.json").unlink()
    page = page_of(folder, screen)
    assert "The last one, after step 20: loss 0.4, accuracy 0.8" in page
    (folder / "training_log.jsonl").write_text('{"step": 1, "lo')
    assert "There is no evaluation" in page_of(folder, screen)


def test_a_report_that_fails_is_a_line(folder, screen, tmp_path, capsys):
    (folder / EVALUATED).write_text("{\n")
    report(ReportFlags(), folder.path)
    said = capsys.readouterr().out
    assert said.startswith("warning: no report was written: ")
    assert said.count("\n") == 1
    report(ReportFlags(report=False), folder.path)
    assert not capsys.readouterr().out
    with pytest.raises(UserError, match="is damaged"):
        run([folder.path], ReportChoices(), screen)
    with pytest.raises(UserError, match="no classifier was trained here"):
        run([tmp_path], ReportChoices(), screen)
    with pytest.raises(UserError, match="name the --output_dir"):
        run([], ReportChoices(), screen)


def test_a_page_has_a_limit(folder, screen, write_run, tmp_path):
    """1000 long texts of signs that need six bytes each."""
    dev = [("<" * 3000, "praise")] * 1000
    row = {"label": "praise", "predicted": "blame", "label_probability": 0.4}
    rows = [{**row, "probabilities": {"blame": 0.6, "praise": 0.4}}] * 1000
    large = write_run(
        tmp_path / "large",
        [("a", "praise"), ("b", "blame")] * 5,
        dev,
        rows,
        {"loss": 1.0, "accuracy": 0.0},
        labels=LABELS,
    )
    page = page_of(large, screen)
    assert len(page.encode("utf-8")) < 2_000_000
    assert len(data_of(page)["rows"]) > 100


def test_the_record_opens_the_files_again(folder):
    record = RunRecord.open(folder.path)
    assert len(list(record.trained_on())) == 100
    assert len(list(record.evaluated())) == 20
    assert record.held_out is None


def test_the_page_in_a_browser(folder, screen, opened):
    page_of(folder, screen)
    page = opened(folder / REPORT)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    def find(selector):
        return page.find_elements(By.CSS_SELECTOR, selector)

    def rows():
        return [one.text for one in find("#rows tbody tr")]

    # The mistakes, the surest first; what a text holds is text.
    assert [row.split()[0] for row in rows()] == ["4", "3", "2", "1"]
    assert find("#rows b, #rows img, #rows textarea") == []
    assert '</textarea> <img src=x onerror="boom()"> & "it"' in rows()[-1]
    assert page.find_element(By.ID, "count").text == "4 of 4"
    # A cell of the confusion matrix: praise that is taken for blame.
    cell = find("#confusion button[data-expected=praise]")[0]
    cell.click()
    assert cell.get_attribute("aria-pressed") == "true"
    assert len(rows()) == 4
    find("#confusion button[data-expected=blame]")[0].click()
    assert len(rows()) == 10
    page.find_element(By.ID, "cell").click()
    Select(page.find_element(By.ID, "kind")).select_by_value("")
    assert len(rows()) == 20
    page.find_element(By.ID, "search").send_keys("BAD")
    assert len(rows()) == 10
    find("#rows th button[data-key=confidence]")[0].click()
    first = [float(row.split()[-1]) for row in rows()]
    assert first == sorted(first)
    find("#rows th button[data-key=confidence]")[0].click()
    assert [float(row.split()[-1]) for row in rows()] == first[::-1]
    page.find_element(By.ID, "search").send_keys("nothing like it")
    assert rows() == ["Nothing matches."]


def test_labels_are_text_too(write_run, screen, tmp_path, opened):
    """A label, a word and the name of the folder are tags."""
    labels = ("<b>bad</b>", "<i>good</i>")
    texts = [("<u>one</u>", labels[0]), ("two", labels[1])] * 4
    rows = [
        {
            "label": label,
            "predicted": labels[0],
            "label_probability": 0.5,
            "probabilities": {labels[0]: 0.6, labels[1]: 0.4},
        }
        for _, label in texts
    ]
    figures = {"precision": 0.5, "recall": 1.0, "f1": 0.6, "support": 4}
    folder = write_run(
        tmp_path / "<s>run<s>",
        texts,
        texts,
        rows,
        {"loss": 0.7, "accuracy": 0.5},
        labels=labels,
        confusion=[[4, 0], [4, 0]],
        details={"per_label": dict.fromkeys(labels, figures)},
    )
    page_of(folder, screen)
    page = opened(folder / REPORT)
    from selenium.webdriver.common.by import By

    tags = "section b b, section i, section u, section s, h1 s"
    assert page.find_elements(By.CSS_SELECTOR, tags) == []
    assert page.find_element(By.TAG_NAME, "h1").text == "<s>run<s>"
    (cell,) = page.find_elements(By.CSS_SELECTOR, "#confusion .wrong button")
    cell.click()
    found = page.find_elements(By.CSS_SELECTOR, "#rows tbody tr")
    assert len(found) == 4
    assert "<i>good</i> <b>bad</b>" in found[0].text
    assert "<i>good</i> → <b>bad</b>" in page.find_element(By.ID, "cell").text
    sorting = page.find_elements(By.CSS_SELECTOR, "#labels th button")
    sorting[0].click()
    first = page.find_element(By.CSS_SELECTOR, "#labels tbody td")
    assert first.text == "<i>good</i>"


def test_words_that_were_not_trained_on_have_no_weight():
    """As where a vocabulary is kept, and no hashes of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["the good soup", "the bad tea", "good tea"]
    others = ["the good soup was unheard of", "tea"]
    vectors = Vectors()
    found = [vectors.fit(texts), vectors.of(others)]
    known = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    wanted = [known.fit_transform(texts), known.transform(others)]
    for one, other in zip(found, wanted, strict=True):
        # The same angles, whatever the columns.
        np.testing.assert_allclose(
            (one @ one.T).toarray(), (other @ other.T).toarray(), rtol=1e-6
        )
    np.testing.assert_allclose(
        (found[1] @ found[0].T).toarray(),
        (wanted[1] @ wanted[0].T).toarray(),
        rtol=1e-6,
    )
