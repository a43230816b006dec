"""Benchmarks through the whole job: parts, metrics, submissions."""

from __future__ import annotations

import csv
import json
import pathlib

import pytest
import scipy.stats
from sklearn import metrics

from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.labelled_data import find_labelled_data
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.safekeeping.errors import UserError

NLI = ("contradiction", "entailment", "neutral")
WORDS = ("bad", "good", "film")


def table(path: pathlib.Path, *rows: tuple[object, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join("\t".join(map(str, row)) + "\n" for row in rows), "utf-8"
    )


def write_mnli(folder: pathlib.Path) -> None:
    """The second text says the label."""

    def rows(number, *, labelled=True):
        names = ("index", *"bcdefgh", "sentence1", "sentence2")
        yield (*names, "gold_label") if labelled else names
        for n in range(number):
            row = (n, *"bcdefgh", "the film was", WORDS[n % 3])
            yield (*row, NLI[n % 3]) if labelled else row

    table(folder / "train.tsv", *rows(24))
    table(folder / "dev_matched.tsv", *rows(6))
    table(folder / "dev_mismatched.tsv", *rows(9))
    table(folder / "test_matched.tsv", *rows(3, labelled=False))
    table(folder / "test_mismatched.tsv", *rows(4, labelled=False))


def write_ax(folder: pathlib.Path) -> None:
    rows = [(n, "the film was", WORDS[n]) for n in (2, 0, 1)]
    table(
        folder / "AX.tsv",
        ("index", "sentence1", "sentence2"),
        *((n, *texts) for n, (_, *texts) in enumerate(rows)),
    )


@pytest.fixture
def mnli(job, change, tmp_path):
    write_mnli(tmp_path / "MNLI")
    return change(
        job,
        task_name="MNLI",
        data_dir=str(tmp_path / "MNLI"),
        train_file=None,
        do_predict=True,
        num_train_epochs=15,
    )


def submitted(path: pathlib.Path) -> list[tuple[str, ...]]:
    header, *rows = path.read_text("utf-8").splitlines()
    assert header == "index\tprediction"
    return [tuple(row.split("\t")) for row in rows]


@pytest.mark.slow
def test_mnli(mnli, change, screen, tmp_path):
    write_ax(tmp_path / "AX")
    run(mnli, screen)
    out = mnli.output_dir
    numbers = {
        part: json.loads((out / part / "eval_results.json").read_text())
        for part in ("", "dev_mismatched")
    }
    assert [one["examples"] for one in numbers.values()] == [6, 9]
    assert [one["accuracy"] for one in numbers.values()] == [1, 1]
    right = [(str(n), NLI[n % 3]) for n in range(4)]
    assert submitted(out / "MNLI-m.tsv") == right[:3]
    assert submitted(out / "MNLI-mm.tsv") == right
    assert submitted(out / "AX.tsv") == [
        (str(n), NLI[word]) for n, word in enumerate((2, 0, 1))
    ]
    with open(out / "test_mismatched" / "predictions.csv") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert ids == [f"test_mismatched-{n}" for n in range(4)]
    report = json.loads((out / "data_report.json").read_text())
    assert [*report] == [
        *("train", "dev", "test"),
        *("dev_mismatched", "test_mismatched", "test_ax"),
    ]
    assert "to submit: " in screen.text

    # The diagnostics for themselves, with the model in the folder.
    before = (out / "AX.tsv").read_text()
    (out / "AX.tsv").unlink()
    alone = change(
        mnli,
        do_train=False,
        do_eval=False,
        task_name="AX",
        data_dir=str(tmp_path / "AX"),
        init_checkpoint=None,
        max_seq_length=None,
    )
    run(alone, screen)
    assert (out / "AX.tsv").read_text() == before
    with pytest.raises(UserError, match="AX has no dev part"):
        run(change(alone, do_eval=True), screen)
    # Another training removes what is of this one.
    FinetuningFolder(out).run.clear()
    assert not (out / "MNLI-mm.tsv").exists()
    assert not (out / "test_ax" / "predictions.csv").exists()


@pytest.mark.slow
def test_sts_b(job, change, screen, tmp_path):
    """A regression: metrics as SciPy has them, predictions from 0 to 5."""
    header = ("index", "sentence1", "sentence2", "score")
    rows = [
        (n, "the film", f"{WORDS[n % 3]} " * (n // 3 + 1), 4.5 - n % 3)
        for n in range(12)
    ]
    for name in ("train", "dev"):
        table(tmp_path / f"{name}.tsv", header, *rows)
    table(tmp_path / "test.tsv", header[:3], *(row[:3] for row in rows))
    wanted = change(
        job,
        task_name="sts-b",
        data_dir=str(tmp_path),
        train_file=None,
        do_predict=True,
        num_train_epochs=2,
    )
    run(wanted, screen)
    assert "problem: regression (task STS-B)" in screen.text
    with open(wanted.output_dir / "predictions.csv") as file:
        predicted = [float(row["label"]) for row in csv.DictReader(file)]
    scores = [row[3] for row in rows]
    found = json.loads((wanted.output_dir / "eval_results.json").read_text())
    for name, function in (
        ("pearson", scipy.stats.pearsonr),
        ("spearman", scipy.stats.spearmanr),
    ):
        assert found[name] == pytest.approx(
            function(predicted, scores)[0], abs=1e-3
        )
    assert submitted(wanted.output_dir / "STS-B.tsv") == [
        (str(n), f"{min(max(value, 0), 5):.3f}")
        for n, value in enumerate(predicted)
    ]


@pytest.mark.slow
def test_tnews(job, change, screen, tmp_path):
    """Labels are codes, those of the training file where nothing says more."""

    def write(name, rows):
        (tmp_path / name).write_text(
            "".join(json.dumps(row) + "\n" for row in rows), "utf-8"
        )

    rows = [
        {"label": code, "sentence": word}
        for code, word in (("116", "good"), ("100", "bad")) * 8
    ]
    write("train.json", rows)
    write("dev.json", rows[:3])
    write("test.json", [{"id": 4, "sentence": "bad"}])
    wanted = change(
        job,
        task_name="TNEWS",
        data_dir=str(tmp_path),
        train_file=None,
        do_predict=True,
        num_train_epochs=10,
    )
    run(wanted, screen)
    assert "labels: 100, 116" in screen.text
    path = wanted.output_dir / "tnews11_predict.json"
    assert json.loads(path.read_text()) == {"id": 4, "label": "100"}
    # A label that only one file has.
    write("dev.json", [{"label": "108", "sentence": "bad"}])
    with pytest.raises(UserError, match=r"dev.json, line 1: the label '108'"):
        run(change(wanted, output_dir=tmp_path / "other"), screen)


@pytest.mark.slow
def test_official_metrics_are_scikit_learns(mnli, change, screen, tmp_path):
    """CoLA's MCC, MRPC's F1 of label 1, on labels that no model can learn."""
    folder = tmp_path / "CoLA"
    rows = [("a", n % 3 % 2, "", WORDS[n % 2]) for n in range(24)]
    table(folder / "train.tsv", *rows)
    table(folder / "dev.tsv", *rows)
    table(
        folder / "test.tsv",
        ("index", "sentence"),
        *((n, row[3]) for n, row in enumerate(rows)),
    )
    wanted = change(
        mnli, task_name="CoLA", data_dir=str(folder), num_train_epochs=2
    )
    run(wanted, screen)
    truth = [str(row[1]) for row in rows]
    predicted = [row[1] for row in submitted(wanted.output_dir / "CoLA.tsv")]
    found = json.loads((wanted.output_dir / "eval_results.json").read_text())
    assert found["mcc"] == pytest.approx(
        metrics.matthews_corrcoef(truth, predicted)
    )
    assert found["f1"] == pytest.approx(
        metrics.f1_score(truth, predicted, pos_label="1", zero_division=0)
    )
    assert found["accuracy"] == metrics.accuracy_score(truth, predicted)


def test_rows_that_are_left_out_are_noted(tmp_path):
    rows = [
        {"sentence1": "一", "sentence2": "二", "label": label}
        for label in ("neutral", "-", "-")
    ]
    (tmp_path / "train.json").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), "utf-8"
    )
    data = DataChoices(task_name="OCNLI", data_dir=str(tmp_path))
    source = find_labelled_data(data).source("train")
    assert len(list(source)) == 1
    assert source.notes() == (
        "note: left out 2 rows: the label is -: the annotators did not agree",
    )
