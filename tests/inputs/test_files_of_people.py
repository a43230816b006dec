"""Files as people have them: titles above the header, nested JSON, and more."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3.finetuning.dataset import as_written, write_rows
from bert_keras3.inputs.choice_columns import (
    ChoiceFlags,
    open_choices,
    open_choices_like,
)
from bert_keras3.inputs.delimited import Dialect, rows, value_at
from bert_keras3.inputs.dialect_search import sniff
from bert_keras3.inputs.examples import as_list, is_date
from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError

Write = Callable[..., pathlib.Path]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    def write(content: str, name: str = "a.csv") -> pathlib.Path:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        return path

    return write


def lines_of(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def labels(file: LabelledFile) -> list:
    return [one.label for one in file]


def message(path: pathlib.Path, **choices: Any) -> str:
    with pytest.raises(UserError) as caught:
        list(LabelledFile.open(path, FileChoices(**choices)))
    return str(caught.value)


# Lines above the header.

TABLE = "text,label\nFine,1\nDull,0\nGood,1\n"


@pytest.mark.parametrize(
    ("above", "skip"),
    [
        ("", 0),
        ("Export of 3 May\n", 1),
        ("Export\n\nfor the team\n\n", 4),
        ("# written by a program\n", 1),
        ("sep=,\n", 1),
        ('"sep=,"\r\n', 1),
    ],
)
def test_lines_above_the_header_are_found(
    write: Write, above: str, skip: int
) -> None:
    path = write(above + TABLE)
    dialect = sniff(path)
    assert (dialect.skip, dialect.columns) == (skip, ("text", "label"))
    assert [row.line for row in rows(path, dialect)] == [
        skip + 2,
        skip + 3,
        skip + 4,
    ]


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        # Prose of one column.
        "Hello.\nWell, ok\nYes, sure\nNo, thanks\nSo, what\n",
        # A first row of several lines.
        'comment,verdict\n"one\ntwo, three, four",x\n"a\nb, c, d",y\n',
    ],
)
def test_other_files_have_no_lines_above(write: Write, content: str) -> None:
    assert sniff(write(content)).skip == 0


def test_a_header_shorter_than_its_rows_is_not_left_out(write: Write) -> None:
    path = write("text,label\n1,Fine,1\n2,Dull,0\n3,Good,1\n")
    assert message(path).startswith(f"{path}, line 2: 3 cells where 2")


def test_given_lines_are_left_out(write: Write) -> None:
    path = write("a,b,c\nd,e,f\n" + TABLE)
    found = LabelledFile.open(path, FileChoices(skip_rows=2))
    assert labels(found) == ["1", "0", "1"]
    assert "has no row below 9 lines" in message(path, skip_rows=9)


def test_a_broken_row_below_skipped_lines_has_its_line(write: Write) -> None:
    path = write("Export\n\ntext,label\n" + "Fine,1\n" * 20 + "Dull,0,x\n")
    assert f"{path}, line 24: 3 cells where 2" in message(path)


def test_files_that_were_joined(write: Write) -> None:
    """The header comes again, perhaps behind a byte order mark."""
    path = write(f"\ufeff{TABLE}\ufeff{TABLE}{TABLE}")
    found = LabelledFile.open(path)
    assert found.dialect.header
    assert labels(found) == ["1", "0", "1"] * 3
    (note,) = found.notes()
    assert "2 times the header comes again (line 5, 9) and is left out" in note
    # Without a name that columns often have, it is a row like any other.
    assert not sniff(write("Fine,good\nDull,bad\nFine,good\n")).header
    # A single column is all texts.
    found = LabelledFile.open(write("text\nok\ntext\n"), want_label=False)
    assert [one.text_a for one in found] == ["text", "ok", "text"]


def test_a_mark_before_a_label_is_none_of_it(write: Write) -> None:
    found = LabelledFile.open(write("label,text\n\ufeff1,Fine\n1,Good\n"))
    assert labels(found) == ["1", "1"]


@pytest.mark.parametrize(
    "end", [",", ",,", ", ,", "\x1a", "\n\x1a\n", "\u200b", "\u200f\u00a0"]
)
def test_what_is_not_seen_at_the_end_of_a_row(write: Write, end: str) -> None:
    """Empty cells, the end of a file of DOS, marks without a width."""
    found = LabelledFile.open(write(f"{TABLE}Poor,0{end}"))
    assert labels(found)[-1].rstrip("\x1a") == "0"
    assert len(labels(found)) == 4


def test_a_quoted_column_of_tab_separated_values(write: Write) -> None:
    text = 'text\tlabel\n"Fine"\t1\n"Dull"\t0\n"Good"\t1\n'
    assert sniff(write(text, "a.tsv")).quoting == "double"


# Two columns of one name.


def test_columns_of_one_name_are_told_apart_by_number(write: Write) -> None:
    path = write("id,text,note,note,label\n1,Fine,a,b,1\n2,Dull,c,d,0\n")
    dialect = sniff(path)
    assert dialect.header
    assert dialect.columns == (
        *("id", "text", "note (column 3)", "note (column 4)", "label"),
    )
    found = LabelledFile.open(path, FileChoices(label="note (column 4)"))
    assert labels(found) == ["b", "d"]


def test_two_labels_of_one_name_are_a_question(write: Write) -> None:
    path = write("text,label,label\nFine,1,1\nDull,0,1\n")
    assert (
        "'label (column 2)' and 'label (column 3)' could each be the label"
    ) in message(path)


def test_names_that_are_empty_are_no_sign_of_a_missing_header(
    write: Write,
) -> None:
    dialect = sniff(write("text,label,,\nFine,1,,\nDull,0,,\n"))
    assert dialect.header
    assert dialect.columns == ("text", "label", "column 3", "column 4")


# JSON in other forms.


def test_objects_are_known_whatever_the_name(write: Write) -> None:
    path = write('{"text": "Fine, yes", "label": 1}\n' * 2, "a.csv")
    assert [one.text_a for one in LabelledFile.open(path)] == ["Fine, yes"] * 2


@pytest.mark.parametrize(
    "rows",
    [
        {"text": ["Fine", "Dull"], "label": [1, 0]},
        {"text": {"0": "Fine"}, "label": {"0": 1}},
        {"version": "1", "data": [{"text": "Fine"}, {"text": "Dull"}]},
        {"columns": ["text"], "index": [0], "data": [["Fine"]]},
    ],
)
def test_an_object_with_all_rows_in_it(write: Write, rows: Any) -> None:
    assert "write an object for each row" in message(
        write(json.dumps(rows), "a.json")
    )


def test_an_object_of_several_lines(write: Write) -> None:
    path = write('{\n "text": "Fine"\n}\n', "a.jsonl")
    assert "write each object on one line" in message(path)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ('["a", "b"]', ["a", "b"]),
        ("['a', 2]", ["a", "2"]),
        ("[]", []),
        ("[UNK]", None),
        ("[1, [2]]", None),
        ("a|b", None),
        ("[" * 100_000 + "]" * 100_000, None),
    ],
)
def test_lists_in_cells(cell: str, names: list[str] | None) -> None:
    assert as_list(cell) == names


# Nested values.


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": [1, {"c": "x"}]}),
        ("a.b.0", 1),
        ("a.b.1.c", "x"),
        ("d.e", "a key with a dot"),
        ("a.b.2", None),
        ("a.z.c", None),
        ("a.b.c", None),
        ("f.x", None),
    ],
)
def test_values_by_path(path: str, value: Any) -> None:
    record = {"a": {"b": [1, {"c": "x"}]}, "d.e": "a key with a dot", "f": 3}
    assert value_at(record, path) == value


ANNOTATED = [
    {
        "data": {"text": f"text {number}"},
        "annotations": [
            {"label": label, "votes": [label, "odd"]},
            {"label": "second"},
        ],
    }
    for number, label in enumerate(["bad", "good", "bad"])
]


def test_nested_labels_are_found_by_their_name(write: Write) -> None:
    found = LabelledFile.open(write(lines_of(ANNOTATED), "a.jsonl"))
    assert found.dialect.columns == (
        *("data", "annotations", "data.text", "annotations.0.label"),
        "annotations.0.votes",
    )
    assert [(one.text_a, one.label) for one in found] == [
        ("text 0", "bad"),
        ("text 1", "good"),
        ("text 2", "bad"),
    ]


def test_nested_labels_are_named_by_a_path(
    write: Write, tmp_path: pathlib.Path
) -> None:
    path = write(lines_of(ANNOTATED), "a.jsonl")
    choices = FileChoices(label="annotations.0.votes.0")
    found = LabelledFile.open(path, choices)
    assert labels(found) == ["bad", "good", "bad"]
    # A dev file of the same form, without the flag.
    again = LabelledFile.open_like(path, found.columns)
    assert labels(again) == ["bad", "good", "bad"]
    # What is held out has a column of this name.
    part = tmp_path / "dev_split.csv"
    write_rows(part, found.dialect, found.rows(), np.array([1]))
    held_out = LabelledFile.open_like(part, found.columns, as_written(True))
    assert [(one.text_a, one.label) for one in held_out] == [("text 1", "good")]
    # A test file has no labels.
    bare = write(lines_of([{"data": {"text": "new"}}]), "b.jsonl")
    test = LabelledFile.open_like(bare, found.columns, want_label=False)
    assert [one.text_a for one in test] == ["new"]


def test_objects_are_no_labels(write: Write) -> None:
    path = write(lines_of(ANNOTATED), "a.jsonl")
    found = message(path, label="annotations")
    assert "'annotations' holds objects; name a value in them by its path" in (
        found
    )
    assert "such as annotations.0.label" in found
    assert "there is no column 'annotations.9.label'" in message(
        path, label="annotations.9.label"
    )


def test_choices_by_path(write: Write) -> None:
    path = write(
        lines_of(
            [
                {
                    "q": {"context": "It rains.", "options": ["wet", "dry"]},
                    "y": n,
                }
                for n in (0, 1)
            ]
        ),
        "a.jsonl",
    )
    flags = ChoiceFlags(
        FileChoices(label="y", text="q.context"), ("q.options",)
    )
    file, _ = open_choices(path, flags, want_label=True)
    assert [one.answer for one in file] == [0, 1]
    file, _ = open_choices_like(
        path, file.columns, FileChoices(), want_label=True
    )
    assert [one.choices for one in file] == [("wet", "dry")] * 2


# Missing texts.


def test_words_for_missing_texts_are_empty_texts(write: Write) -> None:
    path = write(
        "text,label\nFine,1\nNaN,0\nnull,1\n N/A ,0\nNone,1\nNaN,0\n"
        "None of it is good,0\n"
    )
    found = LabelledFile.open(path)
    assert [one.text_a for one in found] == [
        *("Fine", "", "", "", "", "", "None of it is good"),
    ]
    # Counted anew each time.
    for _ in range(2):
        list(found)
        (note,) = found.notes()
        assert note == (
            "note: NaN (2), null (1), N/A (1), None (1) in place of a text "
            "means that it is missing, and is read as an empty one"
        )


# Dates, and several labels.


@pytest.mark.parametrize(
    "cell",
    [
        *("2024-01-31", "2024-01-31T10:11:12Z", "2024/1/31 10:11", "10:11:12"),
        *("31.01.2024", "1/31/24 3:05 pm", "31 Jan 2024", "January 31, 2024"),
        *("Wed, 31 Jan 2024 10:11:12 +0100", "2024年1月31日"),
        "2024-01-31 10:11:12.123456+00:00",
    ],
)
def test_dates(cell: str) -> None:
    assert is_date(cell)


@pytest.mark.parametrize(
    "cell",
    ["", "2024", "1.5", "May", "12-13", "call 10:11", "1.2.3.4", "3 of 4"],
)
def test_what_is_no_date(cell: str) -> None:
    assert not is_date(cell)


def test_dates_are_neither_label_nor_text(write: Write) -> None:
    path = write(
        "created_at,is_spam,body_\n"
        "2024-01-30T00:00:00.000Z,0,hello\n2024-01-31T00:00:00.000Z,1,buy\n"
        "2024-01-30T00:00:00.000Z,0,hi\n2024-01-31T00:00:00.000Z,1,free\n"
    )
    found = LabelledFile.open(path)
    assert (found.columns.text, found.columns.label) == (2, (1,))


def test_columns_of_0_and_1_are_offered_as_several_labels(write: Write) -> None:
    path = write(
        "id,comment,toxic,obscene,threat,count\n"
        "1,What a day,0,0,0,3\n2,You so and so,1,1,0,1\n"
        "3,Well done,0,0,0,2\n4,Go away,1,0,0,3\n5,No,1,1,0,1\n6,Yes,0,0,0,2\n"
    )
    found = message(path)
    assert "'toxic' and 'obscene' and 'count' could each be the label" in found
    # A label that none of the rows has is one of them.
    flag = "--label_column=toxic,obscene,threat"
    assert f"if rows can have several of them, give {flag}. Its" in found
    columns = LabelledFile.open(path, FileChoices(label=flag.split("=")[1]))
    assert columns.columns.label == (2, 3, 4)


def test_names_with_a_comma_are_offered_by_number(write: Write) -> None:
    path = write(
        'text,"late, or never",rude\na b c,0,1\nb c d,1,0\nc d e,0,0\n'
        "d e f,1,1\n"
    )
    assert "give --label_column=2,rude. Its" in message(path)


def test_dialects_are_told_with_what_was_left_out(write: Write) -> None:
    dialect: Dialect = sniff(write("Export\n" + TABLE))
    assert (
        *("lines left out", "1"),
        "they have fewer cells than the header below",
    ) in dialect.decisions
