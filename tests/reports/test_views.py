"""What each kind of task shows, and its metrics beside other libraries'."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.inputs.choices import ChoiceExample
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.questions import QuestionExample
from bert_keras3.reports.choice import ChoiceView
from bert_keras3.reports.multi_label import MultiLabelView
from bert_keras3.reports.regression import RegressionView
from bert_keras3.reports.span import SpanView
from bert_keras3.reports.tagging import TaggingView
from bert_keras3.reports.views import MISSED, RIGHT, WRONG, overlaid, view_of
from bert_keras3.reports.wording import Wording
from bert_keras3.tagging.examples import TaggedExample
from bert_keras3.tagging.schemes import Entity


def values_of(outcomes):
    """The metrics of the examples themselves."""
    counts = np.bincount(outcomes.groups)[None].astype(float)
    return {
        name: float(metric(counts)[0])
        for name, metric in outcomes.metrics.items()
    }


def test_what_overlaps_is_divided():
    # expected  [----)        found  [----)
    #              [----)
    marks = overlaid([(0, 5, "A")], [(3, 8, "A")])
    assert marks == [
        (0, 3, MISSED, "A"),
        (3, 5, RIGHT, "A"),
        (5, 8, WRONG, "A"),
    ]
    assert overlaid([(0, 2, "A")], [(0, 2, "B")]) == [(0, 2, WRONG, "B ≠ A")]
    assert overlaid([(0, 2, "A")], [(0, 2, "A")]) == [(0, 2, RIGHT, "A")]
    assert overlaid([], [(4, 5, "")]) == [(4, 5, WRONG, "")]


def test_several_labels_are_counted_as_scikit_learn_does():
    from sklearn import metrics

    rng = np.random.default_rng(1)
    labels = ("a", "b", "c")
    probabilities = rng.random((50, 3))
    expected = rng.random((50, 3)) < 0.4
    predicted = probabilities > 0.5
    rows = [
        {
            "row": number + 1,
            "labels": [labels[one] for one in np.flatnonzero(true)],
            "predicted": [labels[one] for one in np.flatnonzero(said)],
            "probabilities": dict(zip(labels, values.tolist(), strict=True)),
        }
        for number, (true, said, values) in enumerate(
            zip(expected, predicted, probabilities, strict=True)
        )
    ]
    view = MultiLabelView(labels)
    outcomes = view.outcomes(rows)
    wanted = {
        "micro_f1": metrics.f1_score(expected, predicted, average="micro"),
        "macro_f1": metrics.f1_score(expected, predicted, average="macro"),
        "accuracy": metrics.accuracy_score(expected, predicted),
    }
    found = values_of(outcomes)
    for name, value in wanted.items():
        # Sums of float32.
        np.testing.assert_allclose(found[name], value, rtol=1e-6)
    assert ((outcomes.wrong == 0) == (expected == predicted).all(-1)).all()
    (chart,) = view.charts(outcomes, Wording("en"))
    assert set(chart.names) == {*labels}
    shown = view.shown(rows[0], InputExample("7", "text"))
    assert shown.expected == (", ".join(rows[0]["labels"]) or "—")
    assert shown.guid == "7"


def test_numbers_are_counted_as_scipy_does():
    import scipy.stats

    rng = np.random.default_rng(2)
    expected = rng.normal(size=60)
    predicted = expected + rng.normal(size=60)
    rows = [
        {"row": number + 1, "label": one, "predicted": other}
        for number, (one, other) in enumerate(
            zip(expected.tolist(), predicted.tolist(), strict=True)
        )
    ]
    view = RegressionView(("score",))
    outcomes = view.outcomes(rows)
    found = values_of(outcomes)
    wanted = {
        "pearson": scipy.stats.pearsonr(expected, predicted)[0],
        "spearman": scipy.stats.spearmanr(expected, predicted)[0],
        "mean_absolute_error": np.abs(expected - predicted).mean(),
        "loss": np.square(expected - predicted).mean(),
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10)
    assert len(view.charts(outcomes, Wording("zh"))) == 2
    constant = view.outcomes([{**row, "predicted": 1.0} for row in rows])
    assert values_of(constant)["pearson"] == 0.0


def test_choices():
    rows = [
        {"row": 1, "label": 0, "predicted": 0, "probabilities": [0.9, 0.1]},
        {
            "row": 2,
            "label": 1,
            "predicted": 0,
            "probabilities": [0.5, 0.2, 0.3],
        },
        {"row": 3, "label": 0, "predicted": 1, "probabilities": [0.4, 0.6]},
    ]
    view = ChoiceView(("choice",))
    outcomes = view.outcomes(rows)
    assert values_of(outcomes)["accuracy"] == pytest.approx(1 / 3)
    np.testing.assert_allclose(outcomes.doubt, [-0.8, -0.2, -0.2], atol=1e-7)
    chance = view.baselines(None, outcomes)["by_chance"]["accuracy"]
    assert chance == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    example = ChoiceExample(
        "2", "It rains.", None, ("a", "b", "c"), (0, 1, 2), "0"
    )
    shown = view.shown(rows[1], example)
    assert (shown.expected, shown.predicted) == ("B", "A")
    assert [text for text, _ in shown.texts] == [
        *("It rains.", "A. a", "B. b", "C. c"),
    ]
    kinds = [[mark.kind for mark in marks] for _, marks in shown.texts]
    assert kinds == [[], [WRONG], [MISSED], []]


def test_answers():
    names = ("row", "answers", "predicted", "start", "end")
    names += ("probability", "exact", "f1")
    rows = [
        dict(zip(names, values, strict=True))
        for values in (
            (1, ["Steve Smith"], "Smith sang", 6, 16, 0.7, 0, 0.5),
            (2, [], "", -1, -1, 0.9, 1, 1),
        )
    ]
    view = SpanView(())
    outcomes = view.outcomes(rows)
    assert values_of(outcomes) == {"f1": 75.0, "exact_match": 50.0}
    assert view.baselines(None, outcomes) == {
        "no_answer": {"f1": 50.0, "exact_match": 50.0}
    }
    question = QuestionExample(
        "q1", "Who sang?", "Steve Smith sang.", (("Steve Smith", 0),)
    )
    _, (_, marks) = view.shown(rows[0], question).texts
    assert marks == [
        (0, 6, MISSED, ""),
        (6, 11, RIGHT, ""),
        (11, 16, WRONG, ""),
    ]
    shown = view.shown(rows[1], None)
    assert (shown.expected, shown.predicted, shown.texts) == ("—", "—", [])


def test_entities():
    rows = [
        {
            "row": 1,
            "expected": [[0, 2, "PER"], [3, 4, "ORG"]],
            "predicted": [[0, 2, "PER"], [3, 4, "LOC"], [2, 3, "LOC"]],
        },
        {"row": 2, "expected": [], "predicted": []},
    ]
    view = TaggingView(())
    outcomes = view.outcomes(rows)
    found = values_of(outcomes)
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["f1"] == pytest.approx(2 / 5)
    np.testing.assert_allclose(outcomes.wrong, [0.6, 0.0])
    tokens = ("Steve", "Smith", "joined", "Acme")
    shown = view.shown(rows[0], TaggedExample("1", "f", 1, tokens))
    ((text, marks),) = shown.texts
    assert text == "Steve Smith joined Acme"
    assert [(text[a:b], kind, label) for a, b, kind, label in marks] == [
        ("Steve Smith", RIGHT, "PER"),
        ("joined", WRONG, "LOC"),
        ("Acme", WRONG, "LOC ≠ ORG"),
    ]
    assert shown.expected == "PER Steve Smith; ORG Acme"
    assert set(shown.pairs) == {
        *(("PER", "PER"), ("ORG", "LOC"), ("none", "LOC")),
    }
    example = TaggedExample("1", "f", 1, tokens, (Entity(0, 2, "PER"),))

    class Record:
        def trained_on(self):
            return [example, example]

        def evaluated(self):
            return [example, TaggedExample("2", "f", 2, ("Steve",), ())]

    known = view.baselines(Record(), outcomes)["known_words"]
    assert known == {"f1": 1.0, "precision": 1.0, "recall": 1.0}


def test_a_task_without_a_view():
    assert view_of("of_somebody_else", ()) is None
