"""Which tokens made a prediction, for every kind of task."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.finetuning.choice import LOGIT
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.inputs.choices import ChoiceExample
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.extra_columns import ExtraColumn, ExtraColumns
from bert_keras3.inputs.questions import QuestionExample
from bert_keras3.reports.reasons import reasons
from bert_keras3.reports.record import RunRecord
from bert_keras3.tagging.examples import TaggedExample
from tests.explaining.conftest import make_run as make_run

TEXT = "the film was so good"
COLUMNS = ExtraColumns((ExtraColumn("price", "number", mean=3.0),))
PRICE = {"feature_columns": COLUMNS.to_json()}
TAGGED = TaggedExample("1", "f", 1, tuple(TEXT.split()))
QUESTION = QuestionExample("1", "was it good", TEXT)
CHOICES = ChoiceExample("1", TEXT, None, ("bad", "good"), (0, 1), "0")
LONG = InputExample("1", f"{TEXT} " * 60)
PAIR = InputExample("1", TEXT, "it is bad")
PRICED = InputExample("1", TEXT, columns=("4.5",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "labels", "options", "example"),
    [
        ("single_label", ("bad", "good"), {}, PAIR),
        ("single_label", ("bad", "good"), PRICE, PRICED),
        ("single_label", ("bad", "good"), {"long_text": "windows"}, LONG),
        ("multi_label", ("a", "b", "c"), {}, PAIR),
        ("regression", ("score",), {}, PAIR),
        ("tagging", ("O", "B-PER", "I-PER"), {}, TAGGED),
        ("span", (), {}, QUESTION),
        ("choice", LOGIT, {}, CHOICES),
    ],
)
def test_tokens_and_columns(make_run, problem, labels, options, example):
    folder = FinetuningFolder(make_run(problem, labels, **options))
    record = RunRecord(folder, folder.read_settings())
    ((row, answers),) = reasons(record, {7: example}).items()
    assert row == 7
    for answer in answers:
        tokens = [token for token, _, _ in answer["tokens"]]
        parts = [part for _, part, _ in answer["tokens"]]
        parts += [part for _, part in answer.get("columns", ())]
        assert np.abs(parts).max() == 1.0
        assert tokens[0] == "[CLS]" or example is LONG
        # Of 302 tokens there are stretches, with … between them.
        assert ("…" in tokens) == (example is LONG)
        assert len(tokens) < 200
        assert ("of" in answer) == (len(labels) > 1)
        is_about = [token for token, _, about in answer["tokens"] if about]
        assert bool(is_about) == (problem in ("tagging", "span"))
        assert ("columns" in answer) == (example is PRICED)
    if example is PRICED:
        assert answers[0]["columns"][0][0] == "price: 4.5"
