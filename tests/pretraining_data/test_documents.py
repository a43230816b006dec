"""Text files to sentences and documents."""

from __future__ import annotations

import gzip
import pathlib

import pytest

from bert_keras3.pretraining_data import documents
from bert_keras3.pretraining_data.documents import Sentence
from bert_keras3.safekeeping.errors import UserError


def read_all(path: pathlib.Path) -> list[str | None]:
    (whole,) = documents.cut_all([str(path)], 1 << 20, path.parent)
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
    ranges = documents.cut_all([str(path)], size, tmp_path)
    found = [line for part in ranges for line in documents.read(part)]
    assert [line and line.text for line in found] == read_all(path)
    assert ranges[-1].end == path.stat().st_size


def test_empty_file_has_no_ranges(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.txt").touch()
    assert documents.cut_all([str(tmp_path / "a.txt")], 10, tmp_path) == []


def test_faults_name_file_and_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\n\nnot \xff fine\n")
    with pytest.raises(UserError, match=r"a\.txt, line 3: .*ff 20 66 69 at"):
        read_all(path)
    with pytest.raises(UserError, match=r"b\.txt: cannot be read"):
        documents.cut_all([str(tmp_path / "b.txt")], 10, tmp_path)


# 上 and ఀ have the byte of a line feed in them, one behind and one before.
CHINESE = "今天天气很好\n上海ఀ\r\n\n路上有人\n一 is one\n上"


@pytest.mark.parametrize("size", [1, 3, 7, 20, 1000])
@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030"),
        *("utf-16 with a mark, big end first", "utf-32-le"),
    ],
)
def test_every_encoding_gives_the_same_lines(
    tmp_path: pathlib.Path, encoding: str, size: int
) -> None:
    path = tmp_path / "a.txt"
    data = (
        ("\ufeff" + CHINESE).encode("utf-16-be")
        if "mark" in encoding
        else CHINESE.encode(encoding)
    )
    path.write_bytes(data)
    given = None if "mark" in encoding else encoding
    ranges = documents.cut_all([str(path)], size, tmp_path, given)
    assert ranges[-1].end == len(data)
    assert [part.start for part in ranges[1:]] == [
        part.end for part in ranges[:-1]
    ]
    found = [line for part in ranges for line in documents.read(part)]
    assert [line and line.text for line in found] == [
        *("今天天气很好", "上海ఀ", None, "路上有人", "一 is one", "上")
    ]


@pytest.mark.parametrize(
    ("encoding", "reported"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "utf-16-le (from the byte order mark)"),
        ("gb18030", "gb18030 (not UTF-8 (byte 0); guessed, so look at the"),
        ("cp950", "cp950 (not UTF-8 (byte 0); guessed, so look at the text)"),
    ],
)
def test_an_encoding_is_detected_and_reported(
    tmp_path: pathlib.Path, encoding: str, reported: str | None
) -> None:
    text = "這是一個測試文章\n" if encoding == "cp950" else "今天天气很好\n"
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_bytes((text * 40).encode(encoding))
    lines: list[str] = []
    ranges = documents.cut_all(
        list(map(str, paths)), 100, tmp_path, None, lines.append
    )
    assert {found.text for found in documents.read(ranges[0]) if found} == {
        text.strip()
    }
    if reported is None:
        assert not lines
    else:
        (line,) = lines
        assert line.startswith(f"{paths[0]}: {reported}")
        assert line.endswith(
            f"it begins {text.strip()!r}; 1 more files alike. "
            "--encoding names another."
        )


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("gbk18", "--encoding=gbk18: there is no such encoding"),
        ("ascii", r"a\.txt, line 1: the bytes e4 bb 8a e5 at offset 0 are not"),
        ("cp037", r"a\.txt: lines of cp037 text end in other bytes"),
    ],
)
def test_encodings_that_cannot_be(
    tmp_path: pathlib.Path, encoding: str, message: str
) -> None:
    (tmp_path / "a.txt").write_text(CHINESE, "utf-8")
    with pytest.raises(UserError, match=message):
        documents.cut_all([str(tmp_path / "a.txt")], 10, tmp_path, encoding)


def test_a_fault_in_a_later_line_has_its_place(tmp_path: pathlib.Path) -> None:
    """Half of a surrogate; its file was another when it was cut."""
    path = tmp_path / "a.txt"
    part = documents.Range(str(path), 6, 12, "utf-16-le")
    path.write_bytes("上上\n好".encode("utf-16-le") + b"\x00\xd8\n\0")
    with pytest.raises(UserError, match=r"line 2: the bytes 00 d8 .*offset 8"):
        list(documents.read(part))


def test_json_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "Ada met Bob", "entities": [[8, 11], [0, 3]]}\n\n'
        '{"text": "Nobody"}\n',
        "utf-8",
    )
    (whole,) = documents.cut_all([str(path)], 1 << 20, path.parent)
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


def test_packed_files_have_the_sentences_inside(
    tmp_path: pathlib.Path,
) -> None:
    path, folder = tmp_path / "a.txt.gz", tmp_path / "work"
    path.write_bytes(gzip.compress(b"one\ntwo\n\nthree\nf\xff\n"))
    ranges = documents.cut_all([str(path)], 5, folder, "latin-1")
    assert [part.packed for part in ranges] == [str(path)] * len(ranges)
    found = [line for part in ranges for line in documents.read(part)]
    assert [line and line.text for line in found] == [
        *("one", "two", None, "three", "f\xff"),
    ]
    # Messages name the file that the user knows.
    last = ranges[-1]._replace(encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.txt\.gz, line 5: the bytes ff"):
        list(documents.read(last))


def test_packed_json_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "Ada wrote."}\n'))
    assert documents.is_json_lines(str(path))
    (part,) = documents.cut_all([str(path)], 99, tmp_path)
    assert [*documents.read(part)] == [Sentence("Ada wrote.")]
