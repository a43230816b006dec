"""Several files of examples, read as one."""

from __future__ import annotations

import gzip
import json
import pathlib

import numpy as np
import pytest

from bert_keras3.finetuning.choice_data import find_choices
from bert_keras3.finetuning.dataset import as_written, given_files
from bert_keras3.finetuning.labelled_data import FileDataset, find_labelled_data
from bert_keras3.finetuning.question_data import find_questions
from bert_keras3.finetuning.settings import DataChoices
from bert_keras3.finetuning.span_settings import QuestionFiles
from bert_keras3.finetuning.tagged_data import find_tagged_data
from bert_keras3.finetuning.tagging_settings import TaggedFiles
from bert_keras3.finetuning.task import LabelSource
from bert_keras3.finetuning.texts import unknown_label
from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.safekeeping.errors import UserError


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three files of one kind of data, each written in its own way."""
    (tmp_path / "a.csv").write_text("text,label,stars\nFine,1,5\nDull,0,2\n")
    (tmp_path / "b.csv.gz").write_bytes(
        gzip.compress(b"Export\nLabel,more,text\n0,x,Bad\n1,y,NaN\n1,z,Nice\n")
    )
    (tmp_path / "c.json").write_text(
        json.dumps([{"stars": 3, "label": 1, "text": "Good"}])
    )
    return tmp_path


def test_files_are_named_by_a_list_or_a_pattern(folder: pathlib.Path) -> None:
    a, b = folder / "a.csv", folder / "b.csv.gz"
    assert given_files(str(a)) == (a,)
    assert given_files(f"{b},{a}") == (b, a)
    assert given_files(str(folder / "*.c*")) == (a, b)
    # A name may have signs of patterns itself.
    odd = folder / "d[1],*.csv"
    odd.touch()
    assert given_files(str(odd)) == (odd,)
    with pytest.raises(UserError, match=r"z\*\.csv: there is no such file"):
        given_files(str(folder / "z*.csv"))


def test_several_files_are_read_as_one(folder: pathlib.Path) -> None:
    names = ("a.csv", "b.csv.gz", "c.json")
    given = ",".join(str(folder / name) for name in names)
    data = DataChoices(train_file=given)
    dataset = find_labelled_data(data)
    assert isinstance(dataset, FileDataset)
    source = dataset.source("train")
    found = list(source)
    assert [(one.guid, one.text_a, one.label) for one in found] == [
        *(("1", "Fine", "1"), ("2", "Dull", "0"), ("3", "Bad", "0")),
        *(("4", "", "1"), ("5", "Nice", "1"), ("6", "Good", "1")),
    ]
    assert str(source.path) == str(folder / "a.csv and 2 more")
    (note,) = source.notes()
    assert note.startswith("note: NaN (1) in place of a text means that it is")
    description = source.describe()
    assert description is not None
    assert description.decisions[0][:2] == ("files", ", ".join(names))

    # Messages name the file.
    message = str(
        unknown_label(LabelSource(source.path, ("1",)), found[2], "0")
    )
    assert message.startswith(f"{folder / 'b.csv.gz'}, line 3: the label '0'")

    # What is held out has the columns of the first file.
    part = folder / "dev_split.csv"
    source.write_rows(np.array([1, 2, 5]), part)
    assert part.read_text() == "text,label,stars\nDull,0,2\nBad,0,\nGood,1,3\n"
    columns = LabelledFile.open(folder / "a.csv").columns
    again = LabelledFile.open_like(part, columns, as_written(True))
    assert [one.text_a for one in again] == ["Dull", "Bad", "Good"]


def test_a_file_without_the_columns_of_the_first(folder: pathlib.Path) -> None:
    (folder / "d.csv").write_text("title,label\nSo-so,1\nGreat,0\n")
    data = DataChoices(train_file=f"{folder / 'a.csv'},{folder / 'd.csv'}")
    with pytest.raises(UserError, match=r"d\.csv has no column 'text'"):
        find_labelled_data(data).source("train")


def test_several_files_of_choices(tmp_path: pathlib.Path) -> None:
    """Their columns stand in other orders; the second has a choice less."""
    (tmp_path / "a.csv").write_text(
        "question,A,B,C,label\nHot?,ice,fire,air,B\nWet?,rain,sand,,A\n"
    )
    (tmp_path / "b.csv").write_text("label,B,A,question\nA,sand,sea,Wet?\n")
    data = DataChoices(train_file=str(tmp_path / "*.csv"))
    dataset = find_choices(data)
    source = dataset.source("train")
    assert [(one.guid, one.choices, one.answer) for one in source] == [
        ("1", ("ice", "fire", "air"), 1),
        ("2", ("rain", "sand"), 0),
        ("3", ("sea", "sand"), 0),
    ]
    assert [one.where for one in source][-1] == f"{tmp_path / 'b.csv'}, line 2"
    part = tmp_path / "dev_split"
    source.write_rows(np.array([0, 2]), part)
    assert part.read_text() == (
        "question,A,B,C,label\nHot?,ice,fire,air,B\nWet?,sea,sand,,A\n"
    )
    asked = {"question": "?", "choice": ["a", "b"], "answer": "a"}
    for name in ("c.json", "d.json"):
        (tmp_path / name).write_text(json.dumps([[["Dry."], [asked], "1"]]))
    data = DataChoices(train_file=str(tmp_path / "?.json"))
    both = list(find_choices(data).source("train"))
    test = DataChoices(test_file=str(tmp_path / "?.json"))
    with pytest.raises(UserError, match="occurred before"):
        list(find_choices(test).source("test"))
    assert [one.path[-6:] for one in both] == ["c.json", "d.json"]
    mixed = f"{tmp_path / 'a.csv'},{tmp_path / 'c.json'}"
    with pytest.raises(UserError, match="have different forms"):
        find_choices(DataChoices(train_file=mixed)).source("train")


def test_several_files_of_questions(tmp_path: pathlib.Path) -> None:
    """One has rows, whose numbers count on; ids come twice in two files."""
    record = {"id": "x", "question": "Who?", "context": "Ann.", "answers": []}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    (tmp_path / "b.csv").write_text(
        "question,context,answer\nWhat?,A cat.,cat\n"
    )
    (tmp_path / "c.json").write_text(json.dumps([record]))
    names = ",".join(str(tmp_path / name) for name in ("a.jsonl", "b.csv"))
    source = find_questions(QuestionFiles(train_file=names)).source("train")
    assert [one.question_id for one in source] == ["x", "2"]
    part = tmp_path / "dev_split.jsonl"
    source.write_rows(np.array([1]), part)
    assert json.loads(part.read_text())["answers"] == {
        "text": ["cat"],
        "answer_start": [2],
    }
    twice = QuestionFiles(test_file=f"{names},{tmp_path / 'c.json'}")
    with pytest.raises(UserError, match=r"c\.json, .*the id occurred before"):
        list(find_questions(twice).source("test"))


def test_several_files_of_tags(tmp_path: pathlib.Path) -> None:
    """The second file alone shows the scheme, and has a type of its own."""
    (tmp_path / "a.txt").write_text("Ann B-PER\nsang O\n\nLoud O\n\n")
    (tmp_path / "b.txt").write_text("in O\nNew B-LOC\nYork I-LOC\n\n")
    (tmp_path / "c.txt").write_text("New NNP B-LOC\nYork NNP I-LOC\n\n")
    given = f"{tmp_path / 'a.txt'},{tmp_path / 'b.txt'}"
    dataset = find_tagged_data(TaggedFiles(train_file=given))
    source = dataset.source("train")
    assert [len(one.tokens) for one in source] == [2, 1, 3]
    assert dataset.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    part = tmp_path / "dev_split.txt"
    source.write_rows(np.array([0, 2]), part)
    assert part.read_text() == (
        "Ann B-PER\nsang O\n\nin O\nNew B-LOC\nYork I-LOC\n\n"
    )
    other = TaggedFiles(train_file=f"{given},{tmp_path / 'c.txt'}")
    with pytest.raises(
        UserError, match=r"c\.txt is not laid out like .*a\.txt"
    ):
        find_tagged_data(other).source("train")
    with pytest.raises(UserError, match="one file at a time"):
        find_tagged_data(TaggedFiles(test_file=given)).source("test")
