"""Exact match and F1 are those of the official scripts."""

from __future__ import annotations

import pytest

from bert_keras3.inputs.questions import read_questions
from bert_keras3.question_answering.answer_metrics import (
    cmrc_2018,
    cmrc_f1,
    cmrc_words,
    f1_of_words,
    normalized,
    squad_1,
    squad_2,
)
from tests.question_answering import squad_reference


def test_what_is_compared():
    assert normalized("The  Cat's (a) an theory!") == "cats theory"


def test_f1_of_words():
    # One word of two in common on either side.
    assert f1_of_words("the Steve Smith", "Steve Smith's") == 0.5
    assert f1_of_words("b c", "b c d e") == pytest.approx(2 / 3)
    assert f1_of_words("x", "y") == 0.0
    assert f1_of_words("the", "a") == 1.0


def test_squad_1():
    gold = [("1", ["no", "Steve Smith"]), ("2", ["1895"]), ("3", ["x"])]
    said = {"1": "The Steve Smith", "2": "in 1895"}
    assert squad_1(gold, said) == pytest.approx(
        {"exact_match": 100 / 3, "f1": 100 * (1 + 2 / 3) / 3}
    )


def test_squad_2():
    gold = [("1", ["Steve"]), ("2", []), ("3", ["x"]), ("4", [])]
    said = {"1": "Steve", "2": "", "3": "", "4": "wrong"}
    values = squad_2(gold, said)
    assert values == {
        "exact": 50.0,
        "f1": 50.0,
        "total": 4,
        "HasAns_exact": 50.0,
        "HasAns_f1": 50.0,
        "HasAns_total": 2,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
    }


def test_the_best_threshold():
    """If only the odds up to −2 are answered, the wrong answer goes."""
    gold = [("1", ["Steve"]), ("2", []), ("3", ["x"]), ("4", [])]
    said = {"1": "Steve", "2": "", "3": "", "4": "wrong"}
    odds = {"1": -2.0, "2": 3.0, "3": 2.0, "4": 0.5}
    values = squad_2(gold, said, odds, threshold=9.0)
    assert values["exact"] == 50.0
    assert values["best_exact"] == 75.0
    assert values["best_exact_thresh"] == -2.0
    # Above the threshold nothing counts as said.
    assert squad_2(gold, said, odds, threshold=0.0)["exact"] == 75.0


def test_cmrc():
    assert cmrc_words('他在Nexon，（2010年）said "it\'s fine."') == [
        *("他", "在", "nexon2010", "年", "said", "``", "it", "'s"),
        *("fine", ".", "''"),
    ]
    # 北京 of two and of four words.
    assert cmrc_f1("北京", "在北京市") == pytest.approx(2 / 3)
    gold = [("1", ["北京", "北京市"]), ("2", ["x"]), ("3", ["上海"])]
    said = {"1": "北京。", "3": "北京"}
    assert cmrc_2018(gold, said) == pytest.approx(
        dict.fromkeys(("average", "f1", "em"), 100 / 3)
        | {"total": 3, "skip": 1}
    )


@pytest.mark.slow
def test_the_scripts_figures(shared):
    folder = shared / "reference" / "squad"
    figures = squad_reference.load(folder / "eval.json")["figures"]
    num_equal = 0
    for run, wanted in figures.items():
        name = next(one for one in squad_reference.SETS if run.startswith(one))
        raised = squad_reference.load_if_there(folder / run / "raised.json")
        gold = [
            (one.question_id, [text for text, _ in one.answers])
            for one in read_questions(folder / f"{name}.json")
            if one.question_id not in raised.get("questions", ())
        ]
        said = squad_reference.load(folder / run / "predictions.json")
        odds = squad_reference.load_if_there(folder / run / "null_odds.json")
        found = {
            "squad-1.1": squad_1(gold, said),
            "squad-2.0": squad_2(gold, said),
            "cmrc2018": as_printed(cmrc_2018(gold, said)),
        }
        if odds:
            with_odds = squad_2(gold, said, odds)
            found["squad-2.0 --na-prob-file null_odds.json"] = with_odds
        for script, values in wanted.items():
            if script != "left_out_because_raised":
                assert found[script] == values, (run, script)
                num_equal += 1
    assert num_equal == 120


def as_printed(values):
    """CMRC's script writes three places."""
    rounded = {
        name.upper(): f"{values[name]:.3f}" for name in ("average", "f1", "em")
    }
    return {**rounded, "TOTAL": values["total"], "SKIP": values["skip"]}
