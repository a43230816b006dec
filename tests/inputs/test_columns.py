"""Which column is what, in small files as untidy as real ones."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

import pytest

from bert_keras3.inputs.columns import Columns
from bert_keras3.inputs.examples import InputExample, find_split_files
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


def roles(columns: Columns) -> tuple:
    return (columns.text, columns.text_pair, columns.label, columns.id)


def found(path: pathlib.Path, **choices: str) -> tuple:
    return roles(LabelledFile.open(path, FileChoices(**choices)).columns)  # type: ignore[arg-type]


def message(path: pathlib.Path, **choices: str) -> str:
    with pytest.raises(UserError) as caught:
        list(LabelledFile.open(path, FileChoices(**choices)))  # type: ignore[arg-type]
    return str(caught.value)


def test_the_text_of_a_title_and_a_text(write):
    """Names say that both may be it, and one is clearly longer."""
    rows = "".join(
        f"Fine {n},{'It fits and looks well. ' * 4}{n},{n % 2}\n"
        for n in range(9)
    )
    assert found(write(f"Title,Review Text,label\n{rows}"))[0] == 1
    assert found(write(f"Title,Text color,label\n{rows}"))[0] == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("news.csv", (2, None, (0,), None)),
        ("hotel.tsv", (1, None, (0,), None)),
        ("grammar.tsv", (3, None, (1,), None)),
        ("grammar_without_quotes.tsv", (3, None, (1,), None)),
        ("headlines.csv", (0, None, (2,), None)),
        ("paraphrases.txt", (3, 4, (0,), None)),
        ("inference.json", (1, 2, (3,), 7)),
        ("entailment.tsv", (1, 2, (3,), 0)),
        ("phrases.tsv", (0, None, (1,), None)),
        ("takeaway.csv", (1, None, (0,), None)),
    ],
)
def test_files_as_untidy_as_published_ones(
    untidy: Callable[[str], pathlib.Path], name: str, expected: tuple
) -> None:
    assert found(untidy(name)) == expected


@pytest.mark.slow
def test_published_files(shared: pathlib.Path) -> None:
    for name, expected in (
        ("ag_news/test.csv", (2, None, (0,), None)),
        ("chnsenticorp/train.tsv", (1, None, (0,), None)),
        ("cola/in_domain_train.tsv", (3, None, (1,), None)),
        ("cola/in_domain_dev.tsv", (3, None, (1,), None)),
        ("fnc1/competition_test_stances.csv", (0, None, (2,), None)),
        ("mrpc/msr_paraphrase_train.txt", (3, 4, (0,), None)),
        ("ocnli/dev.json", (1, 2, (3,), 11)),
        ("rte/train.tsv", (1, 2, (3,), 0)),
        ("sst2_glue/dev.tsv", (0, None, (1,), None)),
        ("waimai_10k/waimai_10k.csv", (1, None, (0,), None)),
    ):
        assert found(shared / "datasets" / name) == expected, name
    path = shared / "datasets/stsb/stsb-en-dev.csv"
    assert found(path, text="1", text_pair="2") == (0, 1, (2,), None)
    opened = LabelledFile.open(
        shared / "datasets/ocnli/dev.json", skip_labels=frozenset("-")
    )
    labels = [example.label for example in opened]
    assert len(labels) == 2950
    assert set(labels) == {"contradiction", "entailment", "neutral"}


def test_two_texts_without_names_need_flags(
    untidy: Callable[[str], pathlib.Path],
) -> None:
    path = untidy("similarity.csv")
    assert message(path).startswith(
        f"{path}: 'column 1' and 'column 2' could each be the text; say which "
        "it is with --text_column, and the second text of pairs with "
        "--text_pair_column. Its columns are 1 'column 1' (such as 'A man "
    )
    assert found(path, text="1", text_pair="2") == (0, 1, (2,), None)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("ticket_id,channel,text,category\nT1,web,hi,a\nT2,web,ho,b\n",
         (2, None, (3,), 0)),
        ("Headline,articleBody,Stance\nx,y,agree\n", (0, 1, (2,), None)),
        ("label,premise,hypothesis\n1,x,y\n", (1, 2, (0,), None)),
        ("question,sentence,gold_label\nx,y,1\n", (0, 1, (2,), None)),
        ("title,content,label\nx,y,1\n", (1, None, (2,), None)),
        ("text,label,label_text\nx,0,bad\n", (0, None, (1,), None)),
        ("id,评论,情感\n1,很好,正面\n", (1, None, (2,), 0)),
        ("tweet_id,airline_sentiment,text_length,tweet_text\n7,neg,2,hm\n",
         (3, None, (1,), 0)),
        # An id that comes twice names no row.
        ("id,text,label\n7,x,1\n7,y,0\n", (1, None, (2,), None)),
        # By content: long texts, and few values that recur.
        ("opinion,verdict\n" + "I like it,yes\nNot for me,no\n" * 4,
         (0, None, (1,), None)),
        ("opinion,mark\nI like it,4.5\nNot for me,1.25\n",
         (0, None, (1,), None)),
    ],
)  # fmt: skip
def test_columns_are_found(write: Write, content: str, expected: tuple) -> None:
    assert found(write(content)) == expected


def test_a_file_sorted_by_label_shows_all_of_them(write: Write) -> None:
    lines = ["nice and good,1\n"] * 1500 + ["bad and ugly,0\n"] * 1500
    assert found(write("".join(lines))) == (0, None, (1,), None)


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"text": "b", "label": "c"}, (1, None, (2,), None)),
        ({"text": "B", "label": "3"}, (1, None, (2,), None)),
        ({"text": "1", "text_pair": "2", "label": "c"}, (0, 1, (2,), None)),
        ({"text": "a", "label": "c,d"}, (0, None, (2, 3), None)),
        ({"text": "a", "label": "4, 3"}, (0, None, (3, 2), None)),
        ({"text": "a", "label": "c", "id": "d"}, (0, None, (2,), 3)),
    ],
)
def test_columns_are_given(
    write: Write, choices: dict[str, str], expected: tuple
) -> None:
    path = write("a,b,c,d\nx,y,0,1\nz,w,1,0\n")
    assert found(path, **choices) == expected


def test_a_name_may_hold_a_comma_or_be_a_number(write: Write) -> None:
    path = write('"good, bad",3,2\nwords here,1,x\n')
    given = FileChoices(header=True, text="2", label="good, bad", id="2")
    with pytest.raises(UserError, match="there is no column '4', or more"):
        LabelledFile.open(path, FileChoices(header=True, text="4"))
    with pytest.raises(UserError, match="column '2' is given twice"):
        LabelledFile.open(path, given)
    given = FileChoices(header=True, text="2", label="3", id="good, bad")
    assert roles(LabelledFile.open(path, given).columns) == (2, None, (1,), 0)


def test_none_switches_a_column_off(write: Write) -> None:
    path = write("id,premise,hypothesis,label\n1,some words,y,0\n")
    assert found(path) == (1, 2, (3,), 0)
    assert found(path, text_pair="none", id="none") == (1, None, (3,), None)
    assert found(path, label="none") == (1, 2, (), 0)


def test_a_given_text_looks_for_no_pair(write: Write) -> None:
    path = write("premise,hypothesis,label\nx,y,0\n")
    assert found(path, text="premise") == (0, None, (2,), None)


@pytest.mark.parametrize(
    ("content", "choices", "reported"),
    [
        (
            "ticket_id,channel,text\n1,web,hi\n2,web,ho\n3,chat,he\n4,chat,o\n",
            {},
            "no column looks like a label; say which it is with --label_column",
        ),
        (
            "text,category,sentiment\nx,a,b\n",
            {},
            "'category' and 'sentiment' could each be the label; say which",
        ),
        (
            "text,review,label\nabc,abd,1\n",
            {},
            "'text' and 'review' could each be the text",
        ),
        (
            "text,f,g\nx,0,a\nx,1,b\nx,0,a\nx,1,b\n",
            {"label": "2,9"},
            "--label_column=2,9: there is no column '9', or more than one.",
        ),
        (
            "id,label\n1,0\n2,1\n",
            {},
            "no column looks like a text; say which it is with --text_column.",
        ),
        (
            "text,text,label\nx,y,0\n",
            {"text": "text"},
            "--text_column=text: there is no column 'text', or more than one.",
        ),
        (
            "text,label\nx,0\n",
            {"text": "label", "label": "label"},
            "--label_column=label: column 'label' is given twice.",
        ),
        (
            "text,label\nx,0\n",
            {"text": "none"},
            "--text_column=none: there is no column 'none'",
        ),
    ],
)
def test_what_cannot_be_found_is_asked_for(
    write: Write, content: str, choices: dict[str, str], reported: str
) -> None:
    path = write(content)
    assert message(path, **choices).startswith(f"{path}: {reported}")


def test_examples_carry_ids_labels_and_lines(write: Write) -> None:
    path = write(
        'id,text,label\nA7,"two\nlines", good \nA8,"",bad\n\nA9,x,good\n'
    )
    opened = LabelledFile.open(path)
    expected = [
        InputExample("A7", "two\nlines", None, "good", 2),
        InputExample("A8", "", None, "bad", 4),
        InputExample("A9", "x", None, "good", 6),
    ]
    assert list(opened) == expected
    assert list(opened) == expected


def test_examples_without_ids_are_numbered(write: Write) -> None:
    path = write("premise,hypothesis,a,b\nx,y,1,0\n\nz,w,0,1\n")
    opened = LabelledFile.open(path, FileChoices(label="a,b"))
    assert list(opened) == [
        InputExample("1", "x", "y", ("1", "0"), 2),
        InputExample("2", "z", "w", ("0", "1"), 4),
    ]


def test_an_empty_label_is_reported_with_its_line(write: Write) -> None:
    path = write('text,label\n"two\nlines",1\ngood, \n')
    assert message(path) == (
        f"{path}, line 4: the label (column 'label') is empty; fill it in or "
        "delete the row."
    )


def test_labels_to_skip(untidy: Callable[[str], pathlib.Path]) -> None:
    opened = LabelledFile.open(
        untidy("inference.json"), skip_labels=frozenset("-")
    )
    labels = [example.label for example in opened]
    assert labels == ["entailment", "neutral", "contradiction"]


def test_skipped_rows_keep_their_numbers(write: Write) -> None:
    path = write("text,label\nx,1\ny,-\nz,0\n")
    opened = LabelledFile.open(path, skip_labels=frozenset("-"))
    assert [example.guid for example in opened] == ["1", "3"]


def test_the_description_shows_decisions_and_rows(write: Write) -> None:
    path = write("text,label\nx,1\ny,0\nz,0\nw,1\n")
    decisions, first = LabelledFile.open(path).describe(2)
    assert {what: value for what, value, _ in decisions} == {
        "encoding": "utf-8",
        "delimiter": "comma",
        "quoting": "double",
        "header": "yes",
        "text column": "text",
        "text pair column": "none",
        "label column": "label",
        "id column": "none",
    }
    assert all(how for _, _, how in decisions)
    assert [example.text_a for example in first] == ["x", "y"]


def test_columns_survive_json() -> None:
    columns = Columns(1, None, (0, 2), 3, ("a", "b", "c", "d"), True)
    written = json.dumps(columns.to_dict())
    assert Columns.from_dict(json.loads(written)) == columns


TRAINED = Columns(2, None, (0,), 1, ("label", "id", "body"), True)


def like(path: pathlib.Path, trained: Columns, want_label: bool) -> tuple:
    return roles(
        LabelledFile.open_like(path, trained, want_label=want_label).columns
    )


def test_columns_are_found_again_by_name(write: Write) -> None:
    full = write("Body,id,label\nx,1,0\n")
    assert like(full, TRAINED, want_label=True) == (0, None, (0 + 2,), 1)
    assert like(full, TRAINED, want_label=False) == (0, None, (), 1)
    bare = write("note,body\nsome words,more words\n")
    assert like(bare, TRAINED, want_label=False) == (1, None, (), None)


def test_a_header_is_known_by_the_name_of_the_text(write: Write) -> None:
    trained = Columns(0, None, (1,), None, ("wording", "kind"), True)
    path = write("wording\nfine\ngood\n")
    opened = LabelledFile.open_like(path, trained, want_label=False)
    assert [example.text_a for example in opened] == ["fine", "good"]


@pytest.mark.parametrize("is_trained", [True, False])
@pytest.mark.parametrize(
    ("content", "texts", "header"),
    [
        ("ok\nThe soup was cold.\nWe waited an hour for it.\n", 3, None),
        ("Fine\n3\n4\n", 3, None),
        ("Text\nThe soup was cold.\nok\n", 2, "'Text'"),
        ("question\nok\n", 1, "'question'"),
    ],
)
def test_every_line_of_one_column_is_a_text_but_a_common_name(
    write: Write, content: str, texts: int, header: str, is_trained: bool
) -> None:
    path = write(content, "new.txt")
    if is_trained:
        opened = LabelledFile.open_like(path, TRAINED, want_label=False)
    else:
        opened = LabelledFile.open(path, want_label=False)
    found = [example.text_a for example in opened]
    assert found == content.splitlines()[-texts:]
    notes = opened.notes()
    assert len(notes) == (header is not None)
    assert header is None or f"note: {header}, the first line of" in notes[0]


def test_one_column_of_another_kind_is_not_the_text(write: Write) -> None:
    path = write("wording\nfine\n")
    with pytest.raises(UserError, match="has no column 'body'"):
        LabelledFile.open_like(
            path, TRAINED, FileChoices(header=True), want_label=False
        )


def test_columns_are_found_again_by_number(write: Write) -> None:
    trained = Columns(
        1, None, (0,), None, ("column 1", "column 2", "column 3"), False
    )
    full = write("3,text,label\n4,b,c\n")
    assert like(full, trained, want_label=True) == (1, None, (0,), None)
    assert like(full, trained, want_label=False) == (1, None, (), None)
    bare = write("text,label\nb,c\n")
    assert like(bare, trained, want_label=False) == (0, None, (), None)
    opened = LabelledFile.open_like(bare, trained, want_label=False)
    assert next(iter(opened)).text_a == "text"


@pytest.mark.parametrize(
    ("content", "want_label", "reported"),
    [
        ("id,label,text\n1,0,x\n", True, "has no column 'body', which the"),
        ("id,body\n1,x\n", True, "has no column 'label', which the training"),
        ("1,x\n2,y\n", True, "has 2 columns (column 1, column 2) where the"),
    ],
)
def test_columns_that_are_missing_later(
    write: Write, content: str, want_label: bool, reported: str
) -> None:
    path = write(content)
    with pytest.raises(UserError) as caught:
        LabelledFile.open_like(path, TRAINED, want_label=want_label)
    assert str(caught.value).startswith(f"{path} {reported}")


def test_a_file_to_predict_needs_no_label(write: Write) -> None:
    path = write("text,category,sentiment\nsome words,a,b\n")
    opened = LabelledFile.open(path, want_label=False)
    assert list(opened) == [InputExample("1", "some words", line=2)]


@pytest.mark.parametrize("name", ["train.csv", "Training.TSV", "train.jsonl"])
def test_split_files(write: Write, name: str) -> None:
    train = write("", name)
    dev = write("", "valid.tsv")
    write("", "README.txt")
    assert find_split_files(train.parent) == {"train": train, "dev": dev}


def test_split_files_that_are_not_there_or_twice(
    write: Write, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        find_split_files(tmp_path / "none")
    with pytest.raises(UserError, match="has no file named train, dev or"):
        find_split_files(tmp_path)
    write("", "dev.csv")
    write("", "validation.csv")
    with pytest.raises(
        UserError,
        match=r"two files for dev: dev\.csv and validation\.csv; say which "
        "with --dev_file",
    ):
        find_split_files(tmp_path)
