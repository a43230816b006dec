"""JSON lines with spans or tags: every kind says the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bert_keras3.inputs.tagged_files import open_tagged_file
from bert_keras3.inputs.tagged_json import JsonFile
from bert_keras3.inputs.tagged_text import (
    Found,
    Span,
    TaggedChoices,
    write_tagged_rows,
)
from bert_keras3.safekeeping.errors import UserError

TEXT = "Smith sang in Berlin"
SPANS = (Span(0, 5, "PER"), Span(14, 20, "LOC"))
KINDS = {
    "lists": {"text": TEXT, "label": [[0, 5, "PER"], [14, 20, "LOC"]]},
    "labels": {"data": TEXT, "labels": [[0, 5, "PER"], [14, 20, "LOC"]]},
    "objects": {
        "text": TEXT,
        "entities": [
            {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 5},
            {"id": 2, "label": "LOC", "start_offset": 14, "end_offset": 20},
        ],
        "relations": [],
    },
    "with texts": {
        "text": TEXT,
        "spans": [
            {"text": "Smith", "start": 0, "end": 4, "type": "PER"},
            {"text": "Berlin", "start": 14, "end": 19, "type": "LOC"},
        ],
    },
    "nested": {
        "text": TEXT,
        "label": {"PER": {"Smith": [[0, 4]]}, "LOC": {"Berlin": [[14, 19]]}},
    },
    "inclusive lists": {
        "text": TEXT,
        "label": [[0, 4, "PER"], [14, 19, "LOC"]],
    },
}


@pytest.fixture
def opened(tmp_path):
    """A function of records that writes and opens a file of them."""

    def write_and_open(*records, like=None, want_labels=True, **choices):
        path = tmp_path / "file.jsonl"
        lines = [
            one if isinstance(one, str) else json.dumps(one) for one in records
        ]
        path.write_text("\n".join(lines), "utf-8")
        return open_tagged_file(
            path, TaggedChoices(**choices), like, want_labels=want_labels
        )

    return write_and_open


def written(file, folder, *found):
    path = file.write_found(found, folder)
    assert path.name == "predictions.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_and_written(opened, tmp_path, kind):
    """What is written to a file without labels is what was read."""
    record = KINDS[kind]
    file = opened(record)
    assert isinstance(file, JsonFile)
    (text,) = file
    assert (text.text, text.spans, text.guid) == (TEXT, SPANS, "1")
    labels = file.keys.labels
    to_predict = {key: record[key] for key in record if key != labels}
    test = opened(
        {"id": "a", **to_predict}, like=file.layout, want_labels=False
    )
    (text,) = test
    assert (text.text, text.spans, text.guid) == (TEXT, None, "a")
    found = [Found(*span, 0.5) for span in SPANS]
    (new,) = written(test, tmp_path, found)
    assert new["id"] == "a"
    assert next(iter(opened(new))).spans == SPANS
    wanted = record[labels]
    if isinstance(wanted, list) and isinstance(wanted[0], dict):
        assert [one.pop("score") for one in new[labels]] == [0.5, 0.5]
        names = {"start", "end", "start_offset", "end_offset", "label", "type"}
        keys = names & wanted[0].keys()
        assert [[one[key] for key in sorted(keys)] for one in new[labels]] == [
            [one[key] for key in sorted(keys)] for one in wanted
        ]
    else:
        assert new[labels] == wanted


def test_labels_that_are_there_stay(opened, tmp_path):
    file = opened(KINDS["lists"], want_labels=False)
    (new,) = written(file, tmp_path, [Found(0, 5, "ORG", 0.75)])
    assert new["label"] == KINDS["lists"]["label"]
    assert new["predicted_label"] == [[0, 5, "ORG"]]
    assert new["predicted_label_scores"] == [0.75]


def test_tokens_and_tags(opened, tmp_path):
    file = opened({"tokens": ["Smith", "sang"], "ner_tags": ["B-PER", "O"]})
    (text,) = file
    assert not file.is_text
    assert (text.tokens, text.tags) == (("Smith", "sang"), ("B-PER", "O"))
    test = opened({"tokens": ["a"]}, like=file.layout, want_labels=False)
    assert written(test, tmp_path, ["O"]) == [
        {"tokens": ["a"], "ner_tags": ["O"]}
    ]


@pytest.mark.parametrize(
    ("labels", "inclusive", "why"),
    [
        ([[0, 4, "X"], [2, 2, "X"]], True, "the first and the last"),
        ([[0, 5, "X"], [14, 20, "X"]], False, "the first and the last"),
        ([[0, 4, "X"]], True, "the ends of words: 1 for it, 0 against"),
        ([[0, 5, "X"]], False, "the ends of words"),
        ([[6, 8, "X"]], False, "usual"),
        ([], False, "usual"),
    ],
)
def test_ends_are_told_from_the_texts(opened, labels, inclusive, why):
    file = opened({"text": TEXT, "label": labels})
    assert file.keys.inclusive == inclusive
    assert why in file.decisions[-1].how


def test_ends_are_those_of_the_training_file_if_nothing_says_otherwise(opened):
    like = opened(KINDS["inclusive lists"]).layout
    cases = (
        ({"text": TEXT, "label": [[0, 5, "X"]]}, True),
        ({"text": TEXT, "label": [[0, 20, "X"]]}, False),
    )
    for record, inclusive in cases:
        assert opened(record, like=like).keys.inclusive == inclusive


def test_ends_as_given(opened):
    file = opened(
        {"text": "好人", "label": [[0, 1, "X"]]}, span_end="inclusive"
    )
    assert next(iter(file)).spans == (Span(0, 2, "X"),)


def test_some_lines_are_written_as_they_stand(opened, tmp_path):
    lines = [json.dumps({"text": str(n), "label": []}) + " " for n in range(5)]
    write_tagged_rows([opened(*lines)], np.array([1, 3]), tmp_path / "rows")
    rows = (tmp_path / "rows").read_text("utf-8").splitlines()
    assert rows == [lines[1].strip(), lines[3].strip()]


GOOD = {"id": 1, "text": TEXT, "label": []}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"id": 2, "text": "Smith sa', "line 2, column 19: .* is cut off"),
        ('{"id": 2, "text": "Smith"', "line 2, column 26: .* is cut off"),
        ('{"id": 2 "text": "Smith"}', "line 2, column 10: .* delimiter"),
        ({"id": 2, "text": TEXT}, "line 2: 'label' is missing"),
        ({"id": 2, "label": []}, "line 2: 'text' is missing"),
        ({"id": 1, "text": "", "label": []}, "line 2: the id '1' is that of l"),
        ({"text": 7, "label": []}, "line 2: 'text' must be a text, and is '7'"),
        ({"text": "a", "label": [[0, 2, "X"]]}, "line 2: the span from 0 to b"),
        ({"text": "a", "label": [[0, 1]]}, r"line 2: '\[0, 1\]' is no span"),
        ({"text": "a", "label": [["0", 1, "X"]]}, "line 2: .* is no span"),
        ({"text": "a", "label": [[True, 1, "X"]]}, "line 2: .* is no span"),
        ({"text": "a", "label": [{"start": 0}]}, "line 2: .* is no span"),
        ({"text": "a", "label": {"X": [[0, 0]]}}, "line 2: .* is no span"),
        (
            {
                "text": TEXT,
                "label": [
                    {"start": 0, "end": 5, "label": "X", "text": "Smith"},
                    {"start": 6, "end": 10, "label": "X", "text": "Berlin"},
                ],
            },
            "line 2: the file says that 'Berlin' .* stands from 6 to before 10",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(opened, record, message):
    with pytest.raises(UserError, match=message):
        list(opened(GOOD, record))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"title": "a"}, "line 1: there is no text; it is sought under 'text'"),
        ({"text": "a"}, "line 1: there are no spans or tags; they are sought"),
        ({"tokens": ["a"], "tags": ["O", "O"]}, "1 'tokens' and 2 'tags'"),
        ({"tokens": ["a"], "tags": [3]}, "the names of tags, such as B-PER"),
        ('[{"text": "a"}]', "line 1: there are no spans or tags; they are so"),
        ('{\n"text": "a"}', "is one JSON value of several lines; write one ob"),
    ],
)
def test_what_is_missing_in_the_first_record(opened, record, message):
    with pytest.raises(UserError, match=message):
        list(opened(record))
