"""How label cells become classes."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.labelled_data import (
    find_labelled_data,
    find_task,
)
from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.task import TARGETS, LabelSource
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.feature_store import write_feature_store
from bert_keras3.safekeeping.errors import UserError
from tokenization import FullTokenizer

_ALIKE = "classes; if they mean the same, write them alike in the data"


@pytest.fixture
def read(tmp_path):
    """(task, label cells, allowed labels) → labels, targets, notes."""
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    encoder = TextEncoder(FullTokenizer(tmp_path / "vocab.txt"), 8)

    def run(task, cells, labels=None):
        reader = task.reader(encoder, LabelSource("file.csv", labels))
        rows = [
            (number, row)
            for number, cell in enumerate(cells)
            for row in reader.rows(
                InputExample(str(number), "a", label=cell, line=number + 2)
            )
        ]
        store = write_feature_store(tmp_path, reader.columns, rows)
        found, store = reader.finish(store)
        return found.labels, store.arrays[TARGETS], reader.notes()

    return run


def test_labels_that_are_equal_numbers_are_one_class(read):
    labels, targets, notes = read(
        SingleLabel(), ["1.0", "0", "1", "0.00", "1.", "2.5", "2.50"]
    )
    assert labels == ("0", "1", "2.5")
    np.testing.assert_array_equal(targets, [1, 0, 1, 0, 1, 2, 2])
    assert [note.partition("; ")[0] for note in notes] == [
        "note: the label 1 is also written 1.0, 1.",
        "note: the label 0 is also written 0.00",
        "note: the label 2.5 is also written 2.50",
    ]


def test_labels_that_differ_in_case_or_spaces_are_pointed_out(read):
    cells = ["BAD", "Bad", "not spam", "notspam", "bad", "good", "１", "1"]
    labels, targets, notes = read(SingleLabel(), cells)
    assert [labels[target] for target in targets] == cells
    assert [
        note.partition(" differ only in case, spaces or width, ")[::2]
        for note in notes
    ] == [
        ("note: the labels 'BAD', 'Bad', 'bad'", f"and are 3 {_ALIKE}"),
        ("note: the labels 'not spam', 'notspam'", f"and are 2 {_ALIKE}"),
        ("note: the labels '１', '1'", f"and are 2 {_ALIKE}"),
    ]
    with pytest.raises(UserError, match=r"differs from 'bad' only in case, sp"):
        read(SingleLabel(), ["Bad "], ("bad", "good"))


def test_a_label_that_may_be_missing_is_pointed_out(read):
    labels, _, notes = read(SingleLabel(), ["good", "nan", "bad", "nan"])
    assert labels == ("bad", "good", "nan")
    (note,) = notes
    assert note.endswith("leave these rows out with --skip_labels=nan")


def test_identifiers_and_words_stay_as_they_are(read):
    cells = ["007", "7", "1e0", "+1", "1", "v1.0", "v1"]
    labels, targets, notes = read(SingleLabel(), cells)
    assert {*labels} == {*cells}
    assert [labels[target] for target in targets] == cells
    assert notes == ()


def test_labels_that_are_all_written_in_one_way_keep_it(read):
    labels, _, notes = read(SingleLabel(), ["1.0", "0.0", "1.0"])
    assert labels == ("0.0", "1.0")
    assert notes == ()


def test_a_dev_file_may_write_the_labels_in_another_way(read):
    labels, targets, notes = read(
        SingleLabel(), ["1.0", "0.0", "1"], ("0", "1")
    )
    assert labels == ("0", "1")
    np.testing.assert_array_equal(targets, [1, 0, 1])
    assert len(notes) == 2
    with pytest.raises(UserError, match=r"line 3: the label '01' is not among"):
        read(SingleLabel(), ["1", "01"], ("0", "1"))


def test_the_same_with_several_labels(read):
    labels, targets, notes = read(MultiLabel(), ["1|x", "1.0", "2|1.0|1"])
    assert labels == ("1", "2", "x")
    np.testing.assert_array_equal(targets, [[1, 0, 1], [1, 0, 0], [1, 1, 0]])
    assert len(notes) == 1


def test_labels_in_lists(read):
    cells = ['["1", "x"]', "['x']", "[]"]
    labels, targets, _ = read(MultiLabel(), cells)
    assert labels == ("1", "x")
    np.testing.assert_array_equal(targets, [[1, 1], [0, 1], [0, 0]])
    assert find_task(cells)[1] == "labels are lists"
    assert find_task(["[x]", "[y]"])[0].name == "single_label"


def test_numbers_with_a_decimal_comma(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text;score\nsun;0,5\nsea;1\n")
    data = DataChoices(train_file=str(path))
    dataset = find_labelled_data(data)
    with pytest.raises(UserError, match=r"such as 0,5. Write 0.5 if it is a"):
        dataset.task(dataset.source("train"))
    path.write_text("text;score\nsun;0,5\nsea;a\n")
    dataset = find_labelled_data(data)
    assert dataset.task(dataset.source("train"))[0].name == "single_label"


def test_labels_that_name_rows_are_pointed_out(read):
    _, _, (note,) = read(SingleLabel(), [*"abcdefghh", "h"])
    assert "7 of 10 rows have a label that no other row has" in note
    assert read(SingleLabel(), [*"aabbccdd", "e", "f"])[2] == ()


def test_numbers_of_classes_that_a_file_names(tmp_path):
    """As in THUCNews: `text<TAB>1` with the names in class.txt."""
    (tmp_path / "train.tsv").write_text(
        "text\tlabel\nsun\t1\nsea\t0.0\nmoon\t1\nsky\tsea\n"
    )
    (tmp_path / "class.txt").write_text("sea\nsky\nnever\n")
    dataset = find_labelled_data(
        DataChoices(
            train_file=str(tmp_path / "train.tsv"),
            labels_file=str(tmp_path / "class.txt"),
        )
    )
    source = dataset.source("train")
    assert [one.label for one in source] == ["sky", "sea", "sky", "sea"]
    task, why = dataset.task(source)
    assert (task.name, why) == (
        "single_label",
        "--labels_file names the classes",
    )
    # The order of the model's outputs, with a class that does not occur.
    assert dataset.labels == ("sea", "sky", "never")


def test_a_number_beyond_the_named_classes(tmp_path, read):
    (tmp_path / "train.csv").write_text("text,label\nsun,1\nsea,2\n")
    (tmp_path / "class.txt").write_text("sea\nsky\n")
    dataset = find_labelled_data(
        DataChoices(
            train_file=str(tmp_path / "train.csv"),
            labels_file=str(tmp_path / "class.txt"),
        )
    )
    cells = [one.label for one in dataset.source("train")]
    with pytest.raises(UserError, match="line 3: the label '2' is not among"):
        read(SingleLabel(), cells, dataset.labels)
