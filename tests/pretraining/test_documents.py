"""Text files to sentences and documents."""

from __future__ import annotations

import pathlib

import pytest

from pretraining import documents
from pretraining.documents import Sentence
from safekeeping.errors import UserError


def read_all(path: pathlib.Path) -> list[str | None]:
    (whole,) = documents.cut(str(path), 1 << 20)
    return [found and found.text for found in documents.read(whole)]


def test_lines_as_the_original_takes_them(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(
        " one \r\n\x0b\n\u3000\nt\rwo\u2028still two\n\n\nthree".encode()
    )
    assert read_all(path) == [
        "one",
        None,
        None,
        "two\u2028still two",
        None,
        None,
        "three",
    ]


@pytest.mark.parametrize("size", [1, 3, 7, 20, 1000])
def test_ranges_give_every_line_once(tmp_path: pathlib.Path, size: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\na longer third line\n\nx\nlast", "utf-8")
    ranges = documents.cut(str(path), size)
    found = [line for part in ranges for line in documents.read(part)]
    assert [line and line.text for line in found] == read_all(path)
    assert ranges[-1].end == path.stat().st_size


def test_empty_file_has_no_ranges(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.txt").touch()
    assert documents.cut(str(tmp_path / "a.txt"), 10) == []


def test_faults_name_file_and_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\n\nnot \xff fine\n")
    with pytest.raises(UserError, match=r"a\.txt, line 3: byte 0xff"):
        read_all(path)
    with pytest.raises(UserError, match=r"b\.txt: cannot be read"):
        documents.cut(str(tmp_path / "b.txt"), 10)


def test_json_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "Ada met Bob", "entities": [[8, 11], [0, 3]]}\n\n'
        '{"text": "Nobody"}\n',
        "utf-8",
    )
    (whole,) = documents.cut(str(path), 1 << 20)
    assert list(documents.read(whole)) == [
        Sentence("Ada met Bob", ((0, 3), (8, 11))),
        None,
        Sentence("Nobody"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("plain text", "line 2: .*each line of a .jsonl file"),
        ('{"entities": []}', "line 2: no text"),
        ('{"text": 5}', "line 2: text is no string"),
        ('["text"]', "line 2: "),
        ('{"text": "Ada", "entities": [[0, 9]]}', r"\[0, 9\] lies outside"),
        ('{"text": "Ada", "entities": [[1, 1]]}', r"\[1, 1\] .*is empty"),
        ('{"text": "Ada", "entities": [4]}', "line 2: "),
    ],
)
def test_faulty_json_lines(
    tmp_path: pathlib.Path, line: str, message: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "fine"}}\n{line}\n', "utf-8")
    with pytest.raises(UserError, match=message):
        read_all(path)
