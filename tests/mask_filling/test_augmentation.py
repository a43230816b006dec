"""Copies of texts with other words, as TinyBERT's augmentation."""

from __future__ import annotations

import csv
import io

import pytest

from bert_keras3.mask_filling import job as mask_filling
from bert_keras3.mask_filling.augmentation import word_places
from bert_keras3.mask_filling.settings import Job
from bert_keras3.training.session import NoScreen


class Screen(NoScreen):
    """Keeps the lines that are shown."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3!", ["It", "s", "3"]),
        ("我们 unwise.", ["我", "们", "unwise"]),
        (" a  bad", ["a", "bad"]),
        ("…", []),
    ],
)
def test_words(text, words):
    assert [text[place] for place in word_places(text)] == words


@pytest.fixture
def augment(checkpoint, model, monkeypatch, tmp_path):
    """Returns the rows of the file of answers."""
    monkeypatch.setattr(mask_filling, "MaskedLM", lambda path, **_: model)

    def run(text, screen=None, **flags):
        (tmp_path / "texts.csv").write_text(text, "utf-8")
        job = Job(
            init_checkpoint=str(checkpoint[0]),
            task="augment",
            input_file=str(tmp_path / "texts.csv"),
            output_file=str(tmp_path / "augmented.csv"),
            num_candidates=3,
            **flags,
        )
        mask_filling.run(job, screen or NoScreen(), io.StringIO())
        with open(tmp_path / "augmented.csv", encoding="utf-8") as file:
            return [*csv.reader(file)]

    return run


FILE = "number,sentence\n7,a bad idea.\n8,我们 unwise\n"


def test_copies(augment, model):
    screen = Screen()
    header, *rows = augment(FILE, screen, num_copies=30)
    assert header == ["id", "sentence"]
    assert (
        f"{len(rows)} copies that differ from their texts" in screen.lines[-2]
    )
    texts = [text for number, text in rows if number.startswith("1-")]
    assert len(set(texts)) == len(texts) > 5
    assert "a bad idea." not in texts
    masked = ["[MASK] bad idea.", "a [MASK] idea.", "a bad [MASK]."]
    allowed = [
        {word, *(one.text for one in filling.words[0])}
        for word, filling in zip(
            ["a", "bad", "idea"], model.fill(masked, top_k=4), strict=True
        )
    ]
    for text in texts:
        assert text.endswith(".")
        places = word_places(text)
        assert len(places) == 3
        for place, words in zip(places, allowed, strict=True):
            assert text[place] in words


def test_the_same_seed_makes_the_same_copies(augment):
    first = augment(FILE, num_copies=4)
    assert augment(FILE, num_copies=4) == first
    assert augment(FILE, num_copies=4, seed=1) != first


def test_every_word_is_replaced(augment):
    _, *rows = augment("text\na bad idea.\n", num_copies=9, replace_prob=1.0)
    assert rows
    for _, text in rows:
        words = [text[place] for place in word_places(text)]
        assert all(
            new != old
            for new, old in zip(words, ["a", "bad", "idea"], strict=True)
        )


def test_pairs(augment):
    header, *rows = augment(
        "premise,hypothesis\na bad idea,un a\n", num_copies=5
    )
    assert header == ["id", "premise", "hypothesis"]
    assert all(len(row) == 3 for row in rows)
