"""Figures of entities, counted by hand and as seqeval counts them."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from bert_keras3.tagging.metrics import Counts, confusion_of_types, matching
from bert_keras3.tagging.schemes import (
    TagSet,
    entities_of,
    strict_entities_of,
)

TRUE = np.array([[0, 2, 0], [3, 4, 1], [5, 7, 1], [9, 10, 0]])
FOUND = np.array([[0, 2, 0], [3, 4, 0], [5, 6, 1]])


def test_by_hand():
    """One of three is right, one has another type, one is too short."""
    counts = Counts.of(TRUE, FOUND, 2)
    assert counts.total() == {
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 4),
        "f1": pytest.approx(2 / 7),
    }
    per_type = counts.per_type(("LOC", "PER"))
    assert per_type["LOC"] == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "support": 2,
    }
    assert per_type["PER"]["f1"] == 0
    assert counts.macro_f1() == 0.25
    assert confusion_of_types(TRUE, FOUND, 2).tolist() == [
        [1, 0, 1],
        [1, 0, 1],
        [0, 1, 0],
    ]
    assert matching(TRUE, FOUND).tolist() == [
        [0, 0],
        [1, 1],
        [-1, 2],
        [2, -1],
        [3, -1],
    ]


def test_nothing_found_and_nothing_there():
    none = np.zeros((0, 3), np.int64)
    for true, found in ((none, none), (TRUE, none), (none, FOUND)):
        counts = Counts.of(true, found, 2)
        assert set(counts.total().values()) == {0.0}
        assert counts.macro_f1() == 0
        assert confusion_of_types(true, found, 2).sum() == len(true) + len(
            found
        )


def counted(case, *, strict):
    """Our figures for sequences of tags, some of them broken."""
    has_ends = case["scheme"] == "IOBES"
    tags = TagSet(tuple(case["tags"]))
    lengths = [len(one) for one in case["true"]]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    entities = []
    for sequences in (case["true"], case["found"]):
        ids = np.array([tags.names.index(t) for one in sequences for t in one])
        sequence = tags.roles[ids], tags.type_ids[ids], offsets
        entities.append(
            strict_entities_of(*sequence, has_ends=has_ends)
            if strict
            else entities_of(*sequence)
        )
    return Counts.of(*entities, len(tags.types)), tags.types


@pytest.mark.parametrize("mode", ["default", "strict"])
def test_equal_to_seqeval(reference, mode):
    """On random tags in both schemes; tests/reference/README.md says how."""
    file = reference / "seqeval.json.gz"
    cases = json.loads(gzip.decompress(file.read_bytes()))
    for case in cases:
        counts, types = counted(case, strict=mode == "strict")
        wanted = case[mode]
        micro = wanted.pop("micro avg")
        for name, value in counts.total().items():
            assert value == pytest.approx(micro[name])
        per_type = counts.per_type(types)
        assert len(wanted) > 1
        for kind, figures in wanted.items():
            assert per_type[kind] == pytest.approx(figures)
