"""Questions and contexts become the original's windows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bert_keras3.inputs.feature_store import write_feature_store
from bert_keras3.inputs.questions import QuestionExample, read_questions
from bert_keras3.question_answering.windows import (
    WindowMaker,
    WindowSettings,
    best_windows,
    num_windows,
    suggested_answers_by,
)
from bert_keras3.safekeeping.errors import UserError
from tests.question_answering import squad_reference
from tokenization.tokenizers import FullTokenizer

PIECES = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "sang", "?"),
    *("steve", "smith", "##s", "(", ")", "1895", "-", "1943", "cafe", "."),
    *("我", "爱", "北", "京", "，", "sing", "##ing", "'"),
)
STEVE = "Steve  Smiths\nsang (1895-1943)."


@pytest.fixture(scope="module")
def tokenizer():
    return FullTokenizer.from_vocab({one: n for n, one in enumerate(PIECES)})


def question(text="Who sang?", context=STEVE, answers=(), **others):
    return QuestionExample("q", text, context, tuple(answers), **others)


def tokens_of(window):
    return [PIECES[number] for number in window.input_ids]


def make(tokenizer, example, purpose="train", **settings):
    maker = WindowMaker(tokenizer, WindowSettings(**settings), purpose)
    return maker.windows(example), maker.report


def test_one_window(tokenizer):
    (window,), _ = make(tokenizer, question(), "predict")
    assert tokens_of(window) == [
        *("[CLS]", "who", "sang", "?", "[SEP]"),
        *("steve", "smith", "##s", "sang"),
        *("(", "1895", "-", "1943", ")", ".", "[SEP]"),
    ]
    assert window.first_context_token == 5
    assert window.words.tolist() == [0, 1, 1, 2, 3, 3, 3, 3, 3, 3]
    # By words each token stands for its whole word.
    assert STEVE[window.text_start[4] : window.text_end[4]] == "(1895-1943)."


def test_tokens_know_their_characters(tokenizer):
    context = "Café SINGING, 我爱北京 ☺ cafe\u0301."
    (window,), _ = make(
        tokenizer,
        question(context=context),
        "predict",
        answers_by="characters",
    )
    said = [
        context[start:end]
        for start, end in zip(window.text_start, window.text_end, strict=True)
    ]
    assert said == [
        *("Café", "SING", "ING", ",", "我", "爱", "北", "京", "☺"),
        *("cafe\u0301", "."),
    ]


def test_positions_are_those_of_the_pieces_that_match(tokenizer):
    """The words' tokens are "( 1895 - 1943 ) .", the answer's "1895"."""
    example = question(answers=[("1895", STEVE.index("1895"))])
    for by in ("words", "characters"):
        (window,), _ = make(tokenizer, example, answers_by=by)
        at = slice(window.start_position, window.end_position + 1)
        assert tokens_of(window)[at] == ["1895"]


def test_windows_that_overlap(tokenizer):
    """Ten tokens in windows of four, two apart; "sang" is the fourth."""
    windows, report = make(
        tokenizer,
        question(answers=[("sang", STEVE.index("sang"))]),
        max_seq_length=10,
        doc_stride=2,
    )
    assert [window.doc_start for window in windows] == [0, 2, 4, 6]
    assert all(len(window.input_ids) == 10 for window in windows)
    assert [window.is_max_context.tolist() for window in windows] == [
        [True, True, True, False],
        [False, True, True, False],
        [False, True, True, False],
        [False, True, True, True],
    ]
    positions = [(one.start_position, one.end_position) for one in windows]
    assert positions == [(8, 8), (6, 6), (0, 0), (0, 0)]
    assert report.num_windows == 4
    assert report.num_split_answers == 0


def test_an_answer_that_fits_in_no_window_is_counted(tokenizer):
    windows, report = make(
        tokenizer,
        question(answers=[(STEVE, 0)]),
        max_seq_length=10,
        doc_stride=2,
    )
    assert {one.start_position for one in windows} == {0}
    assert report.num_split_answers == 1


@pytest.mark.parametrize(
    ("num_tokens", "room", "step"),
    [
        (1, 4, 2),
        (9, 4, 2),
        (10, 4, 4),
        (11, 4, 1),
        (700, 365, 128),
        # Windows whose lengths differ by whole hundreds, where scores tie.
        (565, 365, 100),
        (466, 365, 101),
        (1000, 300, 200),
        (333, 7, 3),
    ],
)
def test_best_windows_are_those_of_the_definition(num_tokens, room, step):
    starts = [0]
    while starts[-1] + room < num_tokens:
        starts.append(starts[-1] + step)
    assert num_windows(num_tokens, room, step) == len(starts)
    wanted = []
    for token in range(num_tokens):
        scores = []
        for start in starts:
            end = min(num_tokens, start + room) - 1
            inside = start <= token <= end
            length = end - start + 1
            margin = min(token - start, end - token)
            scores.append(margin + 0.01 * length if inside else -1.0)
        wanted.append(int(np.argmax(scores)))
    assert best_windows(num_tokens, room, step).tolist() == wanted


def test_a_million_tokens_do_not_take_the_square_of_it():
    best = best_windows(1_000_000, 365, 128)
    assert best[-1] == num_windows(1_000_000, 365, 128) - 1


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (question(answers=[("sang", 0)]), "not where the file says"),
        (question(answers=[("sang", 500)]), "not where the file says"),
        (question(), "no answer is given"),
    ],
)
def test_what_cannot_be_learnt_is_left_out_and_told(tokenizer, example, reason):
    windows, report = make(tokenizer, example)
    assert not windows
    assert report.num_unaligned == 1
    note = "\n".join(report.lines())
    assert reason in note
    assert "(q)" in note
    # To be evaluated it is asked all the same.
    (window,), _ = make(tokenizer, example, "evaluate")
    assert not window.is_aligned
    assert window.start_position == 0


def test_by_characters_a_wrong_start_finds_the_nearest(tokenizer):
    (window,), report = make(
        tokenizer,
        question(answers=[("sang", 3)]),
        answers_by="characters",
    )
    assert tokens_of(window)[window.start_position] == "sang"
    assert report.num_unaligned == 0


def test_questions_without_an_answer(tokenizer):
    for example in (question(is_impossible=True), question()):
        (window,), _ = make(tokenizer, example, version_2_with_negative=True)
        assert window.is_impossible
        assert (window.start_position, window.end_position) == (0, 0)


def test_of_several_answers_the_first_is_learnt(tokenizer):
    answers = [("sang", STEVE.index("sang")), ("Steve", 0)]
    (window,), report = make(tokenizer, question(answers=answers))
    assert tokens_of(window)[window.start_position] == "sang"
    assert report.num_several_answers == 1


def test_a_long_question_is_cut(tokenizer):
    (window,), report = make(
        tokenizer, question("who sang who sang"), "predict", max_query_length=3
    )
    assert tokens_of(window)[:5] == ["[CLS]", "who", "sang", "who", "[SEP]"]
    assert report.num_cut_questions == 1
    with pytest.raises(UserError, match=r"question 'q'.*no room.*raise it"):
        make(tokenizer, question("who sang who sang"), max_seq_length=7)


def test_a_context_without_tokens_has_no_row(tokenizer):
    windows, report = make(tokenizer, question(context=" \0 "), "predict")
    assert not windows
    assert report.without_tokens == ["q"]


@pytest.mark.parametrize(
    "settings",
    [{"doc_stride": 0}, {"max_seq_length": 3}, {"answers_by": "letters"}],
)
def test_settings_out_of_range(settings):
    with pytest.raises(UserError, match=f"--{next(iter(settings))}="):
        WindowSettings(**settings)


def test_texts_without_spaces_suggest_characters():
    assert suggested_answers_by([STEVE]) == "words"
    assert (
        suggested_answers_by(["我爱北京天安门，天安门上太阳升。"])
        == "characters"
    )


def test_rows_go_into_a_store(tokenizer, tmp_path):
    settings = WindowSettings(max_seq_length=10, doc_stride=2)
    maker = WindowMaker(tokenizer, settings, "evaluate")
    example = question(answers=[("sang", STEVE.index("sang"))])
    rows = ((0, row) for row in maker.rows(example))
    store = write_feature_store(tmp_path, maker.columns, rows)
    assert len(store) == 4
    batch = store.padded([0, 1])
    assert batch["segment_ids"].tolist() == [[0] * 5 + [1] * 5] * 2
    assert batch["start_position"].tolist() == [8, 6]
    assert batch["is_max_context"][1].tolist() == [0] * 6 + [1, 1, 0, 0]
    assert batch["text_end"][0, 9] == 0


# What is done where the original stops: nothing, or the question is left out.
STOPS = {"KeyError", "ValueError", "IndexError"}


@pytest.fixture(scope="session")
def cases(reference):
    return squad_reference.load(reference / "squad" / "cases.json.gz")


@pytest.fixture(scope="session")
def published(reference, write_vocabulary, tmp_path_factory):
    vocabulary = squad_reference.load(reference / "squad" / "vocabulary.json")
    path = tmp_path_factory.mktemp("squad") / "vocab.txt"
    return FullTokenizer(write_vocabulary(vocabulary, path))


def test_the_originals_cases(cases, published, tmp_path):
    num_equal = num_left_out = 0
    for case, run in itertools.product(
        cases["cases"], ("predict", "predict_v2", "train", "train_v2")
    ):
        wanted = case[run]
        if case["name"] == "no_question_key":
            assert wanted["raises"] == "KeyError"
            continue
        examples = squad_reference.examples_of(case["file"], tmp_path)
        purpose, *version = run.split("_")
        settings = squad_reference.settings_of(case, bool(version))
        maker = WindowMaker(published, settings, purpose)
        made = [maker.windows(example) for example in examples]
        if "raises" in wanted:
            assert wanted["raises"] in STOPS
            num_left_out += 1
            continue
        kept = [windows for windows in made if windows]
        rows = wanted["result"]["windows"]["result"]
        assert len(rows) == sum(map(len, kept)), case["name"]
        found = (
            (example, number, window)
            for example, windows in enumerate(kept)
            for number, window in enumerate(windows)
        )
        for row, (example, number, window) in zip(rows, found, strict=True):
            _compare_case(row, example, number, window, purpose)
            num_equal += 1
    assert (num_equal, num_left_out) == (446, 16)


def _compare_case(row, example, number, window, purpose):
    length, first = len(window.input_ids), window.first_context_token
    assert row["example_index"] == example
    assert row["doc_span_index"] == number
    assert row["input_ids"][:length] == window.input_ids
    assert not any(row["input_ids"][length:])
    words = {str(first + n): word for n, word in enumerate(window.words)}
    assert row["token_to_orig_map"] == words
    best = np.flatnonzero(window.is_max_context) + first
    assert row["token_is_max_context"] == best.tolist()
    assert bool(row["is_impossible"]) == window.is_impossible
    if purpose == "train":
        assert row["start_position"] == window.start_position
        assert row["end_position"] == window.end_position


@pytest.mark.slow
def test_whole_data_sets(shared):
    folder = shared / "reference" / "squad"
    num_windows = 0
    for name, (length, stride), purpose in itertools.product(
        squad_reference.SETS, squad_reference.SIZES, ("predict", "train")
    ):
        tokenizer = squad_reference.tokenizer_of(shared, name)
        run = folder / f"{name}_{length}_{stride}_{purpose}"
        arrays = dict(np.load(f"{run}.npz"))
        told = squad_reference.load(run.with_name(f"{run.name}.json.gz"))
        settings = WindowSettings(length, stride, 64, name == "squad2")
        maker = WindowMaker(tokenizer, settings, purpose)
        ids, rows = [], []
        examples = read_questions(folder / f"{name}.json")
        if purpose == "train":
            examples = squad_reference.with_first_answer(examples)
        for example in examples:
            made = maker.windows(example)
            rows += [(len(ids), n, window) for n, window in enumerate(made)]
            ids += [example.question_id] * bool(made)
        assert ids == told["question_ids"]
        assert len(rows) == len(arrays["input_ids"])
        begin = 0
        for number, (example, span, window) in enumerate(rows):
            row = {
                key: array[number]
                for key, array in arrays.items()
                if len(array) == len(rows)
            }
            end = begin + len(window.words)
            words = arrays["token_to_orig_map"][begin:end]
            best = arrays["token_is_max_context"][begin:end]
            assert np.array_equal(words, window.words)
            assert np.array_equal(best, window.is_max_context)
            begin = end
            _compare_row(row, number, example, span, window)
            tokens = tokenizer.convert_ids_to_tokens(window.input_ids)
            assert tokens == told["tokens"][number]
        num_windows += len(rows)
    assert num_windows == 4644


def _compare_row(row, number, example, span, window):
    length = len(window.input_ids)
    is_behind = np.arange(len(row["input_ids"])) >= length
    assert row["input_ids"][~is_behind].tolist() == window.input_ids
    assert not row["input_ids"][is_behind].any()
    assert row["input_mask"].tolist() == (~is_behind).astype(int).tolist()
    segments = window.features(["segment_ids"])["segment_ids"]
    assert np.array_equal(row["segment_ids"][~is_behind], segments)
    assert (row["example_index"], row["doc_span_index"]) == (example, span)
    assert row["unique_id"] == 1_000_000_000 + number
    assert row["map_first"] == window.first_context_token
    assert row["map_size"] == len(window.words)
    assert row["is_impossible"] == window.is_impossible
    if row["start_position"] >= 0:
        assert row["start_position"] == window.start_position
        assert row["end_position"] == window.end_position
