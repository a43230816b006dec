"""Files with a token a line: layouts, comments, faults, and writing again."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.inputs.tagged_columns import ColumnFile
from bert_keras3.inputs.tagged_text import TaggedChoices, write_tagged_rows
from bert_keras3.safekeeping.errors import UserError

SENTENCES = [
    (("Steve", "sang", "."), ("B-PER", "O", "O")),
    (("Berlin",), ("B-LOC",)),
]
CONLL = (
    "-DOCSTART- -X- O\n\nSteve NNP B-PER\nsang VBD O\n. . O\n\n"
    "-DOCSTART- -X- O\n\nBerlin NNP B-LOC\n"
)
GERMEVAL = (
    "#\thttp://a.de\t[2010-07-04]\t\n1\tSteve\tB-PER\tO\n2\tsang\tO\tO\n"
    "3\t.\tO\tO\n\n#\thttp://b.de\t[2010]\n1\tBerlin\tB-LOC\tB-LOC\n\n"
)
COMMENTED = (
    "# id 7 domain=en\nSteve _ _ B-PER\nsang _ _ O\n. _ _ O\n\n"
    "# id 8\nBerlin _ _ B-LOC\n"
)
KAGGLE = (
    "Sentence #,Word,POS,Tag\nSentence: 1,Steve,NNP,B-PER\n,sang,VBD,O\n"
    ",.,.,O\nSentence: 2,Berlin,NNP,B-LOC\n"
)
# name: (text, column of tokens, of tags)
FORMS = {
    "conll": (CONLL, 0, 2),
    "two layers": (GERMEVAL, 1, 2),
    "tabs": ("Steve\tB-PER\nsang\tO\n.\tO\n\nBerlin\tB-LOC", 0, 1),
    "blank lines with spaces": (
        "Steve\tB-PER\nsang\tO\n.\tO\n\t\n \n\nBerlin\tB-LOC\n \n",
        *(0, 1),
    ),
    "windows": ("Steve B-PER\r\nsang O\r\n. O\r\n\r\nBerlin B-LOC\r\n", 0, 1),
    "several blanks": (
        "Steve  NNP   B-PER\nsang   VBD   O\n.      .\tO\n\nBerlin NNP B-LOC\n",
        *(0, 2),
    ),
    "tag first": ("B-PER\tSteve\nO\tsang\nO\t.\n\nB-LOC\tBerlin\n", 1, 0),
    "semicolons": ("Steve;B-PER\nsang;O\n.;O\n\nBerlin;B-LOC\n", 0, 1),
    "header and sentence numbers": (KAGGLE, 1, 3),
    "header": (
        "token\ttag\n" + "Steve\tB-PER\nsang\tO\n.\tO\n\nBerlin\tB-LOC",
        0,
        1,
    ),
    "comments": (COMMENTED, 0, 3),
}


@pytest.fixture
def opened(tmp_path):
    """A function of text or bytes that writes and opens a file."""

    def write_and_open(content, like=None, want_tags=True, **choices):
        path = tmp_path / "file.txt"
        if isinstance(content, str):
            content = content.encode("utf-8")
        path.write_bytes(content)
        chosen = TaggedChoices(**choices)
        return ColumnFile.open(path, chosen, like, want_tags=want_tags)

    return write_and_open


@pytest.mark.parametrize("name", FORMS)
def test_each_layout(opened, tmp_path, name):
    """Read; written again, it has the same lines with a column more."""
    text, token, tag = FORMS[name]
    file = opened(text)
    assert (file.columns.token, file.columns.tag) == (token, tag)
    assert [(one.tokens, one.tags) for one in file] == SENTENCES
    path = file.write_found([("X", "Y", "Z"), ("W",)], tmp_path)
    old, new = text.splitlines(), path.read_text("utf-8").splitlines()
    assert len(old) == len(new)
    added = [b[len(a) :].strip(" \t;,") for a, b in zip(old, new, strict=True)]
    assert all(b.startswith(a) for a, b in zip(old, new, strict=True))
    assert [one for one in added if one not in ("", "O", "predicted")] == [
        *"XYZW"
    ]
    again = opened(path.read_bytes())
    assert again.columns.has_header == ("predicted" in added)
    assert again.columns.width == file.columns.width + 1
    assert [one.tokens for one in again] == [one for one, _ in SENTENCES]


def test_lines_are_those_of_the_file(opened):
    first, second = opened(GERMEVAL)
    assert (first.line, list(first.lines)) == (2, [2, 3, 4])
    assert (second.line, second.guid) == (7, "2")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"]
)
def test_a_character_a_line_in_any_encoding(opened, encoding):
    """A token may be an ideographic space, or what Python splits lines at."""
    tokens = ("史", "密", "斯", "在", "柏", "林", "唱", "歌", "\u3000", "\x1c")
    tags = ("B-PER", "I-PER", "I-PER", "O", "B-LOC", "I-LOC", *"OOOO")
    sentence = "".join(map("{}\t{}\n".format, tokens, tags)) + "\n"
    (one, two) = opened((sentence * 2).encode(encoding))
    assert (one.tokens, one.tags) == (two.tokens, two.tags) == (tokens, tags)


def test_the_place_of_a_character_in_its_word_is_no_text(opened, tmp_path):
    text = "科0\tO\n技1\tO\n部2\tB-ORG\n，0\tO\n"
    file = opened(text)
    (one,) = file
    assert one.tokens == ("科", "技", "部", "，")
    path = file.write_found([[*"OOXO"]], tmp_path)
    assert path.read_text("utf-8").startswith(
        "科0\tO\tO\n技1\tO\tO\n部2\tB-ORG\tX"
    )


def test_hash_signs_and_delimiters_that_are_tokens(opened):
    (one,) = opened("#\tO\n#Berlin\tB-LOC\n#\tO\n")
    assert one.tokens == ("#", "#Berlin", "#")
    (one,) = opened("a,O\n,,O\nb,B-X\n;,O\n")
    assert one.tokens == ("a", ",", "b", ";")
    (one,) = opened('a,O\n",",O\n"""",O\n",B-X\n')
    assert one.tokens == ("a", ",", '"', '"')


def test_types_without_letters(opened):
    (one,) = opened("Steve PER\nSmith PER\nsang O\n")
    assert one.tags == ("PER", "PER", "O")


def test_the_last_column_of_tags_unless_its_types_are_those_before(opened):
    (one,) = opened("Steve B-NP B-PER\nsang B-VP O\n")
    assert one.tags == ("B-PER", "O")
    (one,) = opened("Steve B-NP B-PER\nsang B-VP O\n", tag_column=2)
    assert one.tags == ("B-NP", "B-VP")


def test_a_file_to_predict(opened, tmp_path):
    """Tokens alone, or columns as in training but for the tags."""
    like = opened(CONLL).layout
    for text in ("Steve\nsang\n\nBerlin\n", "Steve NNP\nsang V\n\nBerlin NNP"):
        file = opened(text, like, want_tags=False)
        assert [one.tokens for one in file] == [("Steve", "sang"), ("Berlin",)]
        assert not file.has_labels
        path = file.write_found([("X", "O"), ("X",)], tmp_path)
        again = opened(path.read_bytes().replace(b"X", b"B-X"))
        assert [one.tags for one in again] == [("B-X", "O"), ("B-X",)]


@pytest.mark.parametrize("separator", ["\t", " "])
def test_tokens_that_are_not_seen(opened, tmp_path, separator):
    """A no-break space, a zero-width one, a byte order mark are tokens."""
    tokens = ("Steve", "\xa0", "\u200b", "\ufeff", "\ufffd", "\xad", "sang")
    text = "".join(f"{one}{separator}O\n" for one in tokens)
    (one,) = opened(f"{text}Ann{separator}B-PER\n")
    assert one.tokens == (*tokens, "Ann")
    like = opened("a\tO\nb\tB-X\n").layout
    file = opened("\n".join(tokens), like, want_tags=False)
    assert [one.tokens for one in file] == [tokens]
    path = file.write_found([["O"] * len(tokens)], tmp_path)
    lines = path.read_text("utf-8").rstrip("\n").split("\n")
    assert lines == [f"{token}\tO" for token in tokens]


def test_tags_of_a_file_to_predict_are_not_read(opened):
    like = opened("a\tO\nb\tB-X\n").layout
    (one,) = opened("a\t\nb\t?\n", like, want_tags=False)
    assert (one.tokens, one.tags) == (("a", "b"), None)


def test_some_sentences_are_written_as_they_stand(opened, tmp_path):
    write_tagged_rows([opened(GERMEVAL)], np.array([1]), tmp_path / "rows.txt")
    text = (tmp_path / "rows.txt").read_text("utf-8")
    assert text == "#\thttp://b.de\t[2010]\n1\tBerlin\tB-LOC\tB-LOC\n\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\nc O\n" + "d O\n" * 9, "line 2: 1 column where 2 are"),
        ("a O\nb O O\nc O\n" + "d O\n" * 9, "line 2: 3 columns where 2 are"),
        ("a\tO\n\tB-X\n" + "d\tO\n" * 9, "line 2: there is no token in col"),
        ("a\tO\nb\t\n" + "d\tO\n" * 90, "line 2: there is no tag in column 2"),
        ("a\nb\n", "no column of tags is found; the first line has 1 column:"),
        ("a b\nc d\n", "no column of tags is found"),
        ("\n \n\n", "has only blank lines"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(opened, text, message):
    with pytest.raises(UserError, match=message):
        list(opened(text))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"tag_column": 3}, "--tag_column=3: lines of .* have 2 columns"),
        ({"token_column": 9}, "--token_column=9"),
        ({"delimiter": "xy"}, "--delimiter=xy: give one character"),
    ],
)
def test_flags_that_do_not_fit(opened, choices, message):
    with pytest.raises(UserError, match=message):
        opened("a O\nb B-X\n", **choices)
