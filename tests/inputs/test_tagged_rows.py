"""CSV files of spans, and rows of joined tokens and tags."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from bert_keras3.inputs.joined_rows import JoinedRows
from bert_keras3.inputs.span_rows import SpanRows
from bert_keras3.inputs.tagged_columns import ColumnFile
from bert_keras3.inputs.tagged_files import open_tagged_file
from bert_keras3.inputs.tagged_text import (
    Found,
    Span,
    TaggedChoices,
    write_tagged_rows,
)
from bert_keras3.inputs.text_lines import TextLines
from bert_keras3.safekeeping.errors import UserError

SPANS = (
    "id,text,start,end,label,entity\n"
    'a,"Smith, W., sang in Berlin",0,5,PER,Smith\n'
    'a,"Smith, W., sang in Berlin",19,25,LOC,Berlin\n'
    "b,Nobody sang,,,,\n"
    "c,In Rome,3,7,LOC,Rome\n"
)
JOINED = (
    "text_a\tlabel\n在\x02柏\x02林\tO\x02B-LOC\x02I-LOC\n史\x02唱\tB-PER\x02O\n"
)


@pytest.fixture
def opened(tmp_path):
    """A function of a text that writes and opens a file."""

    def write_and_open(text, like=None, want_labels=True, name="file.csv"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return open_tagged_file(
            path, TaggedChoices(), like, want_labels=want_labels
        )

    return write_and_open


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_spans(opened):
    file = opened(SPANS)
    assert isinstance(file, SpanRows)
    assert [(one.guid, one.line, one.spans) for one in file] == [
        ("a", 2, (Span(0, 5, "PER"), Span(19, 25, "LOC"))),
        ("b", 4, ()),
        ("c", 5, (Span(3, 7, "LOC"),)),
    ]


def test_without_ids_equal_texts_are_one(opened):
    """And ends are inclusive here, as the texts tell."""
    file = opened("text;begin;end;type\nA Bo;0;0;X\nA Bo;2;3;Y\nCy;0;1;X\n")
    assert [one.spans for one in file] == [
        (Span(0, 1, "X"), Span(2, 4, "Y")),
        (Span(0, 2, "X"),),
    ]


def test_a_row_for_each_entity_is_written(opened, tmp_path):
    like = opened(SPANS).layout
    file = opened("id,text\n1,Smith sang\n2,No\n", like, want_labels=False)
    found = [[Found(0, 5, "PER", 0.5), Found(6, 10, "X", 1.0)], []]
    path = file.write_found(iter(found), tmp_path)
    assert table(path) == [
        ["id", "text", "start", "end", "label", "entity", "score"],
        ["1", "Smith sang", "0", "5", "PER", "Smith", "0.500000"],
        ["1", "Smith sang", "6", "10", "X", "sang", "1.000000"],
        ["2", "No", "", "", "", "", ""],
    ]
    again = opened(path.read_text("utf-8"))
    assert [len(one.spans) for one in again] == [2, 0]


def test_joined_tokens_and_tags(opened, tmp_path):
    file = opened(JOINED, name="file.tsv")
    assert isinstance(file, JoinedRows)
    assert [(one.tokens, one.tags) for one in file] == [
        (("在", "柏", "林"), ("O", "B-LOC", "I-LOC")),
        (("史", "唱"), ("B-PER", "O")),
    ]
    test = opened("text_a\n在\x02家\n", file.layout, want_labels=False)
    path = test.write_found([["O", "B-X"]], tmp_path)
    assert table(path) == [["text_a", "predicted"], ["在\x02家", "O\x02B-X"]]
    spaced = opened("text,tags\nSmith sang,B-PER O\nNo,O\n")
    assert [one.tokens for one in spaced] == [("Smith", "sang"), ("No",)]


def test_a_row_with_too_few_tags_does_not_change_the_form(opened):
    file = opened("text,tags\nSmith sang,B-PER O\nNo one sang,O O\n")
    assert isinstance(file, JoinedRows)
    with pytest.raises(UserError, match="line 3: 3 tokens and 2 tags"):
        list(file)


@pytest.mark.parametrize("content", [SPANS, JOINED])
def test_some_texts_are_written_with_all_their_rows(opened, tmp_path, content):
    file = opened(content)
    texts = list(file)
    write_tagged_rows([file], np.array([0]), tmp_path / "rows.csv")
    again = opened((tmp_path / "rows.csv").read_text("utf-8"))
    assert list(again) == texts[:1]


def test_a_token_a_line_is_not_taken_for_rows(opened):
    """Although the first two tokens are the names of columns."""
    file = opened("text,B-X\nlabel,O\nstart,O\n", name="file.txt")
    assert isinstance(file, ColumnFile)
    assert len(next(iter(file)).tokens) == 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c,In Rome,0,2,X,In\n", None),
        ("a,In Rome,0,2,X,In\n", "line 6: the id 'a' is that of line 2, too"),
        ("c,In Roma,0,2,X,In\n", "line 6: the id 'c' has another text than"),
        ("d,In Rome,0,,X,In\n", "line 6: the span '0,,X' is incomplete"),
        ("d,In Rome,0,two,X,In\n", "line 6: start '0' and end 'two' must be"),
        ("d,In Rome,3,8,X,Rome\n", "line 6: the span from 3 to before 8"),
        ("d,In Rome,0,2,X,Rome\n", "line 6: the file says that 'Rome'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(opened, row, message):
    if message is None:
        assert len(list(opened(SPANS + row))[2].spans) == 2
        return
    with pytest.raises(UserError, match=message):
        list(opened(SPANS + row))


COLUMNS = {"form": "columns", "delimiter": " ", "width": 2, "token": 0}
COLUMNS["tag"] = 1


@pytest.mark.parametrize(
    ("content", "form", "first"),
    [
        ("id,text,stars\n7,Smith sang in Rome,3\n", SpanRows, "Smith sang"),
        ("text\nSmith sang in Rome\n", SpanRows, "Smith sang in Rome"),
        ("Smith sang in Rome.\n\nHe left, too.\n", TextLines, "Smith sang"),
        ("史密斯在柏林唱歌给大家听\n", TextLines, "史密斯在柏林唱歌给大家听"),
        ("Smith B-PER\nsang O\n", ColumnFile, ("Smith", "sang")),
        ("Smith\nsang\n", ColumnFile, ("Smith", "sang")),
        ("text\nsang\n", ColumnFile, ("text", "sang")),
        ("Smith NNP\nsang VBD\n", ColumnFile, ("Smith", "sang")),
    ],
)
def test_texts_to_predict_by_a_model_of_tokens(opened, content, form, first):
    file = opened(content, COLUMNS, want_labels=False, name="file.txt")
    assert type(file) is form
    text = next(iter(file))
    if form is ColumnFile:
        assert text.tokens == first
    else:
        assert text.text.startswith(first)


def test_entities_in_lines_of_text(opened, tmp_path):
    content = "Smith sang in Rome\n\nHe left\n"
    file = opened(content, want_labels=False, name="file.txt")
    found = [[Found(14, 18, "LOC", 0.75)], []]
    written = file.write_found(found, tmp_path).read_text("utf-8")
    first, second = map(json.loads, written.splitlines())
    assert first["entities"] == [
        {"start": 14, "end": 18, "label": "LOC", "text": "Rome", "score": 0.75}
    ]
    assert second == {"text": "He left", "entities": []}
    assert [one.line for one in file] == [1, 3]


@pytest.mark.parametrize(
    ("content", "name", "want_labels", "message"),
    [
        (
            "name,price\nfoo bar,3\nbaz qux,4\n",
            *("file.csv", False, "no column is named as one of texts"),
        ),
        (
            "text,begins,end,label\nIn Rome,3,7,LOC\nIn Bern,3,7,LOC\n",
            *("file.csv", True, "needs the columns text, start, end"),
        ),
        (
            "text,label\nSmith sang in Rome,good\nHe left,bad\n",
            *("file.csv", True, "needs the columns text, start, end"),
        ),
        (
            '{"text": "In Rome", "label": "LOC"}\n',
            *("file.jsonl", True, "one label for the whole text"),
        ),
        (
            '{"version": "2", "data": [{"title": "", "paragraphs": []}]}\n',
            *("file.json", True, "as files of questions are"),
        ),
        (
            "-DOCSTART- -X- O\n\n-DOCSTART- -X- O\n",
            *("file.txt", True, "only blank lines and lines of -DOCSTART-"),
        ),
    ],
)
def test_a_file_of_another_kind(opened, content, name, want_labels, message):
    with pytest.raises(UserError, match=message):
        opened(content, COLUMNS, want_labels=want_labels, name=name)
