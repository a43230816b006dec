"""Whole jobs on a tiny model: train, evaluate, predict, go on, refuse."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import google, opening, tensor_bundle
from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.labelled_data import find_labelled_data
from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.finetuning.regression import Regression
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    TrainingChoices,
)
from bert_keras3.finetuning.task import TARGETS, LabelSource
from bert_keras3.finetuning.texts import PREDICTIONS, TEST_TSV, ordered_labels
from bert_keras3.finetuning.training import content_of, example_weights
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.feature_store import (
    INPUT_COLUMNS,
    Column,
    store_in_memory,
    write_feature_store,
)
from bert_keras3.training.callbacks import TrainingLog
from bert_keras3.training.run_folder import EVAL_JSON, EVAL_TEXT, LOG, STATE
from bert_keras3.training.state import checksum
from tokenization.tokenizers import FullTokenizer


def weights_of(folder):
    return [
        weight.numpy()
        for weight in FinetuningFolder(folder).load_model().weights
    ]


def figures_of(folder):
    return json.loads((folder / EVAL_JSON).read_text("utf-8"))


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def assert_same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_opens_its_checkpoint_once(job, change, screen, monkeypatch):
    google._entries.cache_clear()  # of the tests before
    located, parsed = [], []
    local_path, parse = opening.local_path, tensor_bundle.parse
    monkeypatch.setattr(
        opening,
        "local_path",
        lambda path: located.append(str(path)) or local_path(path),
    )
    monkeypatch.setattr(
        tensor_bundle, "parse", lambda index: parsed.append(1) or parse(index)
    )
    run(change(job, num_train_epochs=1), screen)
    # The other one is the model.keras of the run, with its best weights.
    assert located == [
        job.encoder.init_checkpoint,
        str(job.output_dir / run_folder.MODEL),
    ]
    assert len(parsed) == 1


def test_it_learns_and_says_what_it_did(finished):
    job, screen = finished
    figures = figures_of(job.output_dir)
    assert figures["accuracy"] == 1.0
    assert figures["per_label"]["praise"]["support"] == 4
    assert figures["labels"] == ["blame", "praise"]
    lines = (job.output_dir / EVAL_TEXT).read_text().splitlines()
    assert lines[0] == "eval_accuracy = 1.0"
    assert f"global_step = {figures['global_step']}" in lines
    assert read_csv(job.output_dir / run_folder.CONFUSION) == [
        ["true \\ predicted", "blame", "praise"],
        ["blame", "4", "0"],
        ["praise", "0", "4"],
    ]
    assert "loaded 23 of 25 weights" in screen.text
    assert "missing: output_weights, output_bias" in screen.text
    assert "labels: blame, praise" in screen.text
    assert "held out 8 of 40 rows" in screen.text
    held_out = read_csv(job.output_dir / "dev_split.csv")
    assert held_out[0] == ["id", "text", "label"]
    assert len(held_out) == 9


def test_its_report(finished, reported):
    out = finished[0].output_dir
    page = reported(out)
    lines = (out / run_folder.EVALUATED).read_text("utf-8").splitlines()
    held_out = read_csv(out / "dev_split.csv")[1:]
    labels = [json.loads(line)["label"] for line in lines]
    assert labels == [row[2] for row in held_out]
    # The texts that were held out are not trained on, and so none is shared.
    assert "Evaluated texts that were trained on" not in page
    assert '"why":[{"tokens":[["[CLS]",' in page
    made = json.loads((out / run_folder.PROVENANCE).read_text("utf-8"))
    assert made["training"]["training"]["seed"] == 12345
    files = made["training"]["files"]
    assert files["train"]["path"] == finished[0].data.train_file
    assert len(files["checkpoint"]["blake2b"]) == 64
    (out / run_folder.REPORT).unlink(missing_ok=True)


def test_the_weights_file_holds_the_model_once(finished):
    out = finished[0].output_dir
    parameters = FinetuningFolder(out).load_model().count_params()
    # The file of so small a model is mostly HDF5's own.
    assert (out / run_folder.MODEL).stat().st_size < 4 * parameters + 120_000
    assert (out / STATE).stat().st_size > 3 * 4 * parameters


@pytest.mark.slow
def test_lazy_embeddings_leave_words_without_a_text_alone(
    job, screen, change, checkpoint
):
    """Two entries of the vocabulary, "##ly" and "[MASK]", are in no text."""
    job = change(
        job,
        optimizer="lamb",
        lazy_embeddings=True,
        num_train_epochs=1,
        do_eval=False,
    )
    run(job, screen)
    name = "bert/embeddings/word_embeddings"
    before = checkpointing.read(checkpoint)[name]
    after = next(
        weight.numpy()
        for weight in FinetuningFolder(job.output_dir).load_model().weights
        if weight.path == name
    )
    moved = (before != after).any(axis=1)
    vocab = (checkpoint / "vocab.txt").read_text("utf-8").split()
    assert moved[[vocab.index(word) for word in ("[CLS]", "film", "电")]].all()
    assert not moved[[vocab.index(word) for word in ("##ly", "[MASK]")]].any()


@pytest.mark.slow
def test_equal_seeds_give_equal_bits(finished, screen, tmp_path):
    job, _ = finished
    weights = weights_of(job.output_dir)
    again = dataclasses.replace(job, output_dir=tmp_path / "again")
    run(again, screen)
    assert_same_bits(weights, weights_of(again.output_dir))


@pytest.mark.slow
def test_equal_seeds_give_equal_bits_in_two_parts(finished, screen, tmp_path):
    """Though both parts draw from one stream what dropout drops."""
    job = dataclasses.replace(
        finished[0],
        concurrency=2,
        training=dataclasses.replace(finished[0].training, num_train_epochs=2),
    )
    weights = []
    for name in ("once", "again"):
        one = dataclasses.replace(job, output_dir=tmp_path / name)
        run(one, screen)
        weights.append(weights_of(one.output_dir))
    assert_same_bits(*weights)


@pytest.mark.slow
def test_another_seed_gives_other_bits(finished, screen, tmp_path):
    job, _ = finished
    other = dataclasses.replace(
        job,
        output_dir=tmp_path / "other",
        do_eval=False,
        training=dataclasses.replace(job.training, seed=1, num_train_epochs=1),
    )
    run(other, screen)
    with pytest.raises(AssertionError):
        assert_same_bits(
            weights_of(job.output_dir), weights_of(other.output_dir)
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_at", "resumed_from"), [(1, 0), (4, 4), (11, 9)]
)
def test_a_killed_run_goes_on_to_the_same_bits(
    finished, screen, tmp_path, monkeypatch, killed_at, resumed_from
):
    """The state is saved after 3, 4 (a pass ends), 6, 8, 9 … steps."""
    whole, _ = finished
    job = dataclasses.replace(whole, output_dir=tmp_path / "killed")

    class KilledError(Exception):
        pass

    def die(self, batch, logs=None):
        if batch == killed_at + 1:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "on_train_batch_begin", die)
        patch.setattr(TrainingLog, "on_train_batch_end", die)
        with pytest.raises(KilledError):
            run(job, screen)
    run(job, screen)
    if resumed_from:
        assert f"resumed after step {resumed_from}\n" in screen.text
    assert_same_bits(weights_of(whole.output_dir), weights_of(job.output_dir))
    evaluations = [
        [line for line in read_log(one) if "evaluation" in line]
        for one in (whole, job)
    ]
    assert evaluations[0] == evaluations[1]


def read_log(job):
    text = (job.output_dir / LOG).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_training_is_known_by_all_that_it_reads():
    """Also by a text that is only evaluated, and by a column beside texts."""
    columns = {**INPUT_COLUMNS, "numbers": Column("float32", shape=(1,))}

    def part(ids, number):
        row = {"input_ids": ids, "segment_ids": [0] * len(ids)}
        rows = [(0, {**row, "numbers": [number]})]
        store = store_in_memory(rows, columns)
        return Examples(None, store, np.arange(1), None)

    def known_by(train, dev):
        return checksum(*content_of([part(*train), part(*dev)]))

    of_one = known_by(([2, 7, 3], 0.5), ([2, 8, 3], 0.5))
    assert of_one == known_by(([2, 7, 3], 0.5), ([2, 8, 3], 0.5))
    assert of_one != known_by(([2, 9, 3], 0.5), ([2, 8, 3], 0.5))
    assert of_one != known_by(([2, 7, 3], 0.6), ([2, 8, 3], 0.5))
    assert of_one != known_by(([2, 7, 3], 0.5), ([2, 9, 3], 0.5))
    assert of_one != known_by(([2, 7, 3], 0.5), ([2, 8, 3], 0.6))


def test_a_complete_run_says_so(finished, screen):
    job, _ = finished
    before = weights_of(job.output_dir)
    run(job, screen)
    assert "complete: 24 steps were done before" in screen.text
    assert_same_bits(before, weights_of(job.output_dir))


@pytest.mark.slow
def test_a_complete_run_can_be_started_anew(finished, change, screen, tmp_path):
    before = weights_of(finished[0].output_dir)
    shutil.copytree(finished[0].output_dir, tmp_path / "anew")
    anew = change(
        finished[0],
        overwrite_output_dir=True,
        num_train_epochs=1,
        output_dir=tmp_path / "anew",
    )
    run(anew, screen)
    assert len([line for line in read_log(anew) if "evaluation" in line]) == 1
    with pytest.raises(AssertionError):
        assert_same_bits(before, weights_of(anew.output_dir))


@pytest.mark.slow
def test_early_stopping_and_the_best_weights(job, screen):
    """At a rate of next to nothing nothing gets better: patience runs out."""
    still = dataclasses.replace(
        job,
        training=dataclasses.replace(
            job.training,
            learning_rate=1e-20,
            early_stopping_patience=2,
            num_train_epochs=9,
        ),
    )
    run(still, screen)
    assert "stopped early after step 12" in screen.text
    assert "best after step 4" in screen.text


def test_what_was_decided_is_shown_with_the_first_rows_before_training(
    finished,
):
    text = finished[1].text
    for shown in (
        "('text column', 'text', 'the name')",
        "('label column', 'label', 'the name')",
        "('id column', 'id', 'the name; no value comes twice')",
        "('delimiter', 'comma'",
        "('p0', 'good film', '', 'praise')",
        "problem: single_label (2 different labels in 40 rows looked at)",
        "do_lower_case: True (the name uncased_L-1_H-16_A-2",
    ):
        assert 0 <= text.find(shown) < text.find("loaded 23 of 25"), shown


def test_the_report_of_the_data(finished):
    report = json.loads(
        (finished[0].output_dir / run_folder.DATA_REPORT).read_text("utf-8")
    )
    assert list(report) == ["train"]
    train = report["train"]
    assert train["file"] == finished[0].data.train_file
    assert (train["rows"], train["held_out"]) == (40, 8)
    assert train["problem"] == "single_label"
    assert train["labels"] == {"blame": 20, "praise": 20}
    assert train["decided"]["label column"] == {
        "value": "label",
        "because": "the name",
    }


def test_odd_texts_are_counted_and_reported(
    job, change, screen, tmp_path, write_csv
):
    """Two long, one empty, three equal of which one is contradicted.

    Of the 42 word pieces, `zebra` and the three of `zu` are unknown; the dev
    file shares `good`, and its labels come in another order.
    """
    rows = [
        ("1", "good", "b"),
        ("2", "bad", "a"),
        ("3", "good", "b"),
        ("4", " good ", "a"),
        ("5", " ", "a"),
        ("6", "zebra film", "b"),
        ("7", "food " * 16, "b"),
        ("8", "film " * 17 + "zu zu zu", "a"),
    ]
    train = write_csv(tmp_path / "odd.csv", rows)
    dev = write_csv(
        tmp_path / "odd_dev.csv",
        [("1", "good", "b"), ("2", "fine", "b"), ("3", "poor food", "a")],
    )
    run(
        change(
            job,
            train_file=str(train),
            dev_file=str(dev),
            num_train_epochs=1,
        ),
        screen,
    )
    for expected in (
        f"{train}: 8 rows, 5.2 tokens each on average; 9.52% of them unknown",
        "note: most often unknown are z (4)",
        "note: 2 rows are longer than --max_seq_length=16 and cut off there",
        "note: 1 row has an empty text (line 6)",
        "note: 2 rows repeat an earlier text, 1 of them with another label",
        f"note: texts of {dev} that are also in {train}: 1",
        "labels: a, b",
        "evaluation of 3 examples",
    ):
        assert expected in screen.text
    report = json.loads(
        (job.output_dir / run_folder.DATA_REPORT).read_text("utf-8")
    )
    expected = {"truncated": 2, "empty": 1, "empty_lines": [6], "duplicates": 2}
    assert expected.items() <= report["train"].items()
    assert report["train"]["duplicates_with_another_label"] == 1
    assert report["dev"]["texts_shared_with_train"] == 1
    assert report["dev"]["labels"] == {"a": 1, "b": 2}
    assert read_csv(job.output_dir / run_folder.CONFUSION)[0][1:] == ["a", "b"]
    assert not (job.output_dir / "dev_split.csv").exists()


@pytest.fixture
def predicted(finished, change, screen, tmp_path):
    """A function of a test file: predicts it from the folder alone."""

    def rows(path):
        out = tmp_path / "finished"
        shutil.copytree(finished[0].output_dir, out, dirs_exist_ok=True)
        run(
            Job(
                output_dir=out,
                data=DataChoices(test_file=str(path)),
                encoder=EncoderChoices(),
                training=TrainingChoices(),
                do_predict=True,
            ),
            screen,
        )
        tsv = (out / TEST_TSV).read_text("utf-8").splitlines()
        header, *rows = read_csv(out / PREDICTIONS)
        assert header == [
            *("id", "label", "probability_blame", "probability_praise"),
        ]
        for row, line in zip(rows, tsv, strict=True):
            probabilities = np.array(row[2:], float)
            assert probabilities.sum() == pytest.approx(1, abs=2e-6)
            np.testing.assert_allclose(
                probabilities, np.array(line.split("\t"), float), atol=1e-6
            )
        return [tuple(row[:2]) for row in rows]

    return rows


def test_predictions_of_a_file_with_ids(predicted, tmp_path, write_csv):
    path = write_csv(
        tmp_path / "new.csv",
        [("x1", "good film"), ("x2", "bad food"), ("x3", "")],
        header=("id", "text"),
    )
    rows = predicted(path)
    assert rows[:2] == [("x1", "praise"), ("x2", "blame")]
    assert rows[2][0] == "x3"


def test_flags_that_say_what_the_folder_says_are_no_mistake(
    predicted, finished, checkpoint, change, screen, tmp_path, write_csv
):
    """As if the command of the training were given again."""
    path = write_csv(tmp_path / "new.csv", [("1", "bad food")], ("id", "text"))
    expected = predicted(path)
    (tmp_path / "labels.txt").write_text("label\nblame\npraise\n", "utf-8")
    job = change(
        finished[0],
        output_dir=tmp_path / "finished",
        do_train=False,
        do_eval=False,
        do_predict=True,
        test_file=str(path),
        labels_file=str(tmp_path / "labels.txt"),
        vocab_file=str(checkpoint / "vocab.txt"),
        bert_config_file=str(checkpoint / "bert_config.json"),
        do_lower_case=True,
        problem_type="single_label",
        text="Text",
        text_pair="none",
        label="none",
        id="1",
    )
    run(job, screen)
    rows = read_csv(job.output_dir / PREDICTIONS)[1:]
    assert [tuple(row[:2]) for row in rows] == expected == [("1", "blame")]


def test_predictions_of_other_columns_and_forms(predicted, tmp_path):
    """A label column is passed over; without ids, rows are counted."""
    path = tmp_path / "labelled.tsv"
    path.write_text(
        "label\ttext\njoy\tgood film\n\tbad food\n", encoding="utf-8"
    )
    assert predicted(path) == [("1", "praise"), ("2", "blame")]
    path = tmp_path / "lines.jsonl"
    path.write_text(
        '{"text": "bad\\nfood"}\n{"text": "good film", "more": [1]}\n',
        encoding="utf-8",
    )
    assert predicted(path) == [("1", "blame"), ("2", "praise")]


def test_the_order_of_labels():
    assert ordered_labels(["10", "9", "-1.5"]) == ("-1.5", "9", "10")
    # NaN is neither less nor more than a number, so it is a word here.
    for labels in itertools.permutations(["nan", "10", "9"]):
        assert ordered_labels(labels) == ("10", "9", "nan")


def test_the_problem_is_detected_from_the_whole_file(tmp_path, write_csv):
    """Of a file sorted by score, the first rows are all 0."""
    path = write_csv(
        tmp_path / "sorted.csv",
        [(str(n), f"film {n}", str(max(0, n - 2500) / 8)) for n in range(3000)],
        header=("id", "text", "score"),
    )
    dataset = find_labelled_data(DataChoices(train_file=str(path)))
    assert dataset.task(dataset.source("train"))[0] == Regression()


def test_several_labels_take_few_bytes_a_row(checkpoint, tmp_path):
    tokenizer = FullTokenizer(checkpoint / "vocab.txt", True)
    reader = MultiLabel().reader(
        TextEncoder(tokenizer, max_seq_length=16),
        LabelSource("a.csv", separator=";"),
    )
    rows = [
        (number, row)
        for number, cell in enumerate(("b;a", "", "c", " a ;"))
        for row in reader.rows(InputExample("1", "good", label=cell))
    ]
    task, store = reader.finish(
        write_feature_store(tmp_path, reader.columns, rows)
    )
    assert task.labels == ("a", "b", "c")
    targets = store.arrays[TARGETS]
    np.testing.assert_array_equal(
        targets, [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]
    )
    assert targets.dtype == np.uint8
    examples = Examples(None, store, np.arange(4), None)
    assert task.count(examples) == {"a": 2, "b": 1, "c": 1}


def test_labels_go_with_the_weights(finished, change, tmp_path, screen):
    """So does the length: a folder of this program as --init_checkpoint."""
    other = change(
        finished[0],
        do_train=False,
        max_seq_length=None,
        output_dir=tmp_path / "other",
        init_checkpoint=str(finished[0].output_dir),
        dev_file=finished[0].data.train_file,
    )
    run(other, screen)
    assert "labels: blame, praise" in screen.text
    assert figures_of(other.output_dir)["accuracy"] > 0.9
    settings = json.loads((other.output_dir / "classifier.json").read_text())
    trained_with = finished[0].encoder.max_seq_length
    assert settings["max_seq_length"] == trained_with != 128


def test_evaluating_later_finds_the_rows_held_out(finished, screen):
    job, _ = finished
    first = figures_of(job.output_dir)
    run(dataclasses.replace(job, do_train=False), screen)
    assert figures_of(job.output_dir) == first


def test_a_vocabulary_of_another_language_is_reported(
    finished, change, tmp_path, screen, train_rows, write_csv
):
    rows = [(one, "机器 学习", label) for one, _, label in train_rows]
    train = write_csv(tmp_path / "train.csv", rows)
    run(
        change(
            finished[0],
            output_dir=tmp_path / "out",
            train_file=str(train),
            num_train_epochs=1,
        ),
        screen,
    )
    assert "is the vocabulary of another language" in screen.text


def test_rows_with_labels_to_skip_are_in_no_part(
    finished, change, tmp_path, screen, train_rows, write_csv
):
    odd = [(f"odd {n}", f"film {n}", "-") for n in range(3)]
    rows = [*odd[:2], *train_rows[:10], odd[2], *train_rows[10:]]
    train = write_csv(tmp_path / "train.csv", rows)
    job = change(
        finished[0],
        output_dir=tmp_path / "out",
        train_file=str(train),
        num_train_epochs=1,
        skip_labels=("-",),
    )
    run(job, screen)
    assert "labels: blame, praise" in screen.lines
    held_out = read_csv(job.output_dir / "dev_split.csv")[1:]
    whole = read_csv(finished[0].output_dir / "dev_split.csv")[1:]
    assert held_out == whole


def test_balanced_weights():
    """Three of one label to one of the other: weights 2/3 and 2."""
    weights = example_weights(np.array([0, 0, 0, 1]), 2, "balanced")
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2])


@pytest.mark.slow
def test_pairs_with_several_labels(job, screen, tmp_path, write_csv):
    pairs = write_csv(
        tmp_path / "pairs.csv",
        [("good", "film", "a|b"), ("bad", "food", "b"), ("the", "film", "a")]
        * 6,
        header=("sentence1", "sentence2", "label"),
    )
    multi = dataclasses.replace(
        job,
        data=DataChoices(
            train_file=str(pairs), label_separator="|", dev_fraction=0.4
        ),
    )
    run(multi, screen)
    figures = figures_of(job.output_dir)
    assert figures["labels"] == ["a", "b"]
    assert set(figures) >= {"micro_f1", "macro_f1", "accuracy", "loss"}
    assert FinetuningFolder(job.output_dir).read_settings().takes_pairs


@pytest.mark.slow
def test_regression(job, screen, tmp_path, write_csv):
    scores = write_csv(
        tmp_path / "scores.csv",
        [(text, value) for text, value in (("good", 4.5), ("bad", 0.5))] * 9,
        header=("text", "score"),
    )
    regression = dataclasses.replace(
        job,
        output_dir=tmp_path / "scores",
        data=DataChoices(
            train_file=str(scores), test_file=str(scores), dev_fraction=0.4
        ),
        training=dataclasses.replace(job.training, num_train_epochs=15),
        do_predict=True,
    )
    run(regression, screen)
    assert "regression (labels are numbers with fractions)" in screen.text
    with open(tmp_path / "scores" / PREDICTIONS, newline="") as file:
        header, first, second, *_ = csv.reader(file)
    assert header == ["id", "label"]
    assert float(first[1]) > float(second[1])


def test_a_trained_classifier_is_evaluated_as_it_is(
    reference, screen, tmp_path, write_csv
):
    """The logits of an independent forward pass decide the labels here."""
    folder = reference / "checkpointing" / "classifier"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    names = (folder / "labels.csv").read_text("utf-8-sig").split("\n")[1:28]
    rows = [
        (one["text"], names[int(np.argmax(one["logits"]))]) for one in expected
    ]
    data = write_csv(tmp_path / "dev.csv", rows, header=("text", "label"))
    as_it_is = Job(
        output_dir=tmp_path / "out",
        data=DataChoices(
            dev_file=str(data),
            test_file=str(data),
            labels_file=str(folder / "labels.csv"),
        ),
        encoder=EncoderChoices(init_checkpoint=str(folder)),
        training=TrainingChoices(),
        do_eval=True,
        do_predict=True,
    )
    run(as_it_is, screen)
    figures = json.loads((tmp_path / "out" / EVAL_JSON).read_text())
    assert figures["accuracy"] == 1.0
    with open(tmp_path / "out" / PREDICTIONS, newline="") as file:
        header, *predicted = csv.reader(file)
    assert header[2:] == [f"probability_{name}" for name in names]
    for row, one in zip(predicted, expected, strict=True):
        logits = np.array(one["logits"])
        exponentials = np.exp(logits - logits.max())
        np.testing.assert_allclose(
            np.array(row[2:], float),
            exponentials / exponentials.sum(),
            atol=1e-5,
        )
