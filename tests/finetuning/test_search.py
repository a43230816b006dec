"""Restarts and grids: one encoding, resumable runs, the best of them kept."""

from __future__ import annotations

import csv
import dataclasses
import shutil
import types

import numpy as np
import pytest

from bert_keras3.finetuning import job_data
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.search import (
    _Finished,
    _StopHopeless,
    run_search,
    trials,
)
from bert_keras3.finetuning.settings import SearchChoices
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.safekeeping.errors import UserError


def with_search(job, **choices):
    return dataclasses.replace(job, search=SearchChoices(**choices))


def test_the_grid_of_the_paper(job):
    """Appendix A.3: 2 batch sizes × 3 learning rates × 3 numbers of epochs."""
    found = trials(with_search(job, search=True, num_restarts=2))
    assert len({one.name for one in found}) == len(found) == 36
    first = found[0]
    assert first.name == "batch16_lr2e-05_epochs2_seed12345"
    assert first.job.training.train_batch_size == 16
    assert first.job.output_dir.name == first.name
    assert found[1].job.training.seed == 12346
    assert not first.job.search.wanted


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"search": True, "search_batch_sizes": (1.5,)}, "whole numbers"),
        ({"search": True, "search_epochs": ()}, "at least one"),
        ({"search": True, "search_learning_rates": (3.0,)}, "learning_rate"),
        ({"num_restarts": 0}, "num_restarts"),
    ],
)
def test_mistakes(job, screen, choices, message):
    with pytest.raises(UserError, match=message):
        run_search(with_search(job, **choices), screen)
    assert not job.output_dir.exists()


def test_needs_evaluations(job, screen):
    job = with_search(dataclasses.replace(job, do_eval=False), num_restarts=2)
    with pytest.raises(UserError, match="--do_eval"):
        run_search(job, screen)


def test_what_is_hopeless():
    """After one epoch, three others had 0.6, 0.7 and 0.8."""
    others = [
        _Finished({}, [[0.98, first], [1.98, 0.9]]) for first in (0.6, 0.7, 0.8)
    ]
    for value, finished, is_hopeless in (
        (0.59, others, True),
        (0.61, others, False),
        (0.59, others[:2], False),
    ):
        stop = _StopHopeless("accuracy", finished, epochs=0.1)
        stop.set_model(types.SimpleNamespace(stop_training=False))
        stop.on_test_end({"step": 10, "accuracy": value})
        assert stop.model.stop_training == is_hopeless
        assert (stop.reason is not None) == is_hopeless
    # A loss is worse if it is higher.
    stop = _StopHopeless("loss", others, epochs=0.1)
    stop.set_model(types.SimpleNamespace(stop_training=False))
    stop.on_test_end({"step": 10, "loss": 0.81})
    assert stop.model.stop_training


def test_a_collapse_is_named():
    task = SingleLabel(("ham", "spam"))
    said = task._collapsed(np.array([0, 1, 1]), np.array([0, 0, 0]))
    assert "all 3 texts are predicted to be 'ham'" in said
    assert task._collapsed(np.array([0, 1, 1]), np.array([0, 0, 1])) is None
    assert task._collapsed(np.array([0, 0, 0]), np.array([0, 0, 0])) is None


@pytest.mark.slow
def test_restarts(job, screen, tmp_path, monkeypatch):
    """The best is the model that its seed would have given alone."""
    encoded = []

    def counting(*arguments, **named):
        encoded.append(arguments[0].path)
        return encode(*arguments, **named)

    encode = job_data.encode
    monkeypatch.setattr(job_data, "encode", counting)
    job = dataclasses.replace(
        job, training=dataclasses.replace(job.training, num_train_epochs=2)
    )
    search = dataclasses.replace(
        with_search(job, num_restarts=3),
        do_predict=True,
        data=dataclasses.replace(job.data, test_file=job.data.train_file),
    )
    run_search(search, screen)
    assert len(encoded) == 2
    out = search.output_dir
    with open(out / "search_results.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["12345", "12346", "12347"]
    best = min(
        rows, key=lambda row: (-float(row["accuracy"]), float(row["loss"]))
    )
    assert f"best: {best['trial']}" in screen.text
    kept = {path.parent.name for path in out.glob("trials/*/model.keras")}
    assert kept == {best["trial"]}

    # Its seed alone, on the same rows.
    held_out = out / "dev_split.csv"
    with open(held_out, encoding="utf-8") as file:
        held = {row["id"] for row in csv.DictReader(file)}
    train = tmp_path / "rest.csv"
    with (
        open(job.data.train_file, encoding="utf-8") as file,
        open(train, "w", encoding="utf-8", newline="") as rest,
    ):
        writer = csv.writer(rest)
        for row in csv.reader(file):
            if row[0] not in held:
                writer.writerow(row)
    alone = dataclasses.replace(
        job,
        output_dir=tmp_path / "alone",
        do_predict=True,
        data=dataclasses.replace(
            job.data,
            train_file=str(train),
            dev_file=str(held_out),
            test_file=job.data.train_file,
        ),
        training=dataclasses.replace(job.training, seed=int(best["seed"])),
    )
    run(alone, screen)
    for name in ("predictions.csv", "eval_results.txt"):
        ours = (out / name).read_text("utf-8")
        assert ours == (tmp_path / "alone" / name).read_text("utf-8"), name

    # The same command trains nothing; a lost run alone is trained again.
    before = (out / "search_results.csv").read_text("utf-8")
    shutil.rmtree(out / "trials" / rows[1]["trial"])
    screen.lines.clear()
    run_search(search, screen)
    assert screen.text.count("was finished before") == 2
    assert (out / "search_results.csv").read_text("utf-8") == before
    other = dataclasses.replace(
        search, encoder=dataclasses.replace(search.encoder, max_seq_length=8)
    )
    with pytest.raises(UserError, match="other files or settings"):
        run_search(other, screen)


@pytest.mark.slow
def test_foreign_results_stay(job, screen):
    job.output_dir.mkdir()
    mine = job.output_dir / "search_results.csv"
    mine.write_text("mine", "utf-8")
    with pytest.raises(UserError, match="of no run of this program"):
        run_search(with_search(job, num_restarts=2), screen)
    assert mine.read_text("utf-8") == "mine"
