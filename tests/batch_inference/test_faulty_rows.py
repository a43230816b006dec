"""A row that cannot be read has a reason in place of an answer."""

from __future__ import annotations

import csv
import dataclasses
import json

import pytest

from bert_keras3.batch_inference.devices import DeviceChoices
from bert_keras3.batch_inference.faulty_rows import readable_rows
from bert_keras3.batch_inference.work import Failures
from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.questions import read_questions
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.parallel_work.settings import RunnerFlags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.vectors.settings import Extraction


def texts_of(path, written):
    """What the plain script reads in a file."""
    file = LabelledFile.open(
        path, dataclasses.replace(FileChoices(), **written), want_label=False
    )
    return [one.text_a for one in file]


def questions_of(path, written):
    choices = dataclasses.replace(FileChoices(), **written)
    return [
        one.question
        for one in read_questions(path, refused=("repeated",), choices=choices)
    ]


@pytest.fixture
def look(tmp_path):
    """A function of a name, a content and a reader.

    It returns what can be read with its numbers, and {number: (line, reason)}.
    """

    def look_through(name, content, read=texts_of, **more):
        path = tmp_path / name
        path.write_bytes(content)
        failed = tmp_path / "failed.jsonl"
        with Failures(failed) as failures:
            rows = readable_rows(
                path, FileChoices(), tmp_path, read, failures, **more
            )
        reasons = {}
        if failures.number:
            lines = failed.read_text("utf-8").splitlines()
            reasons = {
                one["row"]: (one["line"], one["reason"])
                for one in map(json.loads, lines)
            }
        found = zip(rows.numbers(), rows.source, strict=False)
        return dict(found), reasons

    return look_through


def test_a_file_without_faults_is_read_as_it_is(look):
    found, reasons = look("a.csv", b"text,more\ngood,1\nbad,2\n")
    assert (found, reasons) == ({1: "good", 2: "bad"}, {})


def test_rows_of_cells(look):
    """Of another width, or with bytes of no text, or an open quote."""
    content = (
        b"text,more\ngood,1\nbad\nfine,2,3\n\n"
        b'"two\nlines",4\nth\xff,5\nlast,6\n"open,7\n'
    )
    found, reasons = look("a.csv", content)
    assert found == {1: "good", 4: "two\nlines", 6: "last"}
    assert {number: line for number, (line, _) in reasons.items()} == {
        2: 3,
        3: 4,
        5: 8,
        7: 10,
    }
    assert reasons[2][1] == "1 cells where 2 are expected (text, more)"
    assert "not utf-8" in reasons[5][1]


def test_lines_of_json(look):
    content = (
        b'{"text": "good"}\n{"text": \n[1]\n\n{"text": "\xe5\xa5\xbd"}\n'
        b'{"text": "\xff"}\n'
    )
    found, reasons = look("a.jsonl", content)
    assert found == {1: "good", 4: "好"}
    assert reasons[2] == (2, "column 10: Expecting value")
    assert reasons[3] == (3, "it is no JSON object")
    assert reasons[5][0] == 6


def test_rows_that_the_reader_refuses(look):
    """Among 2500 questions, two lack a context and one an id."""
    records = [
        {"id": str(n), "question": f"q{n}", "context": "c"} for n in range(2500)
    ]
    del records[3]["context"], records[1999]["context"], records[2400]["id"]
    content = "".join(f"{json.dumps(one)}\n" for one in records).encode()
    found, reasons = look("a.jsonl", content, questions_of)
    assert len(found) == 2497
    assert found[2500] == "q2499"
    assert list(reasons) == [4, 2000, 2401]
    assert "'context' is missing" in reasons[4][1]
    assert "piece" not in reasons[4][1]


def test_faults_of_no_row_alone(look):
    """No row can be left out; the shard is refused, as a whole file is."""
    content = b'{"id": "1", "question": "q", "context": "c"}\n' * 2
    with pytest.raises(UserError, match="'1'"):
        look("a.jsonl", content, questions_of)
    with pytest.raises(UserError, match="there is no such file"):
        look("b.csv", b"", lambda path, _: LabelledFile.open("no.csv"))


def test_predictions_for_the_other_rows(make_job, screen, tmp_path):
    """Rows without an identifier keep their number."""
    pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    from bert_keras3.batch_inference.predictions import Predictions

    job, _ = make_job("single_label")
    path = tmp_path / "rows.csv"
    path.write_text("number,text\n1,anna sang\n2\n3,bob played\n4,x,y\n5,who\n")
    (tmp_path / "out").mkdir()
    model = Predictions(job, "off", 1)
    with Failures(tmp_path / "failed.jsonl") as failures:
        counts = model.answer(path, tmp_path / "out", failures)
    assert (counts.rows, counts.failures) == (5, 2)
    with open(tmp_path / "out/predictions.csv", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)] == ["id", "1", "3", "5"]
    failed = (tmp_path / "failed.jsonl").read_text("utf-8").splitlines()
    assert json.loads(failed[0]) == {
        "row": 2,
        "line": 3,
        "reason": "1 cells where 2 are expected (number, text)",
        "text": "2",
    }


@pytest.mark.slow
def test_vectors_of_the_other_texts(make_job, screen, tmp_path):
    pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    from bert_keras3.batch_inference.vectors import extract_shards

    (tmp_path / "texts.txt").write_bytes(b"anna sang\nb\xffb\n\nwho\n")
    wanted = Extraction(
        input_file=str(tmp_path / "texts.txt"),
        output_file=str(tmp_path / "out/vectors.jsonl"),
        init_checkpoint=str(make_job("single_label")[0].output_dir),
        max_seq_length=8,
        pooling="mean",
    )
    flags = RunnerFlags(runner="DirectRunner")
    extract_shards(wanted, DeviceChoices(), flags, screen)
    lines = (tmp_path / "out/vectors-00000-of-00001.jsonl").read_text("utf-8")
    numbers = [json.loads(one)["linex_index"] for one in lines.splitlines()]
    assert numbers == [0, 2, 3]
    counts = json.loads((tmp_path / "out/vectors.counts.json").read_text())
    assert (counts["rows"], counts["failures"]) == (4, 1)
    assert "1 rows have no answer" in screen.lines[-1]
