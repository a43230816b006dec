"""Multiple choice: losses and metrics by hand, and jobs from files to files."""

from __future__ import annotations

import csv
import json
import math
import shutil

import numpy as np
import pytest

from bert_keras3.finetuning.choice import Choice
from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.task import TARGETS
from bert_keras3.inputs.batches import EXAMPLE
from bert_keras3.inputs.choices import ChoiceExample
from bert_keras3.inputs.feature_store import (
    INPUT_COLUMNS,
    Column,
    store_in_memory,
)
from bert_keras3.safekeeping.errors import UserError
from modeling.losses import choice_loss
from tests.finetuning.conftest import Transcript

# Two choices, of which the first is right, and three, the last.
LOGITS = np.array([[0.0], [math.log(3)], [1.0], [1.0], [1.0 + math.log(2)]])
RIGHT = np.array([1, 0, 0, 0, 1])
NUMBERS = np.array([0, 0, 1, 1, 1])
# −log of 1/4 and of 2/4.
LOSS = (math.log(4) + math.log(2)) / 2


def test_loss():
    """1/4 and 3/4 of the first example, 1/4, 1/4 and 1/2 of the second."""
    loss = choice_loss(LOGITS[:, 0], RIGHT, NUMBERS)
    assert float(loss) == pytest.approx(LOSS)
    outputs = {"logits": LOGITS.astype(np.float32) + 1000}
    loss = Choice().loss(outputs, {TARGETS: RIGHT, EXAMPLE: NUMBERS})
    assert float(loss) == pytest.approx(LOSS, rel=1e-3)


def test_gradient_of_the_loss():
    """Probability − 1 for the right row, probability for the others, / 2."""
    import tensorflow as tf

    logits = tf.Variable(LOGITS[:, 0] * 1.0)

    @tf.function(jit_compile=True)
    def gradient(examples):
        with tf.GradientTape() as tape:
            loss = choice_loss(logits, RIGHT, examples)
        return tape.gradient(loss, logits)

    np.testing.assert_allclose(
        gradient(tf.constant(NUMBERS)),
        np.array([-0.75, 0.75, 0.25, 0.25, -0.5]) / 2,
        atol=1e-6,
    )


def examples_of(source=None, numbers=(0, 1)):
    """The rows above, and those of a third example."""
    columns = {**INPUT_COLUMNS, TARGETS: Column("int32")}
    store = store_in_memory(
        (
            (number, {"input_ids": [1], "segment_ids": [0], TARGETS: right})
            for number, right in zip(
                [*NUMBERS, 2, 2], [*RIGHT, 0, 1], strict=True
            )
        ),
        columns,
    )
    return Examples(source, store, np.array(numbers), None)


def test_evaluation():
    result = Choice().evaluate({"logits": LOGITS}, examples_of())
    assert result.scalars["loss"] == pytest.approx(LOSS)
    assert result.scalars["accuracy"] == 0.5
    # The second and third, as after a split.
    logits = np.concatenate([LOGITS[2:], [[2.0], [0.0]]])
    result = Choice().evaluate({"logits": logits}, examples_of(None, (1, 2)))
    assert result.scalars["accuracy"] == 0.5
    assert Choice().count(examples_of()) == {"0": 1, "1": 0, "2": 1}


def test_predictions(tmp_path):
    """Of equal probabilities the first counts; a missing choice is empty."""
    source = [
        ChoiceExample("a", "C", None, ("x", "y"), (0, 1), "A"),
        ChoiceExample("b", "C", None, ("x", "y", "z"), (0, 1, 3), "A"),
        ChoiceExample("c", "C", None, ("x", "y"), (0, 1), "A"),
    ]
    logits = np.concatenate([LOGITS, [[2.0], [2.0]]])
    examples = examples_of(source, (0, 1, 2))
    answers = Choice().answers({"logits": logits}, examples)
    path = Choice().write_answers(tmp_path, source, answers)
    assert path.read_text("utf-8").splitlines() == [
        "id,label,probability_0,probability_1,probability_2,probability_3",
        "a,B,0.250000,0.750000,,",
        "b,D,0.250000,0.250000,,0.500000",
        "c,A,0.500000,0.500000,,",
    ]
    lines = (tmp_path / "test_results.tsv").read_text("utf-8").splitlines()
    assert [len(line.split("\t")) for line in lines] == [2, 3, 2]


# Jobs.

GOOD = ("good film", "good food", "very good", "好 good 影")
BAD = ("bad film", "bad food", "very bad", "坏 bad 影")


def rows():
    """Twelve rows of two or three choices; what is good is right."""
    for number in range(12):
        right = number % 3 if number % 4 else number % 2
        choices = [BAD[(number + n) % 4] for n in range(3 if number % 4 else 2)]
        choices[right] = GOOD[number % 4]
        cells = [*choices, ""][:3]
        yield (f"q{number}", "the film was", *cells, "ABC"[right])


ROWS = list(rows())
HEADER = ("qid", "question", "choice_a", "choice_b", "choice_c", "label")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, finished, change, write_csv):
    """A job that was run, with letters as labels and a part held out."""
    folder = tmp_path_factory.mktemp("choices")
    file = str(write_csv(folder / "rows.csv", ROWS, HEADER))
    job = change(
        finished[0],
        output_dir=folder / "out",
        train_file=file,
        test_file=file,
        dev_fraction=0.25,
        do_predict=True,
        num_train_epochs=12,
        train_batch_size=6,
        concurrency=2,
        best_metric="loss",
        save_checkpoints_steps=9,
    )
    screen = Transcript()
    run(job, screen)
    return job, screen


def predicted(folder):
    with open(folder / "predictions.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def results_in(folder, name="eval_results.json"):
    return json.loads((folder / name).read_text("utf-8"))


def test_from_files_to_files(trained):
    """Found to be choices; learnt; held out; predicted."""
    job, screen = trained
    folder = job.output_dir
    assert "problem: choice (there are choices)" in screen.text
    found = predicted(folder)
    assert [row["label"] for row in found] == [label for *_, label in ROWS]
    assert found[0]["id"] == "q0"
    assert found[0]["probability_2"] == ""
    assert results_in(folder)["accuracy"] == 1.0
    lines = (folder / "dev_split.csv").read_text("utf-8").splitlines()
    assert lines[0] == ",".join(HEADER)
    assert results_in(folder)["examples"] == len(lines[1:]) == 3
    report = results_in(folder, "data_report.json")["train"]
    assert report["decided"]["labels"]["value"] == "letters from A"
    assert sum(report["labels"].values()) == 12


@pytest.fixture
def again(trained, change, tmp_path):
    """A job on a copy of the trained model."""
    shutil.copytree(trained[0].output_dir, tmp_path / "out")
    return change(
        trained[0],
        output_dir=tmp_path / "out",
        do_train=False,
        train_file=None,
    )


def test_what_the_folder_holds_is_enough(again, change, screen, tmp_path):
    """Rows held out are evaluated again; a file lacks the third choice."""
    before = results_in(again.output_dir)
    short = tmp_path / "short.csv"
    short.write_text("question,choice_b,choice_a\nthe,good film,bad film\n")
    run(change(again, test_file=str(short)), screen)
    (row,) = predicted(again.output_dir)
    assert row["label"] == "B"
    assert float(row["probability_1"]) > 0.5
    after = results_in(again.output_dir)
    assert after["loss"] == pytest.approx(before["loss"], abs=1e-6)


@pytest.mark.parametrize(
    "flags",
    [
        {"choice_labels": "text"},
        {"choice_columns": ("a", "b")},
        {"problem_type": "single_label"},
        {"text_pair": "choice_a"},
        {"label": "1"},
    ],
)
def test_flags_that_disagree_with_the_model(again, change, screen, flags):
    names = {"text_pair": "text_pair_column", "label": "label_column"}
    (name,) = flags
    with pytest.raises(UserError, match=f"--{names.get(name, name)}=.*used as"):
        run(change(again, **flags), screen)


def test_flags_that_agree_with_the_model(again, change, screen):
    run(
        change(
            again,
            choice_columns=("3", "4", "5"),
            choice_labels="A",
            text_pair="QUESTION",
            label="6",
            problem_type="choice",
            do_predict=False,
        ),
        screen,
    )


@pytest.mark.slow
def test_swag(job, change, screen, tmp_path, write_csv):
    """The benchmark's own files and labels; then a file of one's own."""
    header = ("", "sent1", "sent2", *(f"ending{n}" for n in range(4)), "label")
    rows = [
        (n, "the food", "was", *BAD[:n], "good", *BAD[n:3], n) for n in range(4)
    ]
    folder = tmp_path / "swag"
    folder.mkdir()
    for name in ("train", "val"):
        write_csv(folder / f"{name}.csv", rows, header)
    write_csv(folder / "test.csv", [row[:-1] for row in rows], header[:-1])
    job = change(
        job,
        train_file=None,
        task_name="SWAG",
        data_dir=str(folder),
        do_predict=True,
        train_batch_size=4,
        num_train_epochs=16,
        save_checkpoints_steps=8,
    )
    run(job, screen)
    assert "problem: choice (task SWAG)" in screen.text
    assert [row["label"] for row in predicted(job.output_dir)] == [*"0123"]
    # Not all choices, and other names of columns.
    own = tmp_path / "own.csv"
    own.write_text("context,question,A,B,C\nthe food,was,bad,poor,good\n")
    run(
        change(
            job,
            do_train=False,
            do_eval=False,
            task_name="csv",
            data_dir=None,
            test_file=str(own),
        ),
        screen,
    )
    (row,) = predicted(job.output_dir)
    assert row["label"] == "2"
    with pytest.raises(UserError, match="was trained on swag"):
        run(change(job, do_train=False, task_name="CODAH"), screen)
    with pytest.raises(UserError, match="--choice_labels=0 is for files of"):
        run(change(job, choice_labels="0"), screen)


def document(number, choices, answer=None):
    question = {"question": "电 影 ?", "choice": choices, "id": number}
    if answer is not None:
        question["answer"] = answer
    return [["the film ."], [question]]


@pytest.mark.slow
def test_c3(job, change, screen, tmp_path):
    """Two files to train on; two test parts, each with a submission."""
    documents = [
        document(n, ["good", "bad"][:: 1 - 2 * (n % 2)], "good")
        for n in range(4)
    ]
    unlabelled = [document(9, ["bad", "poor", "good"])]
    for name, content in {
        "m-train": documents[:2],
        "d-train": documents[2:],
        "d-dev": documents,
        "test1.1": unlabelled,
        "test1.0": unlabelled,
    }.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    job = change(
        job,
        train_file=None,
        task_name="c3",
        data_dir=str(tmp_path),
        do_predict=True,
        train_batch_size=4,
        num_train_epochs=2,
    )
    run(job, screen)
    (row,) = predicted(job.output_dir)
    assert [row] == predicted(job.output_dir / "test_1.0")
    number = ["bad", "poor", "good"].index(row["label"])
    for name in ("c311_predict.json", "c310_predict.json"):
        text = (job.output_dir / name).read_text("utf-8")
        assert text == f'{{"id": 9, "label": {number}}}\n'


@pytest.mark.slow
def test_nested_json_of_ones_own(job, change, screen, tmp_path):
    """The questions held out are kept as rows."""
    file = tmp_path / "exam.json"
    documents = [document(n, ["good", "bad"], "good") for n in range(6)]
    file.write_text(json.dumps(documents), "utf-8")
    job = change(
        job,
        train_file=str(file),
        train_batch_size=4,
        num_train_epochs=1,
        dev_fraction=0.4,
    )
    run(job, screen)
    assert "problem: choice (there are choices)" in screen.text
    first = results_in(job.output_dir)
    lines = (job.output_dir / "dev_split.csv").read_text("utf-8").splitlines()
    assert lines[0] == "id,context,question,label,choice0,choice1"
    assert len(lines) == 3
    run(change(job, do_train=False, train_file=None), screen)
    assert results_in(job.output_dir)["loss"] == pytest.approx(first["loss"])
    with pytest.raises(UserError, match=r"--skip_labels=-: .* is nested JSON"):
        run(
            change(job, skip_labels=("-",), output_dir=tmp_path / "other"),
            screen,
        )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"task_name": "swag", "train_file": None}, "needs --data_dir"),
        (
            {"task_name": "swog", "train_file": None, "data_dir": "x"},
            "HellaSwag.*, or csv",
        ),
        ({"problem_type": "regression", "choice_labels": "A"}, "Leave one out"),
        ({"problem_type": "choice", "label_separator": "|"}, "Leave it out"),
        ({"choice_columns": ("text", "text")}, "names a column twice"),
        ({"choice_columns": ("text", "x")}, "--choice_columns=x: there is no"),
        ({"problem_type": "choice"}, "no columns look like choices"),
        ({"choice_labels": "b"}, "--choice_labels=b: give one of 0, 1, A"),
    ],
)
def test_mistakes_in_flags(job, change, screen, flags, message):
    with pytest.raises(UserError, match=message):
        run(change(job, **flags), screen)
    assert not job.output_dir.exists()


def test_choices_that_are_too_long(job, change, screen, tmp_path, write_csv):
    long = "good " * 20
    rows = [("the film", f"{long}bad {long}", f"{long}fine {long}", "0")]
    header = ("context", "choice1", "choice2", "label")
    path = write_csv(tmp_path / "long.csv", rows, header)
    with pytest.raises(UserError, match=r"long.csv, line 2: different choices"):
        run(change(job, train_file=str(path)), screen)


def test_an_exported_model(trained, tmp_path):
    """The exported model predicts what the job predicted."""
    from bert_keras3.serving import Predictor, export

    folder = trained[0].output_dir
    predictor = Predictor(export(folder, tmp_path))
    found = predictor.predict(
        [("", row[1], [cell for cell in row[2:5] if cell]) for row in ROWS]
    )
    for one, row in zip(found, predicted(folder), strict=True):
        assert "ABC"[one.index] == row["label"]
        kept = [row[f"probability_{n}"] for n in range(3)]
        np.testing.assert_allclose(
            one.probabilities, [float(cell) for cell in kept if cell], atol=2e-6
        )
    assert found[0].text == ROWS[0][2 + found[0].index]
    assert predictor.predict([("the", ["good", b"bad"])])[0].text == "good"
    assert predictor.predict([]) == []
    for wrong in (
        *("the film", ("the", "good"), ("the", ["good"])),
        *(("the", ["good", ""]), ("", ["good", "bad"]), ("the", [1, 2])),
    ):
        with pytest.raises(UserError, match=r"input number 1 .* must be"):
            predictor.predict([("the", ["good", "bad"]), wrong])
    long = "good " * 20
    with pytest.raises(UserError, match="different choices become equal"):
        predictor.predict([("a", [f"{long}bad {long}", f"{long}fine {long}"])])


def test_its_report(trained, reported):
    page = reported(trained[0].output_dir)
    assert "Where is it wrong?" in page
