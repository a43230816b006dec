"""Compressed files, archives, Parquet and spreadsheets; JSON lists."""

from __future__ import annotations

import bz2
import datetime
import gzip
import io
import json
import lzma
import pathlib
import sys
import tracemalloc
import zipfile

import pytest

from bert_keras3.inputs import json_lists, packed_files
from bert_keras3.inputs.choice_names import looks_like_choices
from bert_keras3.inputs.delimited import rows
from bert_keras3.inputs.dialect_search import sniff
from bert_keras3.inputs.examples import find_split_files
from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.questions import read_questions
from bert_keras3.inputs.tagged_files import open_tagged_file
from bert_keras3.inputs.tagged_text import TaggedChoices, write_tagged_rows
from bert_keras3.safekeeping.errors import UserError

CSV = 'text,label\nFine,1\n"Dull, and\nlong",0\nSüß,1\n'
ROWS = [["Fine", "1"], ["Dull, and\nlong", "0"], ["Süß", "1"]]


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # ZipInfo's time is the same on every day.
            info = zipfile.ZipInfo(name)
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def sheet(rows: list[list[str | int | None]]) -> bytes:
    """A spreadsheet as small as they come: its rows begin in B1."""
    lines = []
    for number, cells in enumerate(rows, 1):
        line = ""
        for letter, cell in zip("BCDE", cells, strict=False):
            place = f'<c r="{letter}{number}"'
            if isinstance(cell, int):
                line += f"{place}><v>{cell}</v></c>"
            elif cell is not None:
                line += f'{place} t="inlineStr"><is><t>{cell}</t></is></c>'
        lines.append(f'<row r="{number}">{line}</row>')
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006"
    package = "http://schemas.openxmlformats.org/package/2006"
    relation = f'<Relationship Id="r1" Type="{office}/relationships/'
    return zipped(
        {
            name: f'<?xml version="1.0"?>{content}'.encode()
            for name, content in {
                "[Content_Types].xml": (
                    f'<Types xmlns="{package}/content-types"><Default '
                    'Extension="xml" ContentType="application/xml"/></Types>'
                ),
                "_rels/.rels": (
                    f'<Relationships xmlns="{package}/relationships">'
                    f'{relation}officeDocument" Target="xl/workbook.xml"/>'
                    "</Relationships>"
                ),
                "xl/workbook.xml": (
                    f'<workbook {main} xmlns:r="{office}/relationships">'
                    '<sheets><sheet name="Data" sheetId="1" r:id="r1"/>'
                    "</sheets></workbook>"
                ),
                "xl/_rels/workbook.xml.rels": (
                    f'<Relationships xmlns="{package}/relationships">'
                    f'{relation}worksheet" Target="worksheets/sheet1.xml"/>'
                    "</Relationships>"
                ),
                "xl/worksheets/sheet1.xml": (
                    f"<worksheet {main}><sheetData>{''.join(lines)}"
                    "</sheetData></worksheet>"
                ),
            }.items()
        }
    )


PACKED = {
    "a.csv.gz": gzip.compress(CSV.encode()),
    "a.csv.bz2": bz2.compress(CSV.encode()),
    "a.csv.xz": lzma.compress(CSV.encode()),
    "two_members.csv.gz": b"".join(
        gzip.compress(part.encode()) for part in (CSV[:20], CSV[20:])
    ),
    "a.zip": zipped(
        {
            "data/": b"",
            "data/train.csv": CSV.encode(),
            "__MACOSX/data/._train.csv": b"\0\5\x16\7",
        }
    ),
    # Unpacked on the way, with its name kept.
    "plain.csv.gz": CSV.encode(),
    # A name that does not say that it is compressed.
    "hidden.csv": gzip.compress(CSV.encode()),
    "utf_16.csv.gz": gzip.compress(CSV.encode("utf-16")),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_have_the_rows_inside(
    tmp_path: pathlib.Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(PACKED[name])
    found = LabelledFile.open(path)
    assert [row.cells for row in found.rows()] == ROWS
    assert [one.line for one in found] == [2, 3, 5]


def test_a_text_that_begins_like_a_magic_number(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("BZh,label\nFine,1\nDull,0\nBZh9,1\n")
    assert sum(1 for _ in rows(path, sniff(path))) == 3


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def encrypted(content: bytes) -> bytes:
    """Sets the flag in the local header and in the directory."""
    at = content.index(b"PK\1\2") + 8
    content = content[:at] + b"\1\0" + content[at + 2 :]
    return content[:6] + b"\1\0" + content[8:]


ZIP = zipped({"a.csv": CSV.encode() * 99})


@pytest.mark.parametrize(
    ("name", "content", "reported"),
    [
        ("a.csv.gz", cut(PACKED["a.csv.gz"]), "(gzip) is damaged or cut off"),
        ("a.csv.bz2", cut(PACKED["a.csv.bz2"]), "(bzip2) is damaged or cut"),
        ("a.csv.xz", cut(PACKED["a.csv.xz"]), "(xz) is damaged or cut off"),
        ("a.zip", cut(ZIP), "begins as a ZIP archive, and is damaged"),
        ("a.zip", ZIP.replace(b"\xed", b"\xee"), "(zip) is damaged or cut off"),
        ("a.zip", encrypted(ZIP), "a.csv in it is encrypted; unpack it"),
        ("a.zip", zipped({}), "the archive holds 0 files, where one"),
        (
            "a.zip",
            zipped({"train.csv": b"a", "dev.csv": b"b"}),
            "the archive holds 2 files (train.csv, dev.csv), where one",
        ),
        (
            "a.csv.gz",
            gzip.compress(PACKED["a.csv.gz"]),
            "is packed twice, not text; unpack it",
        ),
        (
            "a.tar.gz",
            gzip.compress(b"a.csv".ljust(257, b"\0") + b"ustar\0" + b"00"),
            "is a tar archive, not text; unpack it",
        ),
        ("a.csv.gz", gzip.compress(b""), "is empty"),
    ],
    ids=[
        *("cut gzip", "cut bzip2", "cut xz", "cut zip", "wrong checksum"),
        *("encrypted", "no file", "two files", "twice", "tar", "empty"),
    ],
)
def test_packed_files_that_are_none(
    tmp_path: pathlib.Path, name: str, content: bytes, reported: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(LabelledFile.open(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert reported in message
    assert "\n" not in message


def test_a_file_that_grows_beyond_measure(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_files, "_LARGE", 1 << 20)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\n" + bytes(1 << 22)))
    with pytest.raises(UserError, match=r"more than 500\s+times as large"):
        sniff(path)
    # Texts that hardly differ are no such file.
    lines = "".join(f"The same text again ({n}),1\n" for n in range(50_000))
    path.write_bytes(gzip.compress(f"text,label\n{lines}".encode()))
    assert sniff(path).columns == ("text", "label")


def test_memory_does_not_grow_with_a_packed_file(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("text,label\n")
        for number in range(100_000):
            file.write(f"The {number}th text of a file that is large,1\n")
    dialect = sniff(path)
    tracemalloc.start()
    assert sum(1 for _ in rows(path, dialect)) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_an_undecodable_byte_in_a_packed_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv.gz"
    text = CSV.encode() * 9
    path.write_bytes(gzip.compress(text + b"\xff\xfe,1\n"))
    with pytest.raises(UserError) as caught:
        sniff(path)
    assert f"ff fe 2c 31 at offset {len(text)} " in str(caught.value)


# JSON lists.

RECORDS = [
    {"text": "Fine", "label": 1},
    {"text": "Dull, and\nlong", "label": 0},
    {"text": "Süß", "label": 1},
]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list_is_read_as_its_objects(
    tmp_path: pathlib.Path, indent: int | None
) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps(RECORDS, indent=indent, ensure_ascii=False), "utf-8"
    )
    found = LabelledFile.open(path)
    assert [row.cells for row in found.rows()] == ROWS
    lines = [2, 6, 10] if indent else [1, 1, 1]
    assert [one.line for one in found] == lines
    assert ("form", "JSON list", "it begins with [") in found.describe()[0]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_blocks_of_any_size_give_the_same_values(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    values = [{"a": [1, -2.5e3, '\\"[{\u2028']}, {}, {"b": None}, {"c": 1234}]
    path = tmp_path / "a.json"
    path.write_text(f" \n{json.dumps(values)}\n ", "utf-8")
    monkeypatch.setattr(json_lists, "_BLOCK", size)
    assert list(json_lists.list_values(path, "utf-8")) == [
        (2, value) for value in values
    ]


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ('[{"text": "a"},\n {"text": "b', "line 2: no list of JSON (Untermina"),
        ('[{"text": "a"},\n', "line 2: no list of JSON (Expecting value)"),
        (
            '[{"text": "a"}\n {"text": "b"}]',
            "line 2: no list of JSON (expected",
        ),
        ('[{"text": "a"}] x', "line 1: no list of JSON (something stands beh"),
        ('[{"text": "a"},\n 3]', "line 2: each value of the list must be an"),
        (
            '[{"text" "a"}' + " " * 99 + "]",
            "line 1: no list of JSON (Expecting",
        ),
        ("[]", "is empty: it holds no record"),
    ],
)
def test_json_lists_that_are_none(
    tmp_path: pathlib.Path, text: str, reported: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as caught:
        sniff(path)
    assert reported in str(caught.value)


# Parquet and spreadsheets.


def test_parquet_has_rows_of_json(tmp_path: pathlib.Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "train.parquet"
    table = arrow.table(
        {
            "text": ["Fine", "Dull", None],
            "label": [1, 0, 1],
            "when": [datetime.datetime(2024, 1, 2, 3)] * 3,
            "score": [0.5, float("nan"), 1.0],
        }
    )
    parquet.write_table(table, path)
    found = LabelledFile.open(path)
    assert found.columns.label == (1,)
    assert [row.cells for row in found.rows()] == [
        ["Fine", "1", "2024-01-02T03:00:00", "0.5"],
        ["Dull", "0", "2024-01-02T03:00:00", ""],
        ["", "1", "2024-01-02T03:00:00", "1.0"],
    ]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="the Parquet file is damaged or cut"):
        sniff(path)


def test_what_reads_parquet_is_named_where_it_is_missing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError) as caught:
        sniff(path)
    assert "pip install 'bert-keras3[parquet]'" in str(caught.value)
    path = tmp_path / "a.xlsx"
    path.write_bytes(sheet([["text"]]))
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(UserError) as caught:
        sniff(path)
    assert "pip install 'bert-keras3[spreadsheets]'" in str(caught.value)


def test_spreadsheets_have_rows(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("python_calamine")
    path = tmp_path / "a.xlsx"
    path.write_bytes(
        sheet(
            [
                [None],
                ["text", "label"],
                ["Fine", 1],
                [None, None],
                ["Dull, and\nlong", 0],
                ["Süß", 1],
            ]
        )
    )
    found = LabelledFile.open(path)
    assert [row.cells for row in found.rows()] == ROWS
    assert [one.line for one in found] == [3, 5, 6]
    assert ("sheet", "Data", "the first of 1 with a row in it") in (
        found.describe()[0]
    )
    path.write_bytes(sheet([["text", "label"]]))
    with pytest.raises(UserError, match=r"has only a header \(text, label\)"):
        sniff(path)


def test_a_spreadsheet_that_is_none(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("python_calamine")
    path = tmp_path / "a.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    with pytest.raises(UserError, match="no spreadsheet that can be read"):
        sniff(path)


def test_split_files_may_be_packed(tmp_path: pathlib.Path) -> None:
    names = {"train": "train.csv.gz", "dev": "dev.zip", "test": "Test.xlsx"}
    for name in (*names.values(), "notes.gz"):
        (tmp_path / name).touch()
    found = find_split_files(tmp_path)
    assert {split: path.name for split, path in found.items()} == names


# Every kind of data reads them.


def packed_text(path: pathlib.Path, text: str) -> pathlib.Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_choices_in_packed_files(tmp_path: pathlib.Path) -> None:
    path = packed_text(
        tmp_path / "a.csv.gz",
        "context,ending0,ending1,label\nIt rains.,wet,dry,0\nSun.,wet,dry,1\n",
    )
    assert looks_like_choices(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv.gz", "context,question,answer\nIt rains.,What falls?,rain\n"),
        (
            "a.json.gz",
            json.dumps(
                [
                    {
                        "id": "1",
                        "context": "It rains.",
                        "question": "What falls?",
                        "answers": {"text": ["rain"], "answer_start": [3]},
                    }
                ]
            ),
        ),
    ],
)
def test_questions_in_packed_files(
    tmp_path: pathlib.Path, name: str, text: str
) -> None:
    path = packed_text(tmp_path / name, text)
    (found,) = read_questions(path)
    assert found.context == "It rains."
    assert [text for text, *_ in found.answers] == ["rain"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt.gz", "Smith B-PER\nsang O\n\nHe O\nsang O\n"),
        (
            "a.json",
            json.dumps(
                [
                    {"tokens": ["Smith", "sang"], "tags": ["B-PER", "O"]},
                    {"tokens": ["He", "sang"], "tags": ["O", "O"]},
                ],
                indent=1,
            ),
        ),
    ],
)
def test_tags_in_packed_files_and_lists(
    tmp_path: pathlib.Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_bytes(
        gzip.compress(text.encode()) if ".gz" in name else text.encode()
    )
    file = open_tagged_file(path, TaggedChoices())
    assert [one.tags for one in file] == [("B-PER", "O"), ("O", "O")]
    import numpy as np

    part = tmp_path / "part.txt"
    write_tagged_rows([file], np.array([0]), part)
    again = open_tagged_file(part, TaggedChoices())
    assert [one.tokens for one in again] == [("Smith", "sang")]
