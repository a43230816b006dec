"""GLUE over a folder with three of its tasks: one table, resumable."""

from __future__ import annotations

import csv
import json
import pathlib

import pytest

from bert_keras3.finetuning import collection
from bert_keras3.finetuning.collection import run_collection, score
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import LabelledJob
from bert_keras3.safekeeping.errors import StoppedError, UserError


def test_the_average_is_that_of_the_leaderboard():
    """BERT-Large, whose paper's abstract says "GLUE score to 80.5%"."""
    figures = {
        "CoLA": [[60.5]],
        "SST-2": [[94.9]],
        "MRPC": [[89.3, 85.4]],
        "STS-B": [[87.6, 86.5]],
        "QQP": [[72.1, 89.3]],
        "MNLI": [[86.7], [85.9]],
        "QNLI": [[92.7]],
        "RTE": [[70.1]],
        "WNLI": [[65.1]],
    }
    average = sum(map(score, figures.values())) / len(figures)
    assert round(average, 1) == 80.5


def table(path: pathlib.Path, *rows: tuple[object, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join("\t".join(map(str, row)) + "\n" for row in rows), "utf-8"
    )


def write_pairs(folder: pathlib.Path, names, labels) -> None:
    """Words that say the label, the same in all three parts."""
    rows = [
        (n, "the film", ("good", "bad")[n % 2], labels[n % 2])
        for n in range(12)
    ]
    header = ("index", "sentence1", "sentence2", *names)
    table(folder / "train.tsv", header, *rows)
    table(folder / "dev.tsv", header, *rows)
    table(folder / "test.tsv", header[:3], *(row[:3] for row in rows[:4]))


@pytest.fixture
def data(tmp_path):
    """CoLA, RTE with a mistake in it, and STS-B."""
    folder = tmp_path / "glue"
    rows = [("a", n % 2, "", ("bad", "good")[n % 2]) for n in range(12)]
    table(folder / "CoLA" / "train.tsv", *rows)
    table(folder / "CoLA" / "dev.tsv", *rows)
    table(
        folder / "CoLA" / "test.tsv",
        ("index", "sentence"),
        *((n, row[3]) for n, row in enumerate(rows)),
    )
    write_pairs(folder / "rte", ("label",), ("entailment", "none"))
    write_pairs(folder / "STS-B", ("score",), (5, 0))
    return folder


@pytest.fixture
def glue(job, change, data):
    wanted = change(
        job,
        task_name="GLUE",
        data_dir=str(data),
        train_file=None,
        do_predict=True,
        num_train_epochs=2,
        train_batch_size=12,
        eval_batch_size=12,
        save_checkpoints_steps=100,
    )
    fields = {
        name: getattr(wanted, name) for name in wanted.__dataclass_fields__
    }
    return LabelledJob(**fields)


def results(out: pathlib.Path) -> dict[str, dict[str, str]]:
    with open(out / "glue_results.csv", encoding="utf-8") as file:
        return {row["task"]: row for row in csv.DictReader(file)}


def test_glue(glue, change, screen, data, tmp_path):
    out = glue.output_dir
    with pytest.raises(UserError) as caught:
        run_collection(glue, screen)
    message = str(caught.value)
    assert message.startswith("1 of 3 tasks failed; what the others did is")
    assert (
        f"RTE: {data / 'rte' / 'train.tsv'}, line 3: RTE has no label 'none', "
        "only entailment, not_entailment." in message
    )
    # It was found out before the others were trained.
    assert screen.lines[0].startswith("RTE is left out, error: ")
    found = results(out)
    assert found["RTE"]["note"] == "failed"
    assert found["QQP"]["note"] == "not in --data_dir"
    cola = json.loads((out / "CoLA" / "eval_results.json").read_text())
    sts_b = json.loads((out / "STS-B" / "eval_results.json").read_text())
    assert found["CoLA"]["mcc"] == f"{100 * cola['mcc']:.2f}"
    of_sts_b = (sts_b["pearson"] + sts_b["spearman"]) / 2
    assert found["STS-B"]["score"] == f"{100 * of_sts_b:.2f}"
    assert found["average"]["score"] == (
        f"{100 * (cola['mcc'] + of_sts_b) / 2:.2f}"
    )
    assert found["average"]["note"] == "of 2 of 9 tasks"
    average, note = found["average"]["score"], found["average"]["note"]
    assert str(("average", "", average, note)) in screen.lines
    row = ("CoLA", f"mcc {found['CoLA']['mcc']}", found["CoLA"]["mcc"], "")
    assert str(row) in screen.lines

    # Put right, the same command trains what is missing, and nothing else.
    write_pairs(data / "rte", ("label",), ("entailment", "not_entailment"))
    written = (out / "CoLA" / "model.keras").stat().st_mtime_ns
    for path in (data / "CoLA").iterdir():
        path.touch()  # files are known by their content
    run_collection(glue, screen)
    assert (out / "CoLA" / "model.keras").stat().st_mtime_ns == written
    found = results(out)
    assert found["CoLA"]["note"] == "finished before"
    assert found["RTE"]["note"] == ""
    assert found["average"]["note"] == "of 3 of 9 tasks"
    submission = out / "submission"
    assert sorted(path.name for path in submission.iterdir()) == [
        *("CoLA.tsv", "RTE.tsv", "STS-B.tsv"),
    ]
    with open(out / "RTE" / "predictions.csv", encoding="utf-8") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    header, *lines = (submission / "RTE.tsv").read_text().splitlines()
    assert header == "index\tprediction"
    assert lines == [f"{n}\t{label}" for n, label in enumerate(labels)]
    assert f"to submit: {submission}; not there: SST-2.tsv," in screen.text

    # A task's results are those of its own command.
    alone = change(
        glue,
        task_name="RTE",
        data_dir=str(data / "rte"),
        output_dir=tmp_path / "alone",
    )
    run(alone, screen)
    for name in ("eval_results.json", "predictions.csv"):
        assert (tmp_path / "alone" / name).read_text() == (
            out / "RTE" / name
        ).read_text()


def test_a_stopped_collection_goes_on(glue, change, screen, data, monkeypatch):
    write_pairs(data / "rte", ("label",), ("entailment", "not_entailment"))
    started, stops = [], [True]

    def finish(job, screen):
        name = job.data.task_name
        started.append((name, job.training.learning_rate))
        if name == "STS-B" and stops and stops.pop():
            raise StoppedError(2, "stopped")
        scores = dict.fromkeys(("mcc", "pearson", "spearman", "accuracy"), 1)
        job.output_dir.mkdir(exist_ok=True)
        for file in ("model.keras", "eval_results.json"):
            (job.output_dir / file).write_text(json.dumps(scores))

    monkeypatch.setattr(collection, "run", finish)
    monkeypatch.setattr("keras.backend.clear_session", lambda: None)
    wanted = change(glue, do_predict=False, learning_rate=1e-3)
    with pytest.raises(StoppedError):
        run_collection(wanted, screen)
    assert results(wanted.output_dir)["average"]["note"] == "of 1 of 9 tasks"
    run_collection(wanted, screen)
    names = ["CoLA", "STS-B", "STS-B", "RTE"]
    assert started == [(name, 1e-3) for name in names]
    run_collection(wanted, screen)
    assert len(started) == 4
    # What has changed is not taken for finished: a flag, a file, the results.
    started.clear()
    run_collection(change(wanted, learning_rate=1e-4), screen)
    assert started == [(name, 1e-4) for name in ("CoLA", "STS-B", "RTE")]
    started.clear()
    wanted = change(wanted, learning_rate=1e-4)
    path = data / "CoLA" / "train.tsv"
    path.write_text(path.read_text()[:-1])
    (wanted.output_dir / "RTE" / "eval_results.json").unlink()
    run_collection(wanted, screen)
    assert [name for name, _ in started] == ["CoLA", "RTE"]
    run_collection(change(wanted, overwrite_output_dir=True), screen)
    assert len(started) == 5


def test_a_fault_of_the_program_comes_last(glue, screen, data, monkeypatch):
    write_pairs(data / "rte", ("label",), ("entailment", "not_entailment"))
    started = []

    def broken(job, screen):
        started.append(job.data.task_name)
        raise ZeroDivisionError("first")

    monkeypatch.setattr(collection, "run", broken)
    monkeypatch.setattr("keras.backend.clear_session", lambda: None)
    with pytest.raises(ZeroDivisionError):
        run_collection(glue, screen)
    assert started == ["CoLA", "STS-B", "RTE"]
    assert not (glue.output_dir / "glue_results.csv").exists()


def test_flags(glue, change, screen, tmp_path):
    for flags, message in (
        ({"data_dir": None}, "--task_name=GLUE needs --data_dir, the folder"),
        ({"data_dir": str(tmp_path / "no")}, "there is no such folder"),
        ({"train_file": "a.csv"}, "--train_file=a.csv is for files of your"),
        ({"distribution": "multi_worker"}, "workers can train one task"),
    ):
        with pytest.raises(UserError, match=message):
            run_collection(change(glue, **flags), screen)
    assert not glue.output_dir.exists()
