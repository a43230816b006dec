"""Counts of a data set, on sets that can be counted by eye."""

from __future__ import annotations

import random

import numpy as np

from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.report import DataReport, Survey, num_shared

EXAMPLES = [
    InputExample("1", "good", None, "yes", 2),
    InputExample("2", "bad", None, "no", 3),
    InputExample("3", " good ", None, "yes", 4),
    InputExample("4", "good", None, "no", 5),
    InputExample("5", "", None, "no", 6),
    InputExample("6", "\t ", None, "no", 7),
]


def survey(examples: list[InputExample]) -> DataReport:
    counter = Survey()
    for example in examples:
        counter.add(example.texts, example.label, example.line)
    return counter.report()


def test_everything_is_counted() -> None:
    report = survey(EXAMPLES)
    assert report.num_rows == 6
    assert (report.num_empty, report.empty_lines) == (2, (6, 7))
    # good, bad and the empty text; good comes again twice, empty once.
    assert report.num_duplicates == 3
    assert len(report.fingerprints) == 3
    # good is yes and no.
    assert report.num_conflicts == 1
    assert report.mean_length == (4 + 3 + 6 + 4 + 0 + 2) / 6
    assert (report.longest, report.longest_line) == (6, 4)


def test_no_rows() -> None:
    report = survey([])
    assert (report.num_rows, report.num_duplicates) == (0, 0)
    assert (report.mean_length, report.unknown_rate) == (0, 0)


def test_pairs_are_one_text_each() -> None:
    report = survey(
        [
            InputExample("1", "a", "b", "0"),
            InputExample("2", "a b", None, "0"),
            InputExample("3", "b", "a", "0"),
            InputExample("4", "a", "", "0", 9),
        ]
    )
    assert report.num_duplicates == 0
    assert report.empty_lines == (9,)


def test_equal_numbers_are_one_label() -> None:
    labels = ["1", "1.0", "01"]
    rows = [InputExample(label, "good", None, label) for label in labels]
    assert survey(rows[:2]).num_conflicts == 0
    assert survey(rows).num_conflicts == 1


def test_only_the_first_empty_lines_are_named() -> None:
    report = survey([InputExample("", "", line=n) for n in range(1, 100)])
    assert report.num_empty == 99
    assert report.empty_lines == tuple(range(1, 11))


def test_the_order_does_not_matter() -> None:
    shuffled = EXAMPLES[:]
    random.Random(1).shuffle(shuffled)
    first, second = survey(EXAMPLES), survey(shuffled)
    np.testing.assert_array_equal(first.fingerprints, second.fingerprints)
    assert first.num_conflicts == second.num_conflicts


def test_fingerprints_are_the_same_in_every_run() -> None:
    report = survey([InputExample("1", "好吃 \U0001f600", None, "yes")])
    assert report.fingerprints.tolist() == [14689472080331144925]


def test_texts_in_both_files() -> None:
    train = survey(EXAMPLES)
    dev = survey(
        [
            InputExample("1", "good", None, "yes"),
            InputExample("2", "good", None, "yes"),
            InputExample("3", "fair", None, "yes"),
        ]
    )
    assert num_shared(train, dev) == num_shared(dev, train) == 1


def test_tokens_are_counted_by_the_caller() -> None:
    counter = Survey()
    counter.add_tokens(7, 1, truncated=False)
    counter.add_tokens(9, 3, truncated=True)
    report = counter.report()
    assert (report.num_tokens, report.num_unknown) == (16, 4)
    assert report.num_truncated == 1
    assert report.unknown_rate == 0.25


def test_what_is_unknown_is_named_by_frequency() -> None:
    counter = Survey()
    for _ in range(1000):
        assert counter.wants_unknown
        counter.add_unknown(["“", "…", "“"])
    assert not counter.wants_unknown
    assert counter.report().unknown_parts == (("“", 2000), ("…", 1000))


def test_lone_surrogates_from_json_are_no_obstacle() -> None:
    assert survey([InputExample("1", "\ud800", None, "x")]).num_rows == 1
