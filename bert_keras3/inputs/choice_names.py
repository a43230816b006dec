"""Names by which choices are known: of benchmarks, of columns, of files.

This much is loaded by jobs without choices, too, to know that they have none.
"""

from __future__ import annotations

import codecs
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Sequence

from bert_keras3.inputs import dialect_search
from bert_keras3.inputs.delimited import JSON_SUFFIXES, Row, rows
from bert_keras3.inputs.examples import LABEL_NAMES, plain_name
from bert_keras3.inputs.packed_files import inner_path, open_bytes
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.inputs.spreadsheets import is_spreadsheet
from bert_keras3.safekeeping.errors import UserError

CHOICE_NAMES = (
    *("SWAG", "HellaSwag", "CODAH", "CosmosQA", "COPA", "C3", "DREAM", "RACE"),
    *("ARC-Easy", "ARC-Challenge", "CommonsenseQA"),
)
"""The benchmarks in `choice_benchmarks`."""
FURTHER_PARTS = ("test_1.0",)
"""Their parts beside "train", "dev" and "test"."""
SUBMITTED_FILES = (
    *("predictions.lst", "COPA.jsonl"),
    *("c310_predict.json", "c311_predict.json"),
)
"""The files for their servers."""

# Names of columns, spelt as `plain_name` leaves them.
CONTEXT_NAMES = (
    *("context", "passage", "article", "document", "paragraph", "premise"),
    *("story", "text", "ctx", "ctxa", "sent1"),
    *("文章", "上下文", "段落", "背景", "材料"),
)
QUESTION_NAMES = (
    *("question", "stem", "query", "prompt", "goal", "sentence", "ask"),
    *("问题", "题目", "题干"),
)
PAIRS = (("sent1", "sent2"), ("ctxa", "ctxb"))
"""Columns of a context, and of the beginning of each choice."""
LABEL_RANKS = (
    LABEL_NAMES[0],
    (
        *("answer", "answerkey", "correctanswer", "rightanswer", "correct"),
        *("gold", "goldanswer", "target", "答案", "正确答案"),
    ),
)
_CHOICE_STEMS = (
    *("ending", "choice", "option", "answer", "candidate", "alternative"),
    *("hypothesis", "hyp", "solution", "sol", "选项", "候选", ""),
)
_COUNTS = ("01234567890", "123456789", "abcdefghijklmnopqrstuvwxyz")
_LIST_NAMES = ("endings", "choices", "options", "choice", "候选项", "选项")
# Columns A and B may be anything; A, B and C are choices.
_FEWEST_LETTERS = 3

_DELIMITERS = re.compile(r"[,;|\t]")
_LONGEST_HEADER = 1 << 16
_ROWS_LOOKED_AT = 100


def choices_in(
    names: Sequence[str], fewest_letters: int = _FEWEST_LETTERS
) -> tuple[int, ...]:
    """Returns the columns of choices, if their names leave no doubt.

    These are consecutive names, as ending0, ending1, … or A, B, C, …, or a
    column with lists.

    Args:
        names: of all columns.
        fewest_letters: as many names of a letter alone are choices.
    """
    plain = [plain_name(name) for name in names]
    runs = [
        run
        for stem in _CHOICE_STEMS
        for count in _COUNTS
        if len(run := _run(plain, stem, count))
        >= (2 if stem else fewest_letters)
    ]
    if runs:
        return max(runs, key=len)
    lists = [plain.index(name) for name in _LIST_NAMES if name in plain]
    return tuple(lists[:1])


def _run(
    plain: Sequence[str], stem: str, count: Iterable[str]
) -> tuple[int, ...]:
    """Returns the columns named stem + count, from the first on."""
    found: list[int] = []
    for sign in count:
        if plain.count(stem + sign) != 1:
            break
        found.append(plain.index(stem + sign))
    return tuple(found)


def looks_like_choices(
    path: str | os.PathLike[str], choices: FileChoices | None = None
) -> bool:
    """Whether a file has choices and a label, beyond doubt.

    Nested JSON has, if its form is known; rows, if their header says so and
    their first labels do not say otherwise.

    Args:
        path: of the file, which need not exist.
        choices: how it is written, where that is known.
    """
    path, choices = pathlib.Path(path), choices or FileChoices()
    if not path.is_file() or choices.header is False:
        return False
    try:
        if inner_path(path).suffix.lower() in JSON_SUFFIXES:
            from bert_keras3.inputs.choice_documents import find_reader

            if find_reader(path, choices.encoding) is not None:
                return True
        elif not is_spreadsheet(path) and not choices_in(
            _DELIMITERS.split(_first_line(path))
        ):
            return False  # so that other files are not read once more
        dialect = dialect_search.sniff_as_given(path, choices, True)
        plain = [plain_name(name) for name in dialect.columns]
        labels = [
            plain.index(name)
            for rank in LABEL_RANKS
            for name in rank
            if name in plain
        ]
        texts = {*CONTEXT_NAMES, *QUESTION_NAMES}
        texts.update(name for pair in PAIRS for name in pair)
        places = choices_in(dialect.columns)
        if not places or not labels or texts.isdisjoint(plain):
            return False
        return len(places) == 1 or _name_choices(
            itertools.islice(rows(path, dialect), _ROWS_LOOKED_AT),
            labels[0],
            places,
        )
    except UserError:  # whoever reads the file says it
        return False


def _name_choices(
    sample: Iterable[Row], label: int, places: Sequence[int]
) -> bool:
    """Whether half of the labels, at least, could name a choice.

    Args:
        sample: some rows.
        label: column of the label.
        places: columns of the choices.
    """
    from bert_keras3.inputs.choices import LABEL_FORMS, index_of

    fitting = [
        any(
            index_of(
                row.cells[label].strip(),
                form,
                [row.cells[place].strip() for place in places],
                range(len(places)),
            )
            is not None
            for form in LABEL_FORMS
        )
        for row in sample
    ]
    return 2 * sum(fitting) >= len(fitting)


def _first_line(path: pathlib.Path) -> str:
    """Returns the first line, decoded so that names of columns are right."""
    with open_bytes(path) as file:
        start = file.read(_LONGEST_HEADER)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return start.decode("utf-16", "ignore").split("\n", 1)[0]
    line = start.split(b"\n", 1)[0]
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("gb18030", "ignore")
