"""Schemes: tags mean entities, entities are written as tags."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest

from bert_keras3.tagging.schemes import (
    SCHEMES,
    Entity,
    TagSet,
    entities_of,
    find_scheme,
    strict_entities_of,
)

ENTITIES = (
    Entity(0, 2, "PER"),
    Entity(3, 5, "LOC"),
    Entity(5, 6, "LOC"),
    Entity(7, 10, "LOC"),
)
TAGS = {
    "IOB1": "I-PER I-PER O I-LOC I-LOC B-LOC O I-LOC I-LOC I-LOC",
    "IOB2": "B-PER I-PER O B-LOC I-LOC B-LOC O B-LOC I-LOC I-LOC",
    "BIOES": "B-PER E-PER O B-LOC E-LOC S-LOC O B-LOC I-LOC E-LOC",
    "BMES": "B-PER E-PER O B-LOC E-LOC S-LOC O B-LOC M-LOC E-LOC",
    "BILOU": "B-PER L-PER O B-LOC L-LOC U-LOC O B-LOC I-LOC L-LOC",
    "BMEW": "B-PER E-PER O B-LOC E-LOC W-LOC O B-LOC M-LOC E-LOC",
}


def pairs_of(*sentences):
    pairs = collections.Counter()
    for tags in sentences:
        pairs.update(itertools.pairwise((None, *tags.split(), None)))
    return pairs


def read(tags, scheme):
    """The entities that the tags mean in a scheme, by `entities_of`."""
    parsed = [scheme.parse(tag) for tag in tags.split()]
    names = sorted({one.type for one in parsed})
    found = entities_of(
        np.array([one.role for one in parsed]),
        np.array([names.index(one.type) for one in parsed]),
        np.array([0, len(parsed)]),
    )
    return tuple(Entity(a, b, names[t]) for a, b, t in found.tolist())


@pytest.mark.parametrize(("name", "tags"), TAGS.items())
def test_each_scheme_is_found_read_and_written(name, tags):
    scheme, _ = find_scheme(pairs_of(tags, "O O"))
    assert scheme == SCHEMES[name]
    assert " ".join(scheme.tags(ENTITIES, 10)) == tags
    assert read(tags, scheme) == ENTITIES
    edges = itertools.pairwise(
        (None, *(scheme.parse(tag) for tag in tags.split()), None)
    )
    assert not any(scheme.is_broken(*pair) for pair in edges)


def test_types_alone_and_another_sign_behind_the_letter():
    scheme, _ = find_scheme(pairs_of("PER PER O LOC"))
    assert scheme.name == "IO"
    assert read("PER PER O LOC", scheme) == (
        Entity(0, 2, "PER"),
        Entity(3, 4, "LOC"),
    )
    scheme, _ = find_scheme(pairs_of("B_PER I_PER O"))
    assert (scheme.name, scheme.separator) == ("IOB2", "_")
    assert scheme.tags([Entity(0, 2, "PER")], 2) == ["B_PER", "I_PER"]


@pytest.mark.parametrize(
    ("sentences", "name", "count"),
    [
        # One I behind an O among many B: IOB2, one place broken.
        (["B-X I-X O", "B-X B-X", "O I-X", "B-X"], "IOB2", 1),
        (["I-X I-X O", "O I-X B-X", "B-X"], "IOB1", 1),
        (["B-X E-X O S-X", "B-X E-X", "B-X O"], "BIOES", 1),
        # A single letter of another scheme does not make it one.
        (["B-X I-X"] * 9 + ["S-X"], "IOB2", 2),
        (["O O"], "IOB2", 0),
    ],
)
def test_the_scheme_that_is_broken_least(sentences, name, count):
    scheme, how = find_scheme(pairs_of(*sentences))
    assert scheme.name == name
    assert (f"but for {count} places" in how) == bool(count)


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ("O I-X I-X", [(1, 3, "X")]),
        ("B-X I-Y", [(0, 1, "X"), (1, 2, "Y")]),
        ("I-X B-X", [(0, 1, "X"), (1, 2, "X")]),
        ("E-X E-X", [(0, 1, "X"), (1, 2, "X")]),
        ("S-X I-X", [(0, 1, "X"), (1, 2, "X")]),
        ("B-X S-X E-X", [(0, 1, "X"), (1, 2, "X"), (2, 3, "X")]),
    ],
)
def test_broken_tags_are_read_as_evaluations_do(tags, wanted):
    assert read(tags, SCHEMES["BIOES"]) == tuple(wanted)


def test_sentences_end_entities():
    """B-X | I-X | no token | I-X: three entities, one of them strict."""
    tags = TagSet.of(["X"], has_ends=False)
    ids = np.array([1, 2, 2])
    offsets = np.array([0, 1, 2, 2, 3])
    sequence = tags.roles[ids], tags.type_ids[ids], offsets
    assert entities_of(*sequence).tolist() == [[0, 1, 0], [1, 2, 0], [2, 3, 0]]
    strict = strict_entities_of(*sequence, has_ends=False)
    assert strict.tolist() == [[0, 1, 0]]


def test_no_token_and_no_entity():
    empty = np.zeros(0, np.int64)
    assert entities_of(empty, empty, np.array([0, 0])).shape == (0, 3)
    outside = np.zeros(2, np.int64)
    assert entities_of(outside, outside, np.array([0, 2])).shape == (0, 3)


@pytest.mark.parametrize("has_ends", [False, True])
def test_ids_of_tags(has_ends):
    tags = TagSet.of({"PER", "LOC"}, has_ends=has_ends)
    scheme = SCHEMES["BIOES" if has_ends else "IOB2"]
    assert tags.types == ("LOC", "PER")
    assert tags.has_ends == has_ends
    ids = tags.encode(ENTITIES, 10)
    names = [tags.names[number] for number in ids]
    assert names == scheme.tags(ENTITIES, 10)
    with pytest.raises(KeyError):
        tags.encode([Entity(0, 1, "ORG")], 1)


@pytest.mark.parametrize("name", ["IOB2", "BIOES"])
def test_allowed_is_what_the_scheme_does_not_call_broken(name):
    scheme = SCHEMES[name]
    tags = TagSet.of({"X", "Y"}, has_ends=scheme.has_ends)
    parsed = [*map(scheme.parse, tags.names), None]
    for row, before in enumerate(parsed):
        for column, tag in enumerate(parsed):
            is_broken = scheme.is_broken(before, tag)
            assert tags.allowed[row, column] != is_broken, (before, tag)


def test_names_in_any_order_and_names_that_are_no_tags():
    tags = TagSet(("B-X", "O", "I-X"))
    assert tags.encode([Entity(1, 3, "X")], 4).tolist() == [1, 0, 2, 1]
    for names in (("ham", "spam"), ("B-X", "I-X"), ("O", "LABEL_1")):
        with pytest.raises(ValueError, match="tag"):
            TagSet(names)
