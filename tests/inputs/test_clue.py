"""CLUE's files, which are JSON lines, written as published."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from bert_keras3.inputs.benchmark_files import open_split, write_submission
from bert_keras3.inputs.benchmarks import (
    COLLECTIONS,
    find_benchmark,
    find_folders,
)
from bert_keras3.inputs.clue import CLUE, marked_spans
from bert_keras3.inputs.examples import InputExample
from bert_keras3.safekeeping.errors import UserError


def lines(path: pathlib.Path, *records: dict[str, Any]) -> pathlib.Path:
    path.parent.mkdir(exist_ok=True)
    text = "".join(
        json.dumps(one, ensure_ascii=False) + "\n" for one in records
    )
    path.write_text(text, "utf-8")
    return path


def read(folder: pathlib.Path, task: str, part: str) -> list[InputExample]:
    return list(open_split(find_benchmark(task), part, folder))


PAIR = {"sentence1": "蚂蚁借呗", "sentence2": "借呗"}
ABSTRACT = {"abst": "本文就该技术", "keyword": ["肿瘤", "细胞"]}
# "The wound is deep; I washed it."
WOUND: dict[str, Any] = {
    "text": "伤口很深，我把它洗净。",
    "target": {
        "span1_text": "伤口",
        "span1_index": 0,
        "span2_text": "它",
        "span2_index": 7,
    },
}
MARKED = "_伤口_很深，我把[它]洗净。"


@pytest.mark.parametrize(
    ("task", "record", "label", "texts"),
    [
        ("AFQMC", PAIR, "1", ("蚂蚁借呗", "借呗")),
        ("CMNLI", PAIR, "neutral", ("蚂蚁借呗", "借呗")),
        ("OCNLI", PAIR, "entailment", ("蚂蚁借呗", "借呗")),
        (
            "TNEWS",
            {"sentence": "上课", "keywords": "课"},
            "108",
            ("上课", None),
        ),
        ("iflytek", {"sentence": "打车"}, "0", ("打车", None)),
        ("csl", {"id": 3, **ABSTRACT}, "0", ("肿瘤 细胞", "本文就该技术")),
        ("cluewsc", WOUND, "true", (MARKED, None)),
    ],
)
def test_texts(
    tmp_path: pathlib.Path,
    task: str,
    record: dict[str, Any],
    label: str,
    texts: tuple[str, str | None],
) -> None:
    for part in ("train", "dev"):
        lines(tmp_path / f"{part}.json", {"label": label, **record})
        assert read(tmp_path, task, part) == [
            InputExample(f"{part}-0", *texts, label, 1)
        ]
    lines(tmp_path / "test.json", {**record, "id": 7})
    assert read(tmp_path, task, "test") == [
        InputExample("test-7", *texts, None, 1)
    ]


def test_the_pronoun_may_stand_first() -> None:
    target = {
        "span1_text": "雨",
        "span1_index": 5,
        "span2_text": "它",
        "span2_index": 0,
    }
    record = {"text": "它停了，大雨。", "target": target}
    assert marked_spans(record) == "[它]停了，大_雨_。"


def test_labels_are_those_of_labels_json(tmp_path: pathlib.Path) -> None:
    tnews = find_benchmark("TNEWS")
    assert tnews.known_labels(tmp_path) is None
    path = lines(tmp_path / "labels.json", {"label": "100"}, {"label": 116})
    assert tnews.known_labels(tmp_path) == ("100", "116")
    file = lines(
        tmp_path / "train.json",
        {"sentence": "一", "label": "116"},
        {"sentence": "二", "label": "105"},
    )
    with pytest.raises(UserError) as caught:
        read(tmp_path, "TNEWS", "train")
    assert str(caught.value) == (
        f"{file}, line 2: TNEWS has no label '105', only 100, 116."
    )
    lines(path, {"label": "100"}, {"label_desc": "news_story"})
    with pytest.raises(UserError, match=r"labels.json, line 2: has no 'label'"):
        tnews.known_labels(tmp_path)


def test_what_the_annotators_did_not_agree_on(tmp_path: pathlib.Path) -> None:
    lines(
        tmp_path / "train.50k.json",
        {**PAIR, "label": "neutral"},
        {**PAIR, "label": "-"},
        {**PAIR, "label": "entailment"},
    )
    file = open_split(find_benchmark("ocnli"), "train", tmp_path)
    assert [(one.guid, one.line) for one in file] == [
        ("train-0", 1),
        ("train-2", 3),
    ]
    assert file.left_out == {"the label is -: the annotators did not agree": 1}


@pytest.mark.parametrize(
    ("task", "record", "message"),
    [
        (
            "AFQMC",
            {"sentence1": "一"},
            "there is no 'sentence2' among the keys",
        ),
        ("AFQMC", {**PAIR, "label": "2"}, "AFQMC has no label '2', only 0, 1"),
        ("AFQMC", PAIR, "there is no 'label' among the keys"),
        ("CSL", {**ABSTRACT, "keyword": "肿瘤"}, "'keyword' must be a list"),
        (
            "CLUEWSC",
            {**WOUND, "target": {}},
            "'target' must have a text 'span1",
        ),
        (
            "CLUEWSC",
            {**WOUND, "target": {**WOUND["target"], "span2_index": 6}},
            "the span2_text '它' does not stand at character 6 of the text",
        ),
    ],
)
def test_wrong_objects(
    tmp_path: pathlib.Path, task: str, record: dict[str, Any], message: str
) -> None:
    label = "true" if task == "CLUEWSC" else "0"
    good = {**PAIR, **ABSTRACT, **WOUND, "label": label}
    lines(tmp_path / "dev.json", good, record)
    with pytest.raises(UserError, match=r"dev\.json, line 2: ") as caught:
        read(tmp_path, task, "dev")
    assert message in str(caught.value)


def test_a_file_that_is_cut_off(tmp_path: pathlib.Path) -> None:
    path = lines(tmp_path / "test.json", {"id": 0, **PAIR}, {"id": 1, **PAIR})
    path.write_text(path.read_text("utf-8")[:-20], "utf-8")
    with pytest.raises(UserError, match=r"test\.json, line 2, column .* JSON"):
        read(tmp_path, "AFQMC", "test")


def test_an_id_twice_in_a_test_file(tmp_path: pathlib.Path) -> None:
    path = lines(tmp_path / "test.json", {"id": 5, **PAIR}, {"id": 5, **PAIR})
    with pytest.raises(UserError) as caught:
        read(tmp_path, "AFQMC", "test")
    assert str(caught.value).startswith(
        f"{path}, line 2: the id '5' is that of line 1 too"
    )
    # In a file that is not submitted, ids are only for display.
    lines(tmp_path / "dev.json", *[{"id": 5, "label": 0, **PAIR}] * 2)
    assert len(read(tmp_path, "AFQMC", "dev")) == 2


def test_submissions(tmp_path: pathlib.Path) -> None:
    split = find_benchmark("tnews").test
    assert split is not None
    assert split.submission is not None
    path = tmp_path / split.submission.file
    write_submission(path, split.submission, [("0", "100"), ("1", "116")])
    assert path.read_text("utf-8") == (
        '{"id": 0, "label": "100"}\n{"id": 1, "label": "116"}\n'
    )
    assert [
        one.test.submission.file
        for one in CLUE
        if one.test is not None and one.test.submission is not None
    ] == [
        "afqmc_predict.json",
        "tnews11_predict.json",
        "iflytek_predict.json",
        "cmnli_predict.json",
        "ocnli_50k_predict.json",
        "cluewsc11_predict.json",
        "csl_predict.json",
    ]


def test_folders(tmp_path: pathlib.Path) -> None:
    for name in ("tnews_public", "AFQMC", "cluewsc2020"):
        lines(tmp_path / name / "dev.json", {})
    (tmp_path / "csl").mkdir()  # has no file
    lines(tmp_path / "AFQMC" / "csl" / "dev.json", {})  # is in another's
    assert find_folders(COLLECTIONS["clue"], tmp_path) == {
        "AFQMC": tmp_path / "AFQMC",
        "TNEWS": tmp_path / "tnews_public",
        "CLUEWSC": tmp_path / "cluewsc2020",
    }
    with pytest.raises(UserError, match="no folder with files of a task of GL"):
        find_folders(COLLECTIONS["glue"], tmp_path)


@pytest.mark.slow
def test_published_files(shared: pathlib.Path) -> None:
    datasets = shared / "datasets"
    for task, folder, part, number, last in (
        ("AFQMC", "clue/afqmc", "dev", 4316, "dev-4315"),
        ("TNEWS", "clue/tnews", "dev", 2000, "dev-1999"),
        ("TNEWS", "clue/tnews", "test", 2000, "test-11687"),
        ("CLUEWSC", "clue/cluewsc", "train", 160, "train-159"),
        ("CLUEWSC", "clue/cluewsc", "test", 976, "test-700"),
        ("OCNLI", "ocnli", "train", 2994, "train-2999"),
        ("OCNLI", "ocnli", "dev", 2950, "dev-2999"),
    ):
        rows = read(datasets / folder, task, part)
        assert (len(rows), rows[-1].guid) == (number, last)
    fixtures = datasets / "format_fixtures" / "clue"
    found = find_folders(COLLECTIONS["clue"], fixtures)
    assert list(found) == [one.name for one in CLUE]
    for task, place in found.items():
        for part in ("train", "dev", "test"):
            assert len(read(place, task, part)) == 1
