"""Files of choices, written by hand: columns, labels, nested JSON, mistakes."""

from __future__ import annotations

import json
import pathlib

import pytest

from bert_keras3.inputs.choice_benchmarks import (
    CHOICE_BENCHMARKS,
    ChoicePart,
    find_choice_benchmark,
)
from bert_keras3.inputs.choice_columns import (
    ChoiceFlags,
    open_choices,
    open_choices_like,
)
from bert_keras3.inputs.choice_documents import (
    find_reader,
    read_articles,
    read_documents,
    read_stems,
)
from bert_keras3.inputs.choice_names import (
    CHOICE_NAMES,
    FURTHER_PARTS,
    SUBMITTED_FILES,
    choices_in,
    looks_like_choices,
)
from bert_keras3.inputs.choices import index_of
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError

SWAG = """\
,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label
0,It rains.,He,gold,sings.,"runs, then falls.",swims.,sleeps.,1
1,A dog barks.,It,gold,sings.,eats.,reads.,barks.,0
"""


@pytest.fixture
def write(tmp_path):
    """A function of a text (or JSON values) that returns the file's path."""

    def written(content, name="choices.csv"):
        if not isinstance(content, str):
            content = json.dumps(content, ensure_ascii=False, indent=1)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
        return path

    return written


def opened(path, columns=(), form=None, want_label=True, **file):
    flags = ChoiceFlags(FileChoices(**file), columns, form)
    return open_choices(path, flags, want_label=want_label)


def test_a_row_of_swag(write):
    file, decisions = opened(write(SWAG))
    first, second = file
    assert (first.context, first.question) == ("It rains.", "He")
    assert first.choices == (
        *("sings.", "runs, then falls.", "swims.", "sleeps."),
    )
    assert (first.answer, first.label, first.line) == (1, "1", 2)
    assert (second.guid, second.spelled(3)) == ("2", "3")
    found = {one.what: one.value for one in decisions}
    assert found["choices"] == "ending0, ending1, ending2, ending3"
    assert found["labels"] == "numbers from 0"


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("a,ending0,ending1,b", (1, 2)),
        ("choice_1,choice_2,choice_3,label", (0, 1, 2)),
        ("answerB,answerA", (1, 0)),
        ("question,A,B,C,D,answer", (1, 2, 3, 4)),
        ("选项A,选项B,答案", (0, 1)),
        ("ctx,endings,label", (1,)),
        # Not beyond doubt.
        ("text,a,b,label", ()),
        ("option2,option3", ()),
        ("answer,label", ()),
    ],
)
def test_names_of_choices(names, wanted):
    assert choices_in(names.split(",")) == wanted


@pytest.mark.parametrize(
    ("labels", "form"),
    [
        ("0 2 1", "0"),
        ("3 1 2", "1"),
        ("B A C", "A"),
        ("B a C", "A"),
        ("b a c", "a"),
        ("y x z", "text"),
        ("x x x", "text"),
    ],
)
def test_the_spelling_of_labels_is_found_in_the_whole_file(write, labels, form):
    rows = [f"Which?,x,y,z,{label}" for label in labels.split()]
    file, _ = opened(write("\n".join(["question,A,B,C,label", *rows])))
    assert file.columns.form == form
    spelled = [one.spelled(one.answer) for one in file]
    assert [one.lower() for one in spelled] == labels.lower().split()


def test_numbers_among_numbers(write):
    """The label 2 is the text of a choice, or its number: not the same."""
    same = write("question,A,B,C,label\n1+1?,1,2,3,2\n1+2?,1,2,3,3\n")
    assert opened(same)[0].columns.form == "1"
    apart = write("question,A,B,C,label\n1+1?,2,1,3,2\n1+2?,1,2,3,3\n")
    with pytest.raises(UserError, match="--choice_labels=1 or --choice_labels"):
        opened(apart)
    assert [one.answer for one in opened(apart, form="text")[0]] == [0, 2]


def test_neither_from_0_nor_from_1(write):
    path = write("question,A,B,C,label\nWhich?,x,y,z,1\nWhich?,z,y,x,2\n")
    with pytest.raises(
        UserError, match=r"could be numbers from 0 or .* from 1; say which"
    ):
        opened(path)
    assert [one.answer for one in opened(path, form="1")[0]] == [0, 1]


def test_the_example_of_the_documentation(write, root):
    text = (root / "docs" / "choices.md").read_text("utf-8")
    start = text.index("id,context,question")
    path = write(text[start : text.index("```", start)])
    assert looks_like_choices(path)
    first, second = opened(path)[0]
    assert first.choices == ("the sun", "the street", "the moon")
    assert first.choices[first.answer] == "the street"
    assert (second.choices, second.answer) == (("black", "white"), 1)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
def test_chinese_in_other_encodings(tmp_path, encoding):
    path = tmp_path / "choices.csv"
    text = "题目,选项A,选项B,答案\n雨湿吗？,湿,不湿,A\n雪黑吗？,黑,白,B\n"
    path.write_text(text, encoding)
    assert looks_like_choices(path)
    first, second = opened(path)[0]
    assert (first.choices, first.answer) == (("湿", "不湿"), 0)
    assert second.question == "雪黑吗？"


def test_labels_that_are_skipped(write):
    path = write("question,A,B,C,label\nWho?,x,y,z,-\nWho?,x,y,z,C\n")
    file, _ = open_choices(
        path, ChoiceFlags(), want_label=True, skip_labels=frozenset("-")
    )
    assert file.columns.form == "A"
    assert [(one.guid, one.answer) for one in file] == [("2", 2)]
    assert [row.cells[-1] for row in file.rows()] == ["C"]


def test_an_empty_cell_is_no_choice(write):
    path = write("question,A,B,C,label\nWhich?,x,,z,C\nWhich?,x,y,,B\n")
    first, second = opened(path)[0]
    assert (first.choices, first.places, first.answer) == (
        *(("x", "z"), (0, 2), 1),
    )
    assert first.spelled(1) == "C"
    assert second.choices == ("x", "y")


def test_columns_that_are_given(write):
    path = write("w\tIt rains.\tsun\tstreet\t0\nn\tNo.\ta\tb\t1\n", "a.tsv")
    file, _ = opened(path, ("3", "4"), text="2", label="5", header=False)
    first = next(iter(file))
    assert (first.context, first.question) == ("It rains.", None)
    assert first.choices == ("sun", "street")
    with pytest.raises(UserError, match="--choice_columns=x: there is no such"):
        opened(path, ("x", "y"), header=False)


def test_lists_in_json_lines(write):
    lines = [
        {"ctx_a": "He", "ctx_b": "", "endings": ["a", "b", "c"], "label": 2},
        {"ctx_a": "It", "ctx_b": "is", "endings": ["d", "e"], "label": 0},
    ]
    path = write("\n".join(map(json.dumps, lines)), "a.jsonl")
    file, _ = opened(path)
    first, second = file
    assert (first.choices, first.answer) == (("a", "b", "c"), 2)
    assert second.texts == ("It", "is", "d", "e")
    # An empty beginning of the choices is nothing missing.
    assert first.texts == ("He", "a", "b", "c")
    path = write("ctx_a,endings,label\nHe,a b,0\n")
    with pytest.raises(UserError, match=r"line 2: column 'endings' must hold"):
        opened(path)


def test_what_looks_like_choices(write):
    assert looks_like_choices(write(SWAG))
    assert not looks_like_choices(write("text,label\ngood,1\nbad,0\n"))
    assert not looks_like_choices(write("text,A,B,C\ngood,1,1,1\nbad,0,0,0\n"))
    assert not looks_like_choices(write("", "empty.csv"))
    # Two answers to compare, of which none is right.
    same = "question,answer1,answer2,label\nWho?,he,she,yes\nWho?,he,he,no\n"
    assert not looks_like_choices(write(same))
    # Among rows that are right there may be one that is not.
    assert looks_like_choices(write(same.replace("yes", "2")))


def test_another_file_has_the_columns_of_the_training_file(write):
    columns = opened(write(SWAG))[0].columns
    path = write("sent2,sent1,ending1,ending0\nIt,Rain.,b,a\n", "test.csv")
    file, _ = open_choices_like(path, columns, FileChoices(), want_label=False)
    (example,) = file
    assert (example.context, example.choices) == ("Rain.", ("a", "b"))
    assert example.answer is None
    with pytest.raises(UserError, match=r"needs the columns .*, label of"):
        open_choices_like(path, columns, FileChoices(), want_label=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["1,C,x,y,z,4", "2,C,x,y,z,0"],
            "line 2: the label '4' is none of its 3 choices, which are '0', ",
        ),
        (
            ["1,C,x,y,z,y", "2,C,x,y,z,x", "3,C,x,y,z,w"],
            "line 4: the label 'w' is none of its 3 choices, which are 'x', ",
        ),
        (["1,C,x,y,z,A", "2,C,x,y,,C"], "line 3: the label 'C' is none of its"),
        (["1,C,x,y,z,A", "2,C,x,y,z,"], "line 3: the label is empty"),
        (["1,C,x,y,z,A", "2,C,x,,,A"], "line 3: there is 1 choice in columns"),
        (["1,C,x,y,z,A", "2, ,x,y,,A"], "line 3: there is no text beside"),
    ],
)
def test_mistakes_in_rows(write, rows, message):
    path = write("\n".join(["id,question,A,B,C,label", *rows]))
    with pytest.raises(UserError) as raised:
        list(opened(path)[0])
    assert f"{path}, {message}" in str(raised.value)


def test_ids_twice(write):
    """Among the first rows this is no id; when it is said to be, an error."""
    path = write("id,question,A,B,C,label\n1,C,x,y,,x\n1,C,x,y,,y\n")
    assert [one.guid for one in opened(path)[0]] == ["1", "2"]
    with pytest.raises(UserError, match=r"line 3: the id '1' occurred before"):
        list(opened(path, id="id")[0])


def test_two_columns_of_a_letter(write):
    """Choices if the user says that there are choices."""
    path = write("question,A,B,label\nWhich?,x,y,A\n")
    assert not looks_like_choices(path)
    assert opened(path)[0].columns.choices == (1, 2)


def test_missing_columns(write):
    for header, message in (
        ("id,text,label", "no columns look like choices"),
        ("ending0,ending1,label", "no column looks like a context or a"),
        ("text,ending0,ending1", "no column looks like a label"),
    ):
        path = write(f"{header}\na,b,c\n")
        with pytest.raises(UserError, match=message):
            opened(path)


DOCUMENTS = [
    [
        ["女：下雨了。", "男：是啊。"],
        [
            {"question": "天气?", "choice": ["晴", "雨"], "answer": "雨"},
            {"question": "几人?", "choice": ["一", "二", "三"], "answer": "二"},
        ],
        "1-2",
    ],
    [
        ["好。"],
        [{"question": "?", "choice": ["好", "坏"], "answer": "好", "id": 7}],
    ],
]


def test_documents_of_c3(write):
    path = write(DOCUMENTS, "a.json")
    first, second, third = read_documents(path, None, want_label=True)
    assert first.context == "女：下雨了。\n男：是啊。"
    assert (first.guid, first.choices, first.answer) == (
        *("1-2-1", ("晴", "雨"), 1),
    )
    assert (second.guid, second.label) == ("1-2-2", "二")
    assert (third.guid, third.spelled(1)) == ("7", "坏")
    unlabelled = next(iter(read_documents(path, None, want_label=False)))
    assert unlabelled.answer is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda documents: documents[0][1][0].update(answer="云"),
            "line 2, [0][1][0], id '1-2-1': the label '云' is none of its 2",
        ),
        (
            lambda documents: documents[0][1][0].update(choice=["晴", " "]),
            "line 2, [0][1][0], id '1-2-1': there is 1 choice, where two",
        ),
        (
            lambda documents: documents[0].__setitem__(0, [" ", ""]),
            "line 2, [0]: the document has no text",
        ),
        (
            lambda documents: documents[0][1][0].pop("choice"),
            "line 2, [0][1][0]: 'choice' must be a list of texts, and is",
        ),
        (
            lambda documents: documents[0].__setitem__(0, "text"),
            "line 2, [0]: expected a document, [[line, …]",
        ),
    ],
)
def test_mistakes_in_documents(write, change, message):
    documents = json.loads(json.dumps(DOCUMENTS))
    change(documents)
    path = write(documents, "a.json")
    with pytest.raises(UserError) as raised:
        list(read_documents(path, None, want_label=True))
    assert f"{path}, {message}" in str(raised.value)


def test_json_that_is_cut_off(write):
    text = json.dumps(DOCUMENTS, ensure_ascii=False)
    path = write(text[: len(text) // 2], "a.json")
    with pytest.raises(UserError, match="it is cut off"):
        list(read_documents(path, None, want_label=True))


def test_articles_of_race(write):
    article = {
        "id": "high1.txt",
        "article": "It rains.",
        "questions": ["What is _ ?", "Who?"],
        "options": [["wet", "dry"], ["he", "she", "it"]],
        "answers": ["A", "C"],
    }
    path = write(article, "1.txt")
    first, second = read_articles(path, None, want_label=True)
    assert (first.guid, first.context, first.answer) == (
        *("high1.txt-1", "It rains.", 0),
    )
    assert (second.choices, second.label) == (("he", "she", "it"), "C")
    path = write({**article, "answers": ["A"]}, "1.txt")
    with pytest.raises(UserError, match="must be equally long lists"):
        list(read_articles(path, None, want_label=True))


STEM = {
    "id": "q1",
    "question": {
        "stem": "What is wet?",
        "choices": [
            {"label": "1", "text": "sun"},
            {"label": "2", "text": "rain"},
        ],
    },
    "answerKey": "2",
}


def test_stems_of_arc_and_commonsense_qa(write):
    """Labels are letters in most rows and numbers in some."""
    flat = {
        "id": "q2",
        "question": "Who?",
        "choices": {"label": ["A", "B"], "text": ["he", "she"]},
        "answerKey": "A",
    }
    path = write("\n".join(map(json.dumps, (STEM, flat))), "a.jsonl")
    first, second = read_stems(path, None, want_label=True)
    assert (first.guid, first.context, first.question) == (
        *("q1", None, "What is wet?"),
    )
    assert (first.choices, first.answer) == (("sun", "rain"), 1)
    assert (first.spelled(0), second.spelled(0)) == ("1", "A")
    path = write(json.dumps({**STEM, "answerKey": "B"}), "a.jsonl")
    with pytest.raises(UserError, match=r"'B' is none of its 2 .* '1', '2'"):
        list(read_stems(path, None, want_label=True))
    path = write(json.dumps({**STEM, "question": "Who?"}), "a.jsonl")
    with pytest.raises(UserError, match="line 1: 'choices' must be objects"):
        list(read_stems(path, None, want_label=True))


def test_which_files_are_nested(write):
    article = {"article": "Rain.", "questions": [], "options": []}
    rows = {"question": "Who?", "choices": ["he", "she"], "label": 0}
    for content, name, wanted in (
        (DOCUMENTS, "a.json", read_documents),
        (article, "a.json", read_articles),
        (json.dumps(STEM), "a.jsonl", read_stems),
        (json.dumps(rows), "a.jsonl", None),
        (json.dumps(DOCUMENTS), "a.csv", None),
        ("[[", "a.json", read_documents),
        ("{", "a.json", None),
        ("", "a.json", None),
    ):
        assert find_reader(write(content, name)) is wanted
    assert find_reader(pathlib.Path("missing.json")) is None


def test_parts_of_benchmarks(write, tmp_path):
    """C3 has two files for a split, whose ids may be the same."""
    write(DOCUMENTS[:1], "c3-m-dev.json")
    write(DOCUMENTS[:1], "c3-d-dev.json")
    benchmark = find_choice_benchmark("c3")
    part = ChoicePart(benchmark, "dev", tmp_path)
    assert [one.guid for one in part] == [
        *("c3-m-dev/1-2-1", "c3-m-dev/1-2-2"),
        *("c3-d-dev/1-2-1", "c3-d-dev/1-2-2"),
    ]
    write(DOCUMENTS[:1] * 2, "c3-d-dev.json")
    with pytest.raises(UserError, match=r"the id 'c3-d-dev/1-2-1' occurred"):
        list(part)
    with pytest.raises(UserError, match=r"has no c3-m-train.json and c3-d"):
        _ = ChoicePart(benchmark, "train", tmp_path).paths


def test_files_of_race_are_read_in_the_order_of_their_numbers(write, tmp_path):
    for number in (10, 2):
        write(
            {
                "id": f"middle{number}.txt",
                "article": "Rain.",
                "questions": ["Who?"],
                "options": [["he", "she"]],
            },
            f"test/middle/{number}.txt",
        )
    part = ChoicePart(find_choice_benchmark("RACE"), "test", tmp_path)
    assert [one.guid for one in part] == ["middle2.txt-1", "middle10.txt-1"]


def test_rows_of_benchmarks(write, tmp_path):
    write("o\tIt rains. He\ta\tb\tc\td\t3\n", "dev.tsv")
    part = ChoicePart(find_choice_benchmark("codah"), "dev", tmp_path)
    (example,) = part
    assert (example.context, example.question, example.answer) == (
        *("It rains. He", None, 3),
    )
    write("sent1,sent2,label\na,b,0\n", "val.csv")
    part = ChoicePart(find_choice_benchmark("swag"), "dev", tmp_path)
    with pytest.raises(UserError, match="the column ending0 is missing"):
        list(part)


def test_labels_and_places():
    assert index_of("2", "1", "xyz", (0, 1, 2)) == 1
    assert index_of("2", "1", "xz", (0, 2)) is None
    assert index_of("٣", "0", "wxyz", (0, 1, 2, 3)) is None  # a digit, too
    assert index_of("", "A", "xyz", (0, 1, 2)) is None
    assert index_of("AB", "A", "xyz", (0, 1, 2)) is None


def test_names_that_are_listed_before_the_benchmarks_are_loaded():
    files = [
        submission.file
        for one in CHOICE_BENCHMARKS
        for submission in one.submissions.values()
    ]
    assert {one.name for one in CHOICE_BENCHMARKS} == {*CHOICE_NAMES}
    assert {*files} == {*SUBMITTED_FILES}
    assert sum((o.further for o in CHOICE_BENCHMARKS), ()) == FURTHER_PARTS


def test_names_of_benchmarks_are_in_the_help():
    from bert_keras3.finetuning.settings import DataChoices
    from bert_keras3.safekeeping.settings import flag_of

    about = flag_of(DataChoices.__dataclass_fields__["task_name"])
    for benchmark in CHOICE_BENCHMARKS:
        assert benchmark.name in about.help


SAMPLES = {
    "c3": (3816, 14459),
    "cosmosqa": (2985, 11940),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_published_files(name, shared):
    """Every question of the dev files, with its choices."""
    part = ChoicePart(
        find_choice_benchmark(name),
        "dev",
        pathlib.Path(shared) / "datasets" / name,
    )
    found = [len(example.choices) for example in part]
    assert (len(found), sum(found)) == SAMPLES[name]
