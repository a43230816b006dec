"""`fill_mask.py` from flags to tables and files."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest

from bert_keras3.commands import fill_mask
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.mask_filling import job as job_of_files
from bert_keras3.mask_filling.settings import Job
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import NoScreen


class Screen(NoScreen):
    """Keeps what is printed."""

    def __init__(self):
        self.lines = []
        self.tables = []

    def say(self, line):
        self.lines.append(line)

    def table(self, headers, rows, title=None):
        self.tables.append((title, list(headers), [list(row) for row in rows]))


class Terminal(io.StringIO):
    """A person at the keyboard."""

    def isatty(self):
        return True


@pytest.fixture
def ask(checkpoint, model, monkeypatch):
    """A function of settings → what is printed, by one model for all."""
    monkeypatch.setattr(job_of_files, "MaskedLM", lambda *_, **__: model)

    def asked(standard_input=None, **settings):
        screen = Screen()
        job = Job(init_checkpoint=str(checkpoint[0]), **settings)
        job_of_files.run(job, screen, standard_input or io.StringIO())
        return screen

    return asked


def test_a_text(ask, model):
    screen = ask(text="a [MASK] idea", top_k=2)
    (words,) = model.fill(["a [MASK] idea"], 2)[0].words
    assert screen.tables == [
        (
            "a [MASK] idea",
            ["word", "probability"],
            [[word.text, f"{word.probability:.3g}"] for word in words],
        )
    ]
    assert screen.lines == []


def test_several_masks_and_words_of_several_pieces(ask, model):
    ((title, headers, rows),) = ask(
        text="[MASK] a [MASK]", top_k=2, max_pieces=2
    ).tables
    (filling,) = model.fill(["[MASK] a [MASK]"], 2, max_pieces=2)
    assert title == filling.text
    assert headers == ["mask 1", "mask 2", "together"]
    assert rows == [
        [
            *(
                f"{words[rank].text}  {words[rank].score:.3g}"
                for words in filling.words
            ),
            " | ".join(word.text for word in filling.joint[rank].words)
            + f"  {filling.joint[rank].score:.3g}",
        ]
        for rank in range(2)
    ]


def test_candidates_have_a_score_beside_the_probability(ask):
    ((_, headers, rows),) = ask(
        text="a [MASK]", candidates=("bad", "unwise", "我们")
    ).tables
    assert headers == ["word", "probability", "score"]
    assert {row[0] for row in rows} == {"bad", "unwise", "我们"}


def test_a_file_of_lines(ask, model, tmp_path):
    """Commas and quotes are part of a line; the answers are JSON lines."""
    file, answers = tmp_path / "texts.txt", tmp_path / "answers.jsonl"
    file.write_text('"a, [MASK]", a\n\n' + "[MASK] " * 9 + "\n", "utf-8")
    screen = ask(input_file=str(file), output_file=str(answers), top_k=1)
    first, second = map(json.loads, answers.read_text("utf-8").splitlines())
    assert first["text"] == '"a, [MASK]", a'
    assert [first["id"], second["id"]] == ["1", "2"]
    (filling,) = model.fill([first["text"]], 1)
    (word,) = filling.words[0]
    assert first["masks"] == [
        [
            {
                "word": word.text,
                "probability": pytest.approx(word.probability),
                "score": pytest.approx(word.score),
                "pieces": [word.text],
            }
        ]
    ]
    assert first["joint"][0]["text"] == f'"a, {word.text}", a'
    assert (len(second["masks"]), second["num_unread"]) == (9, 1)
    assert screen.tables == []
    assert screen.lines == [
        (
            "note: 1 input is longer than the 10 tokens that the model reads; "
            "each token was predicted from those around it"
        ),
        f"2 answers are in {answers}",
    ]


def test_a_table_of_texts(ask, model, tmp_path):
    """A CSV in, a CSV out; with several masks a row for all together."""
    file, answers = tmp_path / "texts.csv", tmp_path / "answers.csv"
    file.write_text("id,text\nx,a [MASK]\ny,[MASK] [MASK]\n", "utf-8")
    ask(input_file=str(file), output_file=str(answers), top_k=1)
    with open(answers, encoding="utf-8", newline="") as table:
        header, *rows = csv.reader(table)
    assert header == [
        *("id", "mask", "rank", "word", "probability", "score", "pieces")
    ]
    assert [row[:3] for row in rows] == [
        ["x", "1", "1"],
        ["y", "1", "1"],
        ["y", "2", "1"],
        ["y", "all", "1"],
    ]
    joint = model.fill(["[MASK] [MASK]"], 1)[0].joint[0]
    assert rows[-1][3] == " ".join(word.text for word in joint.words)
    assert float(rows[-1][5]) == pytest.approx(joint.score, rel=1e-5)


def test_lines_of_the_standard_input(ask):
    screen = ask(io.StringIO("a [MASK]\n\nbad [MASK]\n"))
    assert [title for title, _, _ in screen.tables] == [
        "a [MASK]",
        "bad [MASK]",
    ]


def test_a_person_is_answered_line_by_line(ask):
    with pytest.raises(UserError, match=r"standard input, line 2: .*\[MASK\]"):
        ask(Terminal("a [MASK]\nnothing\n"))
    screen = ask(Terminal("a [MASK]\n"))
    assert "Ctrl-D" in screen.lines[0]
    assert len(screen.tables) == 1


def test_how_likely_texts_are(ask, model, tmp_path):
    file, answers = tmp_path / "texts.tsv", tmp_path / "scores.tsv"
    file.write_text("text\tid\nbad idea\tx\nidea un? bad\ty\n", "utf-8")
    scores = model.score(["bad idea", "idea un? bad"])
    settings = {"input_file": str(file), "task": "pseudo_likelihood"}
    ((_, headers, rows),) = (screen := ask(**settings)).tables
    assert headers[1:4] == ["pseudo-log-likelihood", "tokens", "perplexity"]
    for row, score in zip(rows, scores, strict=True):
        assert row[1] == f"{score.pseudo_log_likelihood:.3f}"
        assert row[2] == len(score.tokens)
    assert screen.lines[-1].endswith(
        "over 6 tokens of 2 texts, 1 of them unknown"
    )
    ask(**settings, output_file=str(answers))
    with open(answers, encoding="utf-8", newline="") as table:
        _, *written = csv.reader(table, delimiter="\t")
    assert [row[0] for row in written] == ["x", "y"]
    assert float(written[1][3]) == pytest.approx(scores[1].perplexity, rel=1e-4)


def test_one_text_is_shown_token_by_token(ask):
    (_, _, tokens), _ = ask(text="bad idea", task="pseudo_likelihood").tables
    assert [token for token, _ in tokens] == ["bad", "idea"]


def test_pairs(ask, model, tmp_path):
    (probability,) = model.next_sentence([("a", "bad idea")])
    ((_, _, rows),) = ask(
        text="a", text_b="bad idea", task="next_sentence"
    ).tables
    assert rows == [["1", f"{probability:.3g}", "a", "bad idea"]]
    file, answers = tmp_path / "pairs.jsonl", tmp_path / "answers.jsonl"
    file.write_text('{"text_a": "a", "text_b": "bad idea"}\n', "utf-8")
    ask(input_file=str(file), output_file=str(answers), task="next_sentence")
    (record,) = map(json.loads, answers.read_text("utf-8").splitlines())
    assert record["probability"] == pytest.approx(float(probability), abs=1e-6)


def test_what_is_too_long_is_said(ask):
    (note, _) = ask(text="a " * 9, task="pseudo_likelihood").lines
    assert note.startswith("note: 1 input is longer than the 10 tokens")
    (note,) = ask(text="a " * 9, text_b="bad", task="next_sentence").lines
    assert note.endswith("the ends of their longer texts were left out")


def test_pairs_where_texts_are_wanted(ask, tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("sentence1,sentence2\na [MASK],bad\n", "utf-8")
    with pytest.raises(UserError, match="'sentence2'; name the one"):
        ask(input_file=str(file))
    choices = FileChoices(text="sentence1")
    assert len(ask(input_file=str(file), file=choices).tables) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": "a"}, r"no \[MASK\] in 'a'"),
        ({"text": "[MASK]", "input_file": "x"}, "--input_file=x: give one"),
        ({"text_b": "a"}, "--text_b: give the first"),
        ({"input_file": "no.csv"}, "no.csv: there is no such file"),
        ({"text": "[MASK]", "output_file": "a.txt"}, "a.txt: give a name"),
        ({"text": "[MASK]", "candidates": ("good",)}, "candidate 'good'"),
        ({"text": "[MASK]", "top_k": 99}, "top_k=99"),
        ({"text": "[MASK]", "top_k": 0}, "--top_k=0"),
        ({"text": "", "task": "pseudo_likelihood"}, "is empty"),
        ({"text": "a", "task": "next_sentence"}, "a pair is needed"),
        ({"task": "next_sentence"}, "there is no pair"),
        ({}, "standard input: has no text"),
    ],
)
def test_mistakes(ask, settings, message):
    with pytest.raises(UserError, match=message):
        ask(**settings)


def test_a_line_without_a_mask_leaves_nothing_behind(ask, tmp_path):
    """Everything is checked first; the last answers are untouched."""
    file, answers = tmp_path / "texts.csv", tmp_path / "answers.csv"
    file.write_text("text\na [MASK]\nbad idea\n", "utf-8")
    answers.write_text("of yesterday")
    with pytest.raises(UserError, match=r"texts.csv, line 3: .*no \[MASK\]"):
        ask(input_file=str(file), output_file=str(answers))
    assert answers.read_text() == "of yesterday"
    assert len([*tmp_path.iterdir()]) == 2


def test_the_command(checkpoint, monkeypatch, capsys):
    """Flags reach the job; a mistake is one line and exit code 2."""
    arguments = ["fill_mask.py", f"--init_checkpoint={checkpoint[0]}"]
    for text, code in (("a [MASK]", 0), ("a", 2)):
        monkeypatch.setattr(sys, "argv", [*arguments, f"--text={text}"])
        with pytest.raises(SystemExit) as caught:
            fill_mask.command()
        assert caught.value.code == code
        output = capsys.readouterr()
        if code:
            (line,) = output.err.splitlines()
            assert line.startswith("error: there is no [MASK]")
        else:
            assert output.out.startswith("a [MASK]\n")
