"""Questions are read from each form; what is wrong is told."""

from __future__ import annotations

import json

import pytest

from bert_keras3.inputs.question_records import describe_records
from bert_keras3.inputs.questions import (
    MISTAKES,
    QuestionExample,
    QuestionReport,
    read_questions,
)
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError

CONTEXT = "Steve Smith sang in Berlin."
ANSWER = {"text": "Berlin", "answer_start": 20}


def squad(*questions, context=CONTEXT, **others):
    paragraph = {"context": context, "qas": list(questions), **others}
    return {"version": "1", "data": [{"title": "t", "paragraphs": [paragraph]}]}


def asked(question_id="1", answers=(ANSWER,), **others):
    return {
        "id": question_id,
        "question": "Where?",
        "answers": list(answers),
        **others,
    }


FLAT = {
    "id": "1",
    "title": "t",
    "context": CONTEXT,
    "question": "Where?",
    "answers": {"text": ["Berlin"], "answer_start": [20]},
}
CMRC = {
    "context_id": "T_1",
    "context_text": CONTEXT,
    "title": "t",
    "qas": [{"query_id": "1", "query_text": "Where?", "answers": ["Berlin"]}],
}
FLAT_STARTS = {
    **FLAT,
    "answers": {"text": ["Berlin"], "answer_starts": [20]},
}


@pytest.fixture
def write(tmp_path):
    def write(text, name="questions.json", encoding="utf-8"):
        if not isinstance(text, str):
            text = json.dumps(text, ensure_ascii=False)
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def read(path, **others):
    report = QuestionReport()
    return list(read_questions(path, report, **others)), report


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("squad.json", squad(asked())),
        ("without_suffix", squad(asked())),
        ("cmrc_own.json", [CMRC]),
        ("cmrc_data.json", {"data": [CMRC]}),
        ("flat_list.json", [FLAT]),
        ("flat_data.json", {"version": "1", "data": [FLAT], "more": {}}),
        ("flat_starts.json", [FLAT_STARTS]),
        ("lines.jsonl", json.dumps(FLAT) + "\n\n"),
        ("lines.json", json.dumps(FLAT) + "\n"),
        ("q.csv", f"id,context,question,answer\n1,{CONTEXT},Where?,Berlin\n"),
        (
            "q.tsv",
            f"question\tid\tcontext\tanswer\nWhere?\t1\t{CONTEXT}\tBerlin\n",
        ),
    ],
)
def test_each_form_says_the_same(write, name, text):
    (example,), report = read(write(text, name))
    assert example == QuestionExample(
        "1",
        "Where?",
        CONTEXT,
        (("Berlin", 20),),
        path=example.path,
        place=example.place,
    )
    assert example.place.startswith("line ")
    assert report.num_questions == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_encodings(write, encoding):
    context = "北京是中华人民共和国的首都，也是一座历史悠久的城市。"
    answer = {"text": "首都", "answer_start": 11}
    file = squad(asked(answers=[answer]), context=context)
    path = write(file, "a.json", encoding)
    (example,), report = read(path, refused=MISTAKES)
    assert example.context == context
    assert report.absent.number == 0


def test_many_questions_and_where_they_stand(write):
    paragraph = {"context": CONTEXT, "qas": [asked("1"), asked(2)]}
    text = json.dumps({"data": [{"paragraphs": [paragraph]}] * 2}, indent=1)
    found, report = read(write(text))
    assert [one.question_id for one in found] == ["1", "2"] * 2
    assert found[1].place == "line 3, data[0].paragraphs[0].qas[1]"
    assert found[3].place.endswith("data[1].paragraphs[0].qas[1]")
    assert found[3].place != found[1].place
    assert report.repeated.number == 2


def test_a_row_says_where_the_answer_is_or_it_is_found(write):
    rows = "context,question,answer\na b a b,Q?,b\na b,Q?,\n"
    (first, second), report = read(write(rows, "q.csv"))
    assert first.answers == (("b", 2),)
    assert [first.question_id, second.question_id] == ["1", "2"]
    assert second.is_impossible
    assert report.several.ids == ["1"]
    assert report.num_found == 1
    assert report.num_impossible == 1
    text = "\n".join(report.lines())
    assert "1 question with an answer that occurs more than once (1)" in text


def test_an_answer_to_an_empty_context_is_told(write):
    path = write(squad(asked(), context=""))
    with pytest.raises(UserError, match="'Berlin', and its context is empty"):
        read(path, refused=("outside",))


def test_what_is_no_error_unless_it_is_refused(write):
    questions = [
        asked("misplaced", [{"text": "Berlin", "answer_start": 3}]),
        asked("absent", [{"text": "Rome", "answer_start": 20}]),
        asked("behind", [{"text": "Berlin", "answer_start": 99}]),
    ]
    found, report = read(write(squad(*questions)))
    assert [one.answers[0][1] for one in found] == [3, 20, 99]
    assert report.misplaced.ids == ["misplaced"]
    assert report.outside.ids == ["behind"]
    assert report.absent.ids == ["absent"]
    assert len(report.lines()) == 4
    _, without_answers = read(write("context,question\na,b\n", "q.csv"))
    assert without_answers.lines() == [
        "1 question, and the file says no answers"
    ]


@pytest.mark.parametrize(
    ("name", "value", "decisions"),
    [
        (
            "a.json",
            squad(asked()),
            [("form", "paragraphs with questions"), ("encoding", "utf-8")],
        ),
        (
            "a.jsonl",
            json.dumps(FLAT),
            [("form", "a record for each question"), ("encoding", "utf-8")],
        ),
        (
            "a.csv",
            "question,context\nWho?,Smith sang\n",
            [
                ("form", "a row for each question"),
                ("encoding", "utf-8"),
                ("delimiter", "comma"),
                ("quoting", "double"),
                ("header", "yes"),
                ("context", "context"),
                ("question", "question"),
            ],
        ),
    ],
)
def test_how_a_file_is_read_is_described(write, name, value, decisions):
    described = describe_records(write(value, name), FileChoices())
    assert [(one.what, one.value) for one in described] == decisions


@pytest.mark.parametrize(
    ("questions", "others", "said"),
    [
        (
            [asked(answers=[{"text": "Berlin", "answer_start": 3}])],
            {},
            r"question '1': its answer 'Berlin' is not at .*'ve Smi'; it is at",
        ),
        (
            [asked(answers=[{"text": "Rome", "answer_start": 3}])],
            {},
            "'Rome' is not in the context; correct it",
        ),
        ([asked(), asked()], {}, "question '1': the id occurred before"),
        ([asked(answers=[])], {"context": " "}, "context is empty; fill it in"),
    ],
)
def test_what_is_an_error_if_it_is_refused(write, questions, others, said):
    with pytest.raises(UserError, match=said):
        read(write(squad(*questions, **others)), refused=MISTAKES)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (squad({"id": "1"}), "'question' is missing .there are 'id'"),
        (squad({"question": "?"}), "'id' is missing"),
        (squad(asked(None)), "'id' must be a text or a whole number"),
        (squad(asked(question=3)), "'question' must be a text, and is '3'"),
        ({"data": [{"title": "t"}]}, "'context' is missing"),
        ({"data": [{"paragraphs": [{"context": "a"}]}]}, "'qas' is missing"),
        ({"data": [{"paragraphs": {}}]}, "'paragraphs' must be a list"),
        ({"data": {}}, "'data' must be a list"),
        ({"data": []}, "holds no question"),
        ([], "holds no question"),
        (squad(), "holds no question"),
        (3, "neither an object with a list 'data' nor a list"),
        (["a"], "expected an object with 'paragraphs'"),
        (squad(asked(answers=[{"answer_start": 1}])), "answer has no 'text'"),
        (
            squad(asked(answers=[{"text": "a", "answer_start": "1"}])),
            "'answer_start' must be a whole number, and is '1'",
        ),
        (squad(asked(answers=[3])), "an answer must be a text, and is 3"),
        (
            squad(asked(is_impossible="no")),
            "'is_impossible' must be true or false, and is 'no'",
        ),
        (
            [{**FLAT, "answers": {"text": ["a", "b"], "answer_start": [1]}}],
            "2 texts and another number of starts",
        ),
    ],
)
def test_what_is_missing_or_of_another_type(write, value, said):
    path = write(value)
    with pytest.raises(UserError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_json_that_is_cut_off_anywhere(write):
    text = json.dumps(squad(asked(), asked("2")), indent=1)
    for length in range(1, len(text)):
        path = write(text[:length])
        with pytest.raises(UserError, match=r"json, line \d+, column \d+"):
            read(path)
    with pytest.raises(UserError, match=r"line 12, column .* cut off"):
        read(write(text[: text.index("Where?") + 3]))


def test_json_with_a_mistake(write):
    text = json.dumps(squad(asked()), indent=1).replace('"Where?",', '"Where?"')
    with pytest.raises(UserError, match=r"line 13, .*there stands '\"answers"):
        read(write(text))


def test_files_that_are_no_files_of_questions(write, tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read(tmp_path / "nothing.json")
    with pytest.raises(UserError, match="is empty"):
        read(write("", "a.json"))
    with pytest.raises(UserError, match=r"columns context and question.*a, b"):
        read(write("a,b\n1,2\n", "q.csv"))
    with pytest.raises(UserError, match=r"line 2.*'x'; it must be a whole"):
        read(
            write("context,question,answer,answer_start\nabc,Q?,b,x\n", "q.csv")
        )


def test_other_names_of_columns(write):
    rows = "问题,答案,上下文,start\n谁？,张三,张三在这里，有张三。,7\n"
    (example,), _ = read(write(rows, "q.csv"))
    assert example.answers == (("张三", 7),)


@pytest.mark.slow
def test_published_files(shared):
    folder = shared / "datasets"
    counts = {
        "drcd_simplified/dev.json": 3524,
        "cmrc2018/squad_style_cmrc2018_dev.json": 3219,
        "squad2_cs224n/dev-v2.0.json": 6078,
        "xquad/xquad.zh.json": 1190,
        "format_fixtures/cmrc2018/0.1.0/blobdev": 1,
        "format_fixtures/squad/plain_text/dev": 1,
        "format_fixtures/squad_v2/squad_v2/dev": 2,
        "format_fixtures/squad_v2/1.0.0/xquad.zh.json": 2,
        "format_fixtures/xquad/xquad.de/xquad.de.json": 153,
        "format_fixtures/squad_kor_v1/squad_kor_v1/KorQuAD_v1.0_dev.json": 133,
    }
    for name, count in counts.items():
        found, report = read(folder / name)
        assert len(found) == report.num_questions == count, name
