"""Questions about texts through the job: from a CSV file to an export.

A tiny model learns that the answer is the adjective.
"""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import TrainingChoices
from bert_keras3.finetuning.span_settings import (
    QuestionEncoder,
    QuestionFiles,
    QuestionJob,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.exporter import export
from bert_keras3.serving.formats import MODEL_FILES, SAVED_MODEL
from bert_keras3.serving.predictor import Predictor

HEADER = ("id", "context", "question", "answer")
ADJECTIVES = ("good", "bad", "fine", "poor")
# Windows of ten tokens do not hold the second.
CONTEXTS = (
    "The film was {}.",
    "the very, very film , the very film , was {} !",
    "Not the food, was {}",
)


def question_rows():
    """Forty-eight rows; every third question has no answer."""
    for number in range(48):
        adjective = ADJECTIVES[number % 4]
        answer = adjective if number % 3 < 2 else ""
        context = CONTEXTS[number % 3].format(answer or "food")
        yield f"q{number}", context, "film?", answer


@pytest.fixture(scope="module")
def trained(tmp_path_factory, checkpoint, write_csv, new_screen):
    """A finished job on a CSV file, and what it showed."""
    folder = tmp_path_factory.mktemp("trained")
    file = str(write_csv(folder / "film.csv", question_rows(), HEADER))
    job = QuestionJob(
        output_dir=folder / "out",
        data=QuestionFiles(train_file=file, test_file=file, doc_stride=3),
        encoder=QuestionEncoder(
            init_checkpoint=str(checkpoint), max_seq_length=14
        ),
        training=TrainingChoices(
            train_batch_size=8, learning_rate=1e-2, num_train_epochs=6
        ),
        do_train=True,
        do_eval=True,
        do_predict=True,
    )
    screen = new_screen()
    run(job, screen)
    return job, screen


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.fixture
def again(trained, tmp_path):
    """The job without a training, on a copy of the folder."""
    folder = tmp_path / "copy"
    shutil.copytree(trained[0].output_dir, folder)
    return dataclasses.replace(
        trained[0], output_dir=folder, do_train=False, do_eval=False
    )


def test_answers(trained):
    job, screen = trained
    said = read(job.output_dir, "predictions")
    assert said == {number: answer for number, _, _, answer in question_rows()}
    assert "questions may lack an answer" in screen.text
    n_best = read(job.output_dir, "nbest_predictions")
    assert all(len(one) > 1 for one in n_best.values())
    odds = read(job.output_dir, "null_odds")
    assert all((odds[name] > 0) == (not said[name]) for name in said)
    results = read(job.output_dir, "eval_results")
    assert results["exact_match"] == results["f1"] == 100.0
    assert results["official"]["HasAns_total"] == 32
    assert results["official"]["best_f1"] == 100.0


def test_a_trained_model_is_opened_with_other_options(again, change, screen):
    """How answers are chosen may differ from the training."""
    wanted = change(again, n_best_size=2, answers_by="characters")
    run(wanted, screen)
    n_best = read(wanted.output_dir, "nbest_predictions")
    # "No answer" comes on top.
    assert {len(one) for one in n_best.values()} <= {2, 3}
    assert read(wanted.output_dir, "predictions") == {
        number: answer for number, _, _, answer in question_rows()
    }
    run(change(wanted, null_score_diff_threshold=-1e9), screen)
    assert not any(read(wanted.output_dir, "predictions").values())


def test_padding_changes_no_answer(again, change, screen):
    run(again, screen)
    unpadded = read(again.output_dir, "predictions")
    run(change(again, unpad=False), screen)
    assert read(again.output_dir, "predictions") == unpadded


@pytest.mark.parametrize("unpad", [True, False])
def test_no_context_has_a_token(
    again, change, screen, tmp_path, write_csv, unpad
):
    """So that there is no window, and nothing to compute."""
    rows = [("q0", "", "film?", ""), ("q1", " \t", "film?", "")]
    file = str(write_csv(tmp_path / "empty.csv", rows, HEADER))
    wanted = change(
        again, test_file=file, dev_file=file, do_eval=True, unpad=unpad
    )
    run(wanted, screen)
    assert read(wanted.output_dir, "predictions") == {"q0": "", "q1": ""}
    assert list(read(wanted.output_dir, "null_odds")) == ["q0", "q1"]
    assert read(wanted.output_dir, "eval_results")["exact_match"] == 100.0


@pytest.mark.slow
def test_held_out_questions_are_kept(trained, change, screen, tmp_path):
    wanted = change(
        trained[0],
        output_dir=tmp_path / "held_out",
        test_file=None,
        do_predict=False,
        dev_fraction=0.25,
        num_train_epochs=2,
    )
    run(wanted, screen)
    assert "held out 12 of 48 rows" in screen.text
    lines = (wanted.output_dir / "dev_split.jsonl").read_text("utf-8")
    assert len(lines.splitlines()) == 12
    results = read(wanted.output_dir, "eval_results")
    run(change(wanted, do_train=False), screen)
    # The best step is the last one; nothing else may differ.
    assert read(wanted.output_dir, "eval_results") == results


@pytest.mark.parametrize(
    "form",
    [
        SAVED_MODEL,
        *(pytest.param(one, marks=pytest.mark.slow) for one in MODEL_FILES),
    ],
)
def test_an_export_answers_as_the_script(trained, tmp_path, form):
    if form != SAVED_MODEL:
        runtime = {"onnx": "onnxruntime", "litert": "ai_edge_litert"}[form]
        pytest.importorskip(runtime, reason=f"needs the extra `{form}`")
    job, _ = trained
    export(job.output_dir, tmp_path / "exported", format_name=form)
    rows = [(question, text) for _, text, question, _ in question_rows()]
    found = Predictor(tmp_path / "exported").predict(rows)
    odds = read(job.output_dir, "null_odds").values()
    n_best = read(job.output_dir, "nbest_predictions").values()
    for row, one, wanted in zip(rows, found, question_rows(), strict=True):
        assert one.text == wanted[-1]
        place = (one.start, one.end)
        assert one.text == (row[1][slice(*place)] if place[0] >= 0 else "")
    for one, null, entries in zip(found, odds, n_best, strict=True):
        assert one.null_odds == pytest.approx(null, abs=1e-4)
        assert [text for text, _ in one.n_best] == [e["text"] for e in entries]
        # Of unequal answers only: rounding may swap others.
        assert one.n_best[0][1] == pytest.approx(
            entries[0]["probability"], abs=1e-5
        )


def test_an_export_refuses_what_is_no_pair(trained, tmp_path):
    export(trained[0].output_dir, tmp_path / "exported")
    predictor = Predictor(tmp_path / "exported")
    assert predictor.predict([]) == []
    with pytest.raises(UserError, match=r"number 1 .* pair of strings"):
        predictor.predict([("film?", "good"), "film?"])
    # Bytes, an empty context, and one that is very long.
    found = predictor.predict(
        [("film?", b"the film was bad"), ("film?", ""), ("?", "the " * 5000)]
    )
    assert found[0].text == "bad"
    assert found[1].text == ""
    assert found[1].start == -1


MISTAKES = (
    ({"train_file": None}, "no file to train on: give --train_file"),
    (
        {"train_rows": [("1", "The film.", "a?", "food")], "strict": True},
        "question '1': its answer 'food' is not in the context; correct it",
    ),
    (
        {"rows": [("1", "film", "a?", ""), ("1", "food", "b?", "")]},
        "line 3, question '1': the id occurred before; give each",
    ),
    (
        {"train_rows": [("1", "The film.", "a?", "food")]},
        r"none of its 1 examples can be learnt from.*not in the context \(1\)",
    ),
    ({"max_seq_length": 4}, r"max_seq_length|leave no room"),
    ({"n_best_size": 0}, "--n_best_size=0: give a number of at least 1"),
)


@pytest.mark.parametrize(("flags", "said"), MISTAKES)
def test_mistakes(trained, change, screen, tmp_path, write_csv, flags, said):
    flags = dict(flags)
    for name, flag in (("rows", "test_file"), ("train_rows", "train_file")):
        if name in flags:
            path = tmp_path / f"{name}.csv"
            flags[flag] = str(write_csv(path, flags.pop(name), HEADER))
    wanted = change(trained[0], output_dir=tmp_path / "out", **flags)
    with pytest.raises(UserError, match=said):
        run(wanted, screen)
    assert not (tmp_path / "out" / "model.keras").exists()


def test_another_script_is_named(trained, job, change, screen):
    wanted = change(
        job,
        output_dir=trained[0].output_dir,
        do_train=False,
        do_eval=False,
        do_predict=True,
        test_file=job.data.train_file,
    )
    with pytest.raises(UserError, match=r"holds a span model.*run run_squad"):
        run(wanted, screen)


def test_its_report(trained, reported):
    page = reported(trained[0].output_dir)
    assert "Where is it wrong?" in page
