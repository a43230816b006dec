"""Logits of windows become the original's answers."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from bert_keras3.inputs.questions import QuestionExample, read_questions
from bert_keras3.question_answering.answer_files import write_answers
from bert_keras3.question_answering.answer_pairs import greatest
from bert_keras3.question_answering.answer_texts import get_final_text
from bert_keras3.question_answering.answers import (
    AnswerSettings,
    WindowScores,
    find_answers,
)
from bert_keras3.question_answering.windows import WindowSettings
from bert_keras3.safekeeping.errors import UserError
from tests.question_answering import squad_reference
from tests.question_answering.plain_decoding import final_text, plain_answers
from tokenization.tokenizers import FullTokenizer

PIECES = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "steve"),
    *("smith", "##s", "sang", "我", "爱", "北", "京", "天", "安", "a", "##b"),
)


@pytest.fixture(scope="module")
def tokenizer():
    return FullTokenizer.from_vocab({one: n for n, one in enumerate(PIECES)})


def question(context, number=0):
    return QuestionExample(f"q{number}", "who", context)


def scored(questions, tokenizer, logits, **settings):
    """Scores with the same start and end logits in all windows."""
    store = squad_reference.store_of(
        questions, tokenizer, WindowSettings(**settings)
    )
    padded = [np.tile(np.float32(row), (len(store), 1)) for row in logits]
    return WindowScores(store, np.arange(len(store)), *padded)


#              CLS  who  SEP steve smith SEP
STARTS = [0.1, 0.2, 0.0, 5.0, 1.0, 0.0]
ENDS = [0.1, 0.3, 0.0, 1.0, 6.0, 0.0]


def test_the_example_of_the_docstring(tokenizer):
    asked = [question("Steve Smith")]
    scores = scored(asked, tokenizer, (STARTS, ENDS))
    (answer,) = find_answers(asked, scores, tokenizer, AnswerSettings())
    assert answer.text == "Steve Smith"
    assert answer.null_odds is None
    assert [(one.text, round(one.probability, 3)) for one in answer.n_best] == [
        ("Steve Smith", 0.976),
        ("Smith", 0.018),
        ("Steve", 0.007),
    ]
    assert (answer.best.start, answer.best.end) == (0, 11)


def test_no_answer_is_said_above_the_threshold(tokenizer):
    asked = [question("Steve Smith")]
    starts = [6.0, *STARTS[1:]]
    ends = [6.0, *ENDS[1:]]
    scores = scored(asked, tokenizer, (starts, ends))
    for threshold, text in ((0.0, ""), (1.0, "Steve Smith")):
        settings = AnswerSettings(
            version_2_with_negative=True, null_score_diff_threshold=threshold
        )
        (answer,) = find_answers(asked, scores, tokenizer, settings)
        assert answer.text == text
        # 6 + 6 − (5 + 6); the comparison is strict.
        assert answer.null_odds == 1.0
        assert answer.n_best[0].text == ""


def test_characters_of_answers_with_odd_spaces(tokenizer):
    context = "  Steve \n Smiths"
    asked = [question(context)]
    starts = [0, 0, 0, 5, 0, 0, 0]
    ends = [0, 0, 0, 0, 5, 0, 0]
    scores = scored(asked, tokenizer, (starts, ends))
    (answer,) = find_answers(asked, scores, tokenizer, AnswerSettings())
    assert answer.text == "Steve Smith"
    assert context[answer.best.start : answer.best.end] == "Steve \n Smith"


def test_chinese_by_characters(tokenizer):
    """The unknown sign makes the original answer with the whole sentence."""
    context = "我爱北京\u200b天安。"
    asked = [question(context)]
    starts = [0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0]
    ends = [0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]
    texts = []
    for by in ("words", "characters"):
        scores = scored(asked, tokenizer, (starts, ends), answers_by=by)
        settings = AnswerSettings(answers_by=by)
        (answer,) = find_answers(asked, scores, tokenizer, settings)
        texts.append(answer.text)
        assert context[answer.best.start : answer.best.end] == answer.text
    assert texts == [context, "北京"]


def test_a_question_without_a_pair(tokenizer):
    """The best start is behind the best end."""
    asked = [question("Steve Smith")]
    scores = scored(asked, tokenizer, ([0, 0, 0, 1, 9, 0], [0, 0, 0, 9, 2, 0]))

    def answer(**settings):
        chosen = AnswerSettings(n_best_size=1, **settings)
        (one,) = find_answers(asked, scores, tokenizer, chosen)
        return one

    assert answer().text == "empty"
    assert answer(always_answer=True).text == "Smith"
    # Where the original stops, the best of all pairs is the answer.
    version_2 = answer(version_2_with_negative=True)
    assert version_2.text == "Smith"
    assert version_2.null_odds == -11.0


def test_a_question_without_windows_is_answered_in_its_place(tokenizer):
    texts = ("", "Steve Smith", "")
    asked = [question(text, n) for n, text in enumerate(texts)]
    scores = scored(asked, tokenizer, (STARTS, ENDS))
    answers = list(find_answers(asked, scores, tokenizer, AnswerSettings()))
    assert [one.text for one in answers] == ["empty", "Steve Smith", "empty"]
    settings = AnswerSettings(version_2_with_negative=True)
    answers = list(find_answers(asked, scores, tokenizer, settings))
    assert [one.text for one in answers] == ["", "Steve Smith", ""]
    assert answers[0].null_odds == 1_000_000.0


def test_some_of_the_questions(tokenizer):
    texts = ("Steve", "", "Smith", "sang", "a")
    asked = [question(text, n) for n, text in enumerate(texts)]
    store = squad_reference.store_of(asked, tokenizer, WindowSettings())
    numbers = [1, 2, 4]
    rows = store.rows_of(numbers)
    logits = np.zeros(store.lengths[rows].sum(), np.float32)
    scores = WindowScores(store, rows, logits, logits)
    answers = find_answers(asked, scores, tokenizer, AnswerSettings(), numbers)
    assert [(one.question_id, one.text) for one in answers] == [
        ("q1", "empty"),
        ("q2", "Smith"),
        ("q4", "a"),
    ]


def test_the_greatest_are_those_of_a_stable_sort():
    random = np.random.default_rng(7)
    logits = np.rint(random.standard_normal((50, 40)) * 2).astype(np.float32)
    logits[0] *= -0.0
    logits[1, 5:] = -np.inf
    order = np.argsort(-logits, axis=1, kind="stable")
    for count in (1, 7, 40, 99):
        assert np.array_equal(greatest(logits, count), order[:, :count])


@pytest.mark.parametrize("is_version_2", [False, True])
@pytest.mark.parametrize("has_ties", [False, True])
@pytest.mark.parametrize("is_flat", [False, True])
def test_two_paths_one_answer(tokenizer, is_version_2, has_ties, is_flat):
    """On random contexts of several windows, as the loop in plain Python."""
    random = np.random.default_rng(3)
    words = ("Steve", "Smiths", "ab", "Aab,", "sang.", "我爱", "☺", "(a)")
    asked = [
        question(" ".join(random.choice(words, random.integers(1, 60))), n)
        for n in range(40)
    ]
    window = WindowSettings(max_seq_length=24, doc_stride=7)
    store = squad_reference.store_of(asked, tokenizer, window)
    logits = random.standard_normal((2, len(store), 24)).astype(np.float32)
    if has_ties:
        logits = np.rint(logits)
    # Behind a row's tokens.
    is_token = np.arange(24) < store.lengths[:, None]
    if is_flat:
        logits[:, ~is_token] = -np.inf
    rows = np.arange(len(store))
    settings = AnswerSettings(
        n_best_size=6,
        max_answer_length=5,
        version_2_with_negative=is_version_2,
    )
    padded = WindowScores(store, rows, *logits)
    fast = find_answers(
        asked,
        WindowScores(store, rows, *logits[:, is_token]) if is_flat else padded,
        tokenizer,
        settings,
    )
    slow = plain_answers(asked, padded, tokenizer, settings)
    num_equal = 0
    for found, (name, text, n_best, odds) in zip(fast, slow, strict=True):
        assert found.question_id == name
        if text is None:
            assert found.text or found.null_odds is not None
            continue
        assert found.text == text
        assert [tuple(one[:4]) for one in found.n_best] == n_best
        assert found.null_odds == odds
        num_equal += 1
    assert num_equal > 30


def test_the_files(tokenizer, tmp_path):
    asked = [question("Steve Smith", n) for n in range(2)]
    scores = scored(asked, tokenizer, (STARTS, ENDS))
    settings = AnswerSettings(version_2_with_negative=True)
    answers = list(find_answers(asked, scores, tokenizer, settings))
    path = write_answers(answers, tmp_path, has_null_odds=True)
    assert path == tmp_path / "predictions.json"
    names = ("predictions.json", "nbest_predictions.json", "null_odds.json")
    wanted = squad_reference.as_files(answers)
    for name, values in zip(names, wanted, strict=True):
        text = (tmp_path / name).read_text("utf-8")
        assert text == json.dumps(values, indent=4) + "\n"
    write_answers([], tmp_path, has_null_odds=False)
    assert path.read_text("utf-8") == "{}\n"


@pytest.mark.parametrize("name", ["n_best_size", "max_answer_length"])
def test_settings_out_of_range(name):
    with pytest.raises(UserError, match=f"--{name}=0: must be at least 1"):
        AnswerSettings(**{name: 0})


@pytest.fixture(scope="session")
def cases(reference):
    return squad_reference.load(reference / "squad" / "cases.json.gz")


def test_final_texts(cases):
    pairs = cases["get_final_text"]
    assert len(pairs) == 35
    for pair in pairs:
        given = pair["pred_text"], pair["orig_text"], pair["do_lower_case"]
        assert get_final_text(*given) == pair["result"]
        assert final_text(*given) == pair["result"]


def test_the_originals_cases(cases, reference, write_vocabulary, tmp_path):
    vocabulary = squad_reference.load(reference / "squad" / "vocabulary.json")
    path = write_vocabulary(vocabulary, tmp_path / "vocab.txt")
    tokenizer = FullTokenizer(path)
    num_equal, without_windows = 0, []
    for case, is_version_2 in itertools.product(cases["cases"], (False, True)):
        wanted = case["predict_v2" if is_version_2 else "predict"]
        if "raises" in wanted:
            continue
        asked = squad_reference.examples_of(case["file"], tmp_path)
        store = squad_reference.store_of(
            asked, tokenizer, squad_reference.settings_of(case, is_version_2)
        )
        places = np.arange(case["max_seq_length"])
        logits = np.float32([(7 * places + 1) % 24, (5 * places + 2) % 24])
        padded = [np.tile(row, (len(store), 1)) for row in logits]
        scores = WindowScores(store, np.arange(len(store)), *padded)
        settings = AnswerSettings(
            cases["n_best_size"], cases["max_answer_length"], is_version_2
        )
        files = squad_reference.as_files(
            find_answers(asked, scores, tokenizer, settings)
        )
        files_wanted = wanted["result"]["write_predictions"]
        if "raises" in files_wanted:
            # The original has no window to look at.
            without_windows.append(case["name"])
            assert files[0] == {"q1": ""}
            continue
        written = files_wanted["result"]
        assert files[0] == written["predictions"], case["name"]
        assert files[1] == written["nbest"]
        if is_version_2:
            assert files[2] == written["null_odds"]
        num_equal += 1
    assert num_equal == 72
    assert without_windows == ["context_empty", "context_only_spaces"]


@pytest.mark.slow
def test_whole_data_sets(shared):
    folder = shared / "reference" / "squad"
    recipe = squad_reference.load(folder / "recipe.json")
    num_equal = num_raised = 0
    for name, (length, stride) in itertools.product(
        squad_reference.SETS, squad_reference.SIZES
    ):
        tokenizer = squad_reference.tokenizer_of(shared, name)
        asked = list(read_questions(folder / f"{name}.json"))
        settings = WindowSettings(length, stride)
        store = squad_reference.store_of(asked, tokenizer, settings)
        run = f"{name}_{length}_{stride}"
        for kind, is_version_2 in itertools.product(
            squad_reference.KINDS, (False, True)
        ):
            logits = squad_reference.logits_of(folder, recipe, run, kind)
            scores = WindowScores(store, np.arange(len(store)), *logits)
            chosen = AnswerSettings(version_2_with_negative=is_version_2)
            found = squad_reference.as_files(
                find_answers(asked, scores, tokenizer, chosen)
            )
            files = folder / (f"{run}_{kind}" + "_v2" * is_version_2)
            raised = squad_reference.load_if_there(files / "raised.json")
            for question_id in raised.get("questions", ()):
                # Something is answered all the same.
                texts = found[1][question_id]
                assert len(texts) == 2
                assert found[0][question_id] in {one["text"] for one in texts}
                for values in found:
                    del values[question_id]
                num_raised += 1
            assert found[0] == squad_reference.load(files / "predictions.json")
            n_best = files / "nbest_predictions.json.gz"
            assert found[1] == squad_reference.load(n_best)
            if is_version_2:
                odds = squad_reference.load(files / "null_odds.json")
                assert found[2] == odds
            num_equal += len(found[0])
    assert (num_equal, num_raised) == (3823, 17)
