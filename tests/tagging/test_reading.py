"""Texts and tags → tokens and entities; how texts are best split."""

from __future__ import annotations

import pathlib

import pytest

from bert_keras3.inputs.tagged_text import Span, TaggedText
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.tagging.reading import (
    TagReading,
    TextReading,
    suggested_split,
)
from bert_keras3.tagging.schemes import SCHEMES


def text_with(text, *spans, line=1):
    return TaggedText(
        "1", line, text=text, spans=tuple(Span(*one) for one in spans)
    )


def test_spans_become_entities_of_tokens():
    reading = TextReading("words")
    example = reading.example(
        text_with("Ann Lee, 在柏林", (10, 12, "LOC"), (0, 7, "PER")), "a.json"
    )
    assert example.tokens == ("Ann", "Lee", ",", *"在柏林")
    assert example.entities == ((0, 2, "PER"), (4, 6, "LOC"))
    assert [example.text_of(one) for one in example.entities] == [
        "Ann Lee",
        "柏林",
    ]
    assert reading.notes() == []


def test_what_cannot_be_kept_is_counted():
    reading = TextReading("words")
    example = reading.example(
        text_with("Ann Lees", (4, 8, "A"), (0, 7, "B"), (3, 4, "C"), line=7),
        "a.json",
    )
    assert example.entities == ((0, 2, "B"),)
    notes = "\n".join(reading.notes())
    assert "spans lost, since a longer one has their token: 1 (line 7)" in notes
    assert "spans widened to whole words: 1 (line 7)" in notes
    assert "spans left out, since they are white space alone: 1" in notes


def test_scripts_without_spaces_are_split_by_character():
    """Of "トヨタの車", the entity is the first three characters."""
    inside = text_with("トヨタの車", (0, 3, "ORG"))
    whole = text_with("Toyota no", (0, 6, "ORG"))
    assert suggested_split([whole] * 30 + [inside])[0] == "words"
    split, why = suggested_split([whole] * 3 + [inside])
    assert split == "characters"
    assert why == "25% of spans begin or end within a word"
    example = TextReading(split).example(inside, "")
    assert example.entities == ((0, 3, "ORG"),)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("O I-X", "line 6: I-X behind O breaks the scheme IOB2. Correct"),
        ("I-X O", "line 5: I-X behind its beginning breaks"),
        ("O X", "line 6: the tag 'X' is neither O nor a type behind one of B"),
        ("O B-", "line 6: the tag 'B-' is neither"),
    ],
)
def test_a_tag_that_may_not_be(tags, message):
    reading = TagReading(pathlib.Path("a"), SCHEMES["IOB2"], refuse=True)
    text = TaggedText("1", 5, ("a", "b"), tuple(tags.split()), (5, 6))
    with pytest.raises(UserError, match=message):
        reading.entities(text)


def test_an_end_that_is_missing():
    reading = TagReading(pathlib.Path("a"), SCHEMES["BIOES"], refuse=True)
    text = TaggedText("1", 5, ("a", "b"), ("O", "B-X"), (5, 6))
    with pytest.raises(UserError, match="the end of the sentence behind B-X"):
        reading.entities(text)
    reading = TagReading(pathlib.Path("a"), SCHEMES["BIOES"], refuse=False)
    assert reading.entities(text) == ((1, 2, "X"),)
    assert "tags that break the scheme BIOES: 1 (line 6)" in reading.notes()[0]
