"""Which rows of a file have labels, where the others are to be without."""

from __future__ import annotations

from benchmarks.distillation import split


def test_every_row_is_in_one_part():
    """Two labels with five rows each, of which two are labelled."""
    rows = [(f"text {number}", "ab"[number % 2]) for number in range(10)]
    labelled, unlabelled, held_out = split(rows, 2, None, 1)
    assert sorted(labelled + unlabelled + held_out) == sorted(rows)
    assert sorted(label for _, label in labelled) == ["a", "a", "b", "b"]
    assert len(held_out) == 1
    # The held-out rows are the same with all labels.
    labelled, unlabelled, again = split(rows, None, None, 1)
    assert (len(labelled), unlabelled, again) == (9, [], held_out)
    assert len(split(rows, 2, 3, 1)[1]) == 3
