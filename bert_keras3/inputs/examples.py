"""The input example, and the usual names of its columns and files.

The lists of names serve both the detection of a header (`dialect_search`) and
that of columns (`columns`), which must agree.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import decimal
import json
import math
import os
import pathlib
import re
from typing import Any

from bert_keras3.inputs.packed_files import PACKED_SUFFIXES, PARQUET_SUFFIX
from bert_keras3.inputs.spreadsheets import SPREADSHEET_SUFFIXES
from bert_keras3.safekeeping.errors import UserError


@dataclasses.dataclass(frozen=True, slots=True)
class InputExample:
    """One labelled text, or pair of texts, as it stands in a file.

    Attributes:
        guid: the id cell, or the number of the data row, counted from 1.
        text_a: the text, or the first of two.
        text_b: the second text of a pair, else None.
        label: the label cell; one cell per label column where there are
            several; None in a file without labels.
        line: the line of the file, counted from 1, where the record starts;
            0 if it is one of several files.
        place: then the file and the line, for messages.
        weight: what its loss is multiplied with.
        columns: the cells of the extra columns, if there are any.
    """

    guid: str
    text_a: str
    text_b: str | None = None
    label: str | tuple[str, ...] | None = None
    line: int = 0
    place: str = ""
    weight: float = 1.0
    columns: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, or both texts."""
        if self.text_b is None:
            return (self.text_a,)
        return (self.text_a, self.text_b)


# Column names, spelt as `plain_name` leaves them. Each tuple is one rank:
# a column of an earlier rank is preferred, two of one rank are a tie.
TEXT_NAMES = (
    (
        *("text", "sentence", "review", "content", "comment", "message"),
        *("tweet", "body", "document", "utterance", "texta"),
        *("文本", "内容", "评论", "句子", "正文"),
    ),
    (
        *("title", "headline", "subject", "question", "query", "description"),
        *("summary", "premise", "passage", "context", "标题", "问题", "描述"),
    ),
)
LABEL_NAMES = (
    ("label", "labels", "goldlabel", "标签"),
    (
        *("category", "class", "target", "sentiment", "stance", "emotion"),
        *("intent", "topic", "polarity", "类别", "分类", "情感"),
    ),
    (
        *("score", "rating", "stars", "quality", "similarity", "y"),
        *("评分", "星级"),
    ),
)
ID_NAMES = (
    *("id", "guid", "uid", "uuid", "idx", "index", "pairid", "rowid"),
    *("编号", "序号"),
)
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("texta", "textb"),
    ("text1", "text2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("headline", "body"),
    ("headline", "articlebody"),
    ("claim", "evidence"),
    ("1string", "2string"),
    ("句子1", "句子2"),
    ("问题1", "问题2"),
    ("前提", "假设"),
)
OTHER_NAMES = (
    *("channel", "source", "language", "lang", "country", "region", "city"),
    *("date", "time", "datetime", "timestamp", "year", "month", "created"),
    *("user", "username", "author", "name", "gender", "age", "url", "link"),
    *("split", "fold", "set", "genre", "platform", "product", "brand"),
)
"""Columns of few values that are no labels."""

MISSING_TEXTS = frozenset(
    (
        *("NaN", "nan", "NAN", "null", "NULL", "None", "N/A", "n/a", "NA"),
        *("<NA>", "#N/A"),
    )
)
"""What programs write for a cell that is missing."""

_SPLIT_STEMS = {
    "train": ("train", "training"),
    "dev": ("dev", "valid", "validation", "val"),
    "test": ("test",),
}
_SPLIT_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".jsonl", ".json", PARQUET_SUFFIX),
    *SPREADSHEET_SUFFIXES,
)

_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_TIME = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([ap]m|z|utc|[+-]\d{2}:?\d{2})?"
_DATE = re.compile(
    rf"""(
        \d{{4}}[-/.年]\d{{1,2}}[-/.月]\d{{1,2}}日?
        | \d{{1,2}}[-/.]\d{{1,2}}[-/.](\d{{2}}|\d{{4}})
        | ([a-z]{{3,9}},?\s)?\d{{1,2}}\s{_MONTH},?\s\d{{4}}
        | {_MONTH}\s\d{{1,2}},?\s\d{{4}}
    )([T\s,]\s*{_TIME})?
    | {_TIME}""",
    re.IGNORECASE | re.VERBOSE,
)
# White space, and what has no width and no meaning at the ends of a label:
# zero-width characters, and the marks that give a direction.
_NOTHING = r"[\s\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+"
_AROUND = re.compile(rf"\A{_NOTHING}|{_NOTHING}\Z")
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?")
# What is raised where a cell is no list.
_NO_LIST = (ValueError, SyntaxError, MemoryError, RecursionError)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_a-zA-Z]+")


def example_of(given: Any) -> InputExample:
    """Returns a text, or a pair of texts, as an example.

    Args:
        given: a string or UTF-8, or a list or tuple of one or two of them; in
            bytes, what is not valid is dropped.

    Raises:
        ValueError: it is none of these.
    """
    texts = given if isinstance(given, (tuple, list)) else (given,)
    if len(texts) not in (1, 2) or not all(
        isinstance(text, (str, bytes)) for text in texts
    ):
        raise ValueError("it must be a string or a pair of strings")
    text_a, text_b = (
        text.decode("utf-8", "ignore") if isinstance(text, bytes) else text
        for text in (*texts, None)[:2]
    )
    return InputExample("", text_a, text_b)


def name_words(name: str) -> tuple[str, ...]:
    """The words of a column name: `articleBody` → `article`, `body`."""
    return tuple(word.lower() for word in _WORD.findall(name))


def plain_name(name: str) -> str:
    """A column name without case, spaces and signs: `#1 ID` → `1id`."""
    return "".join(name_words(name))


def is_text_name(name: str) -> bool:
    """Whether columns of texts are often called so."""
    return any(
        plain_name(name) in names for names in (*TEXT_NAMES, *PAIR_NAMES)
    )


def known_names() -> frozenset[str]:
    """Every name of the tables above."""
    groups = (*TEXT_NAMES, *LABEL_NAMES, ID_NAMES, *PAIR_NAMES)
    return frozenset(name for group in groups for name in group)


def find_split_files(
    data_dir: str | os.PathLike[str],
) -> dict[str, pathlib.Path]:
    """Finds the train, dev and test file of a folder by their names.

    Args:
        data_dir: a folder with `train.csv` (or another of the endings below,
            perhaps packed, as in `train.csv.gz`) and perhaps `dev…` (also
            `valid…`, `validation…`, `val…`) and `test…`.

    Returns:
        The paths under the keys `train`, `dev` and `test`; a part that is not
        there has no key.

    Raises:
        UserError: no such folder, no such file in it, or two for one part.
    """
    folder = pathlib.Path(data_dir)
    if not folder.is_dir():
        raise UserError(f"--data_dir={folder}: there is no such folder.")
    found: dict[str, pathlib.Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.with_name(path.name.lower())
        is_packed = name.suffix in PACKED_SUFFIXES
        name = name.with_suffix("") if is_packed else name
        # The one file in train.zip says itself what it is.
        is_zip = is_packed and path.suffix.lower() == ".zip"
        if name.suffix not in (_SPLIT_SUFFIXES + ("",) * is_zip):
            continue
        if not path.is_file():
            continue
        for split, stems in _SPLIT_STEMS.items():
            if name.stem not in stems:
                continue
            if split in found:
                raise UserError(
                    f"{folder} has two files for {split}: "
                    f"{found[split].name} and {path.name}; say which with "
                    f"--{split}_file."
                )
            found[split] = path
    if not found:
        raise UserError(
            f"{folder} has no file named train, dev or test with one of the "
            f"endings {', '.join(_SPLIT_SUFFIXES)}; name the files with "
            "--train_file, --dev_file and --test_file."
        )
    return found


def label_of(cell: str) -> str:
    """Returns the label in a cell, without what is not seen around it."""
    return _AROUND.sub("", cell)


def as_list(cell: str) -> list[str] | None:
    """Returns the strings and numbers of a list in a cell, or None.

    It is written as in JSON or, by pandas, as in Python: ["a", "b"], ['a'].
    """
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    for parse in (json.loads, ast.literal_eval):
        with contextlib.suppress(*_NO_LIST):
            found = parse(cell)
            break
    else:
        return None
    if not all(isinstance(one, (str, int, float)) for one in found):
        return None
    return [one if isinstance(one, str) else json.dumps(one) for one in found]


def plain_number(label: str) -> decimal.Decimal | None:
    """The value of a label such as 1, 1.0 or -0.50; None for any other.

    With leading zeros it is an identifier; 1e3 and +1 are no numbers either.
    """
    return decimal.Decimal(label) if _PLAIN_NUMBER.fullmatch(label) else None


def is_date(cell: str) -> bool:
    """Whether a cell is written as a date, as a time, or as both."""
    return _DATE.fullmatch(cell.strip()) is not None


def is_missing(value: object) -> bool:
    """Whether a value of Python, NumPy or pandas stands for a missing one."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        # NaN is not equal to itself.
        return bool(value != value)
    except (TypeError, ValueError):
        return False  # an array


def is_number(cell: str) -> bool:
    """Whether a cell is written as a finite decimal number."""
    cell = cell.strip()
    # float() also takes nan, infinity and 1_000.
    if not cell or not set(cell) <= set("0123456789+-.eE"):
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def as_number(cell: str) -> float | None:
    """Returns the finite number in a cell, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
