"""Several files of labelled texts, read as one."""

from __future__ import annotations

import gzip
import json
import pathlib

import numpy as np
import pytest

from bert_keras3.finetuning.dataset import as_written, given_files
from bert_keras3.finetuning.labelled_data import FileDataset, find_labelled_data
from bert_keras3.finetuning.settings import DataChoices
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
