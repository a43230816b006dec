"""What made an answer: what must hold for every method, and each kind of task.

A plain loop stands beside leave-one-out; integrated gradients are held to their
sum, and to what a model attends to that was taught one rule.
"""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from bert_keras3.commands import explain
from bert_keras3.explaining.attributions import METHODS, TOLERANCE
from bert_keras3.explaining.explainer import Explainer
from bert_keras3.finetuning.choice import LOGIT
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.inputs.extra_columns import ExtraColumn, ExtraColumns
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.tagging.decoding import decode

TEXTS = ["The film was so good and unseen.", "今天 bad", "a"]
# float32 logits of a few units.
CLOSE = {"rtol": 0, "atol": 2e-5}


@pytest.fixture(scope="module")
def folder(make_run):
    return make_run("single_label", ("blame", "praise", "neither"))


@pytest.fixture(scope="module")
def explainer(folder):
    return Explainer(folder)


@functools.cache
def opened_run(folder):
    run = FinetuningFolder(folder)
    return run.load_tokenizer().vocab, run.load_model()


def logits_of(folder, tokens, segment_ids=None):
    """By the plain forward pass."""
    vocab, model = opened_run(folder)
    ids = np.array([[vocab[token] for token in tokens]])
    segments = np.zeros_like(ids) if segment_ids is None else [segment_ids]
    return {
        name: np.asarray(value)[0]
        for name, value in model(
            {"input_ids": ids, "segment_ids": np.array(segments)}
        ).items()
    }


def test_integrated_gradients_sum_to_the_difference(explainer, folder):
    for (found,) in explainer.explain(TEXTS):
        logits = logits_of(folder, found.tokens)["logits"]
        names = ("blame", "praise", "neither")
        assert found.label == names[logits.argmax()]
        np.testing.assert_allclose(found.value, logits.max(), **CLOSE)
        masked = [
            token if token in ("[CLS]", "[SEP]") else "[MASK]"
            for token in found.tokens
        ]
        absent = logits_of(folder, masked)["logits"][logits.argmax()]
        np.testing.assert_allclose(found.absent_value, absent, **CLOSE)
        difference = found.value - found.absent_value
        assert abs(sum(found.scores) - difference) <= TOLERANCE * abs(
            difference
        )
        assert found.error <= TOLERANCE
        assert found.scores[0] == found.scores[-1] == 0


def test_another_label(explainer, folder):
    ((found,),) = explainer.explain(TEXTS[:1], label="praise")
    assert found.label == "praise"
    logits = logits_of(folder, found.tokens)["logits"]
    np.testing.assert_allclose(found.value, logits[1], **CLOSE)
    with pytest.raises(UserError, match="blame, praise, neither"):
        explainer.explain(TEXTS, label="prais")


def test_leave_one_out_equals_the_loop(explainer, folder):
    for (found,) in explainer.explain(TEXTS, method="leave_one_out"):
        logits = logits_of(folder, found.tokens)["logits"]
        chosen = logits.argmax()
        for place, token in enumerate(found.tokens):
            without = list(found.tokens)
            if token not in ("[CLS]", "[SEP]"):
                without[place] = "[MASK]"
            lost = logits[chosen] - logits_of(folder, without)["logits"][chosen]
            np.testing.assert_allclose(found.scores[place], lost, **CLOSE)


def test_gradient_x_input_is_the_end_of_the_way(explainer):
    """Near the end of the way, the score changes as the gradient says."""
    from modeling.embeddings import changed_word_vectors

    ((found,),) = explainer.explain(TEXTS[:1], method="gradient_x_input")
    vocab, model = opened_run(explainer.folder)
    ids = np.array([[vocab[token] for token in found.tokens]])
    absent = np.where(np.isin(ids, [2, 3]), ids, vocab["[MASK]"])
    present, gone = (model.bert.word_embeddings(one) for one in (ids, absent))
    chosen = ("blame", "praise", "neither").index(found.label)

    def logit(share):
        vectors = gone + share * (present - gone)
        with changed_word_vectors(lambda _: vectors):
            return float(model({"input_ids": ids})["logits"][0, chosen])

    step = 1e-2
    slope = (logit(1 + step) - logit(1 - step)) / (2 * step)
    # A central difference in float32.
    np.testing.assert_allclose(sum(found.scores), slope, rtol=5e-3)


@pytest.mark.slow
def test_pairs_several_labels_and_values(make_run):
    pairs = Explainer(make_run("single_label", ("no", "yes"), True))
    ((found,),) = pairs.explain([("the film", "was good")])
    assert found.segment_ids == (0, 0, 0, 0, 1, 1, 1)
    several = Explainer(make_run("multi_label", ("price", "taste", "place")))
    (found,) = several.explain(["the film was good"])
    folder = several.folder
    logits = logits_of(folder, found[0].tokens)["logits"]
    wanted = [
        name
        for name, logit in zip(several.task.labels, logits, strict=True)
        if logit > 0
    ] or [several.task.labels[logits.argmax()]]
    assert [one.label for one in found] == wanted
    number = Explainer(make_run("regression", ("score",)))
    ((found,),) = number.explain(["the film was good"])
    assert found.label == "score"
    assert found.error <= TOLERANCE


def test_questions(make_run):
    folder = make_run("span", ())
    explainer = Explainer(folder)
    ((found,),) = explainer.explain([("was it good", "the film was so good")])
    assert found.label == "answer"
    logits = logits_of(folder, found.tokens, found.segment_ids)
    context = [
        place
        for place, token in enumerate(found.tokens)
        if found.segment_ids[place] and token != "[SEP]"
    ]
    best = max(
        (logits["start_logits"][a] + logits["end_logits"][b], a, b)
        for a in context
        for b in context
        if a <= b
    )
    np.testing.assert_allclose(found.value, best[0], **CLOSE)
    assert found.places == tuple(range(best[1], best[2] + 1))
    assert found.error <= TOLERANCE


def test_entities(make_run):
    tags = ("O", "B-PER", "I-PER")
    folder = make_run("tagging", tags)
    explainer = Explainer(folder)
    text = "the film was unseen and good"
    (found,) = explainer.explain([text])
    # The tags that the scheme allows: I-PER only behind a tag of PER.
    logits = logits_of(folder, found[0].tokens)["logits"]
    offsets = np.array([0, 6])
    # "unseen" is two pieces, the first of which has its tag.
    words = np.array([1, 2, 3, 4, 6, 7])
    chosen = decode(logits[words], offsets, explainer.task.tags)
    is_entity = [tags[one] != "O" for one in chosen]
    places = [place for one in found for place in one.places]
    assert places == words[is_entity].tolist()
    best = dict(zip(words.tolist(), chosen.tolist(), strict=True))
    for one in found:
        assert one.label == "PER"
        wanted = sum(logits[place, best[place]] for place in one.places)
        np.testing.assert_allclose(one.value, wanted, **CLOSE)
        assert one.error <= TOLERANCE


def test_choices(make_run):
    folder = make_run("choice", LOGIT)
    choices = ("was bad", "is a film", "so good")
    ((found,),) = Explainer(folder).explain([("it", choices)])
    logits = [
        logits_of(
            folder,
            ["[CLS]", "it", "[SEP]", *one.split(), "[SEP]"],
            [0, 0, 0, *[1] * (len(one.split()) + 1)],
        )["logits"][0]
        for one in choices
    ]
    np.testing.assert_allclose(found.value, max(logits), **CLOSE)
    best = choices[int(np.argmax(logits))]
    assert " ".join(found.tokens[3:-1]) == best


LONG = "the film was so good and it is a film " * 3


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "pooling",
    [
        "mean",
        pytest.param("max", marks=SLOW),
        pytest.param("attention", marks=SLOW),
    ],
)
def test_windows_are_explained_together(make_run, pooling):
    """Each word once, whose part is that of all windows it stands in."""
    labels = ("blame", "praise")
    options = {"long_text": "windows", "window_pooling": pooling}
    folder = make_run("single_label", labels, **options)
    explainer = Explainer(folder)
    ((found,),) = explainer.explain([LONG])
    assert found.tokens == ("[CLS]", *LONG.split(), "[SEP]")
    assert found.error <= TOLERANCE

    def logit(without=None):
        """Pooled by hand, perhaps without one word of the text."""
        words = LONG.split()
        if without is not None:
            words[without] = "[MASK]"
        # 14 of 30 words each, a new window every 10.
        rows = [["[CLS]", *words[k : k + 14], "[SEP]"] for k in (0, 10, 20)]
        computed = [logits_of(folder, row) for row in rows]
        logits = np.stack([one["logits"] for one in computed])
        if pooling == "max":
            pooled = logits.max(0)
        elif pooling == "mean":
            pooled = logits.mean(0)
        else:
            weights = np.exp([one["window_logits"] for one in computed])
            pooled = weights.reshape(-1) / weights.sum() @ logits
        assert without or labels[pooled.argmax()] == found.label
        return pooled[labels.index(found.label)]

    np.testing.assert_allclose(found.value, logit(), **CLOSE)
    ((plain,),) = explainer.explain([LONG], "leave_one_out")
    # The eleventh word is in two windows.
    for place in (0, 11, 29):
        lost = logit() - logit(place)
        np.testing.assert_allclose(plain.scores[1 + place], lost, **CLOSE)


def test_the_shorter_text_of_a_pair_is_explained_once(make_run):
    """It stands in every window of the longer one."""
    options = {"long_text": "windows"}
    folder = make_run("single_label", ("no", "yes"), True, **options)
    ((found,),) = Explainer(folder).explain(
        [("so good", LONG)], "gradient_x_input"
    )
    words = LONG.split()
    assert found.tokens == ("[CLS]", "so", "good", "[SEP]", *words, "[SEP]")
    assert found.segment_ids == (0,) * 4 + (1,) * 31


COLUMNS = ExtraColumns(
    (
        ExtraColumn("price", "number", mean=10.0, deviation=2.0),
        ExtraColumn("brand", "category", values=("Ant", "Bee")),
        ExtraColumn("new", "boolean", mean=0.5, deviation=0.5),
    )
)


def test_columns_beside_the_text(make_run):
    """A column that is absent is a mean: of the numbers, of the vectors."""
    options = {"feature_columns": COLUMNS.to_json()}
    folder = make_run("single_label", ("blame", "praise"), **options)
    explainer = Explainer(folder)
    given = {"price": 13.0, "brand": "Bee", "new": "no"}
    ((found,),) = explainer.explain([("so good", given)])
    assert found.columns == (("price", "13.0"), ("brand", "Bee"), ("new", "no"))
    assert found.error <= TOLERANCE
    vocab, model = opened_run(folder)
    table = np.asarray(model.extra.categories.embeddings)

    def logit(price=1.5, brand=table[3], new=-1.0, words=("so", "good")):
        ids = [[vocab[one] for one in ("[CLS]", *words, "[SEP]")]]
        numbers = np.array([[price, 0, new, 0]], np.float32)
        vectors = {"numbers": numbers, "categories": brand[None, None]}
        logits = np.asarray(
            model({"input_ids": np.array(ids), **vectors})["logits"]
        )
        return logits[0, ("blame", "praise").index(found.label)]

    means = {"price": 0.0, "brand": table[2:].mean(0), "new": 0.0}
    masked = ("[MASK]", "[MASK]")
    np.testing.assert_allclose(found.value, logit(), **CLOSE)
    absent = logit(**means, words=masked)
    np.testing.assert_allclose(found.absent_value, absent, **CLOSE)
    total = sum(found.scores) + sum(found.column_scores)
    difference = found.value - found.absent_value
    assert abs(total - difference) <= TOLERANCE * abs(difference)
    ((plain,),) = explainer.explain([("so good", given)], "leave_one_out")
    lost = [logit() - logit(**{name: mean}) for name, mean in means.items()]
    np.testing.assert_allclose(plain.column_scores, lost, **CLOSE)
    lost = logit() - logit(words=("[MASK]", "good"))
    np.testing.assert_allclose(plain.scores[1], lost, **CLOSE)


@pytest.fixture(scope="module")
def taught(make_run):
    """A model that was taught that a text with `good` in it is praise."""
    import keras
    import tensorflow as tf

    from tests.explaining.conftest import FILLERS

    folder = make_run("single_label", ("blame", "praise"))
    run = FinetuningFolder(folder)
    vocab = run.load_tokenizer().vocab
    config = run.load_model().bert.config
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config.initializer_range = 0.1
    from modeling import BertWithHeads

    keras.utils.set_random_seed(5)
    model = BertWithHeads(config, ["labels"], ("blame", "praise"))
    rng = np.random.default_rng(7)
    fillers = [vocab[one] for one in (*FILLERS, "[MASK]", "bad")]
    ids = rng.choice(fillers, (64 * 40, 8))
    targets = rng.integers(0, 2, len(ids))
    rows = np.flatnonzero(targets)
    ids[rows, rng.integers(1, 7, len(rows))] = vocab["good"]
    ids[:, 0], ids[:, -1] = vocab["[CLS]"], vocab["[SEP]"]
    optimizer = keras.optimizers.Adam(5e-3)

    @tf.function
    def step(ids, targets):
        with tf.GradientTape() as tape:
            logits = model({"input_ids": ids}, training=True)["logits"]
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    for first in range(0, len(ids), 64):
        chosen = slice(first, first + 64)
        loss = step(
            tf.constant(ids[chosen], tf.int32),
            tf.constant(targets[chosen], tf.int32),
        )
    assert float(loss) < 0.05
    run.save_model(model)
    return folder


@pytest.mark.parametrize("method", ["integrated_gradients", "leave_one_out"])
def test_the_word_that_decides_and_those_that_do_not(taught, method):
    explainer = Explainer(taught)
    ((found,),) = explainer.explain(
        ["the film was so good and it"], method=method, label="praise"
    )
    scores = dict(zip(found.tokens, found.scores, strict=True))
    assert scores.pop("good") > 1
    # Words that were never of any use get about nothing. (The gradient at the
    # text itself does, too: the model is sure, and nothing changes that.)
    assert max(map(abs, scores.values())) < 0.2 * max(found.scores)


def run_job(**settings):
    """Returns what is said."""
    from rich.console import Console

    from bert_keras3.commands.screen import Screen
    from bert_keras3.explaining.explanation_job import run
    from bert_keras3.explaining.settings import ExplainJob

    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    run(ExplainJob(**settings), Screen(console))
    return console.file.getvalue()


def test_files_and_mistakes(taught, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("the film was good\nso bad\n", "utf-8")
    path = tmp_path / "why.jsonl"
    given = {"model_dir": str(taught), "input_file": str(texts)}
    run_job(**given, output_file=str(path))
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["label"] for line in lines] == ["praise", "blame"]
    assert lines[0]["tokens"][np.argmax(lines[0]["scores"])] == "good"
    with pytest.raises(UserError, match="exists and is not overwritten"):
        run_job(**given, output_file=str(path))
    with pytest.raises(UserError, match=r"must end in \.html or \.jsonl"):
        run_job(**given, output_file="why.txt")
    with pytest.raises(UserError, match="give --text or --input_file"):
        run_job(**given, text="both")


@pytest.mark.slow
def test_the_command_prints_in_colour(taught, monkeypatch, capsys):
    said = run_job(model_dir=str(taught), text="so good")
    assert "praise: logit" in said
    assert "\x1b[" in said
    arguments = ["explain.py", f"--model_dir={taught}", "--text=so good"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as caught:
        explain.command()
    assert caught.value.code == 0
    assert "[CLS] so good [SEP]" in capsys.readouterr().out


HOSTILE = "</script><b>good</b> </textarea> film"


def test_the_page_in_a_browser(taught, tmp_path, opened):
    texts = tmp_path / "texts.txt"
    texts.write_text(f"{HOSTILE}\nso bad\n今天 good\n", "utf-8")
    path = tmp_path / "why.html"
    run_job(model_dir=str(taught), input_file=str(texts), output_file=str(path))
    page = opened(path)
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    def find(selector):
        return page.find_elements(By.CSS_SELECTOR, selector)

    assert len(find("article")) == 3
    assert find("article b, article textarea") == []
    first = find("article")[0].find_elements(By.CSS_SELECTOR, ".tokens span")
    scores = [float(one.get_attribute("title")) for one in first]
    assert first[int(np.argmax(scores))].text == "good"
    Select(page.find_element(By.ID, "label")).select_by_value("blame")
    assert len(find("article")) == 1
    Select(page.find_element(By.ID, "label")).select_by_value("")
    page.find_element(By.ID, "search").send_keys("今")
    assert len(find("article")) == 1
    assert page.find_element(By.ID, "count").text == "1 of 3"


@pytest.mark.slow
def test_without_its_top_words_an_answer_is_lost_sooner(shared, root, tmp_path):
    """On reviews of meals: a fifth of the words, the top ones or any others."""
    import csv

    with open(
        shared / "datasets/waimai_10k/waimai_10k.csv", encoding="utf-8"
    ) as file:
        rows = list(csv.reader(file))[1:]
    rng = np.random.default_rng(0)
    rows = [rows[number] for number in rng.permutation(len(rows))[:4100]]
    with open(tmp_path / "train.csv", "w", encoding="utf-8") as file:
        csv.writer(file).writerows([("label", "text"), *rows[100:]])
    config = {
        "vocab_size": 21128,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    vocab_file = shared / "vocabularies/bert-base-chinese-vocab.txt"
    flags = (
        "--do_train",
        f"--train_file={tmp_path}/train.csv",
        f"--bert_config_file={tmp_path}/config.json",
        f"--vocab_file={vocab_file}",
        f"--output_dir={tmp_path}/out",
        "--max_seq_length=64",
        "--learning_rate=1e-3",
        "--num_train_epochs=3",
    )
    subprocess.run(
        [sys.executable, str(root / "run_classifier.py"), *flags],
        check=True,
        capture_output=True,
    )
    explainer = Explainer(tmp_path / "out")
    vocab, model = opened_run(tmp_path / "out")

    def probability(found, without):
        """Of the label, where some tokens are [MASK]."""
        tokens = [
            "[MASK]" if place in without else token
            for place, token in enumerate(found.tokens)
        ]
        ids = np.array([[vocab[token] for token in tokens]])
        logits = np.asarray(model({"input_ids": ids})["logits"])[0]
        odds = np.exp(logits - logits.max())
        return odds[explainer.task.labels.index(found.label)] / odds.sum()

    texts = [text for _, text in rows[:100] if len(text) >= 15]
    for method in METHODS:
        top, others = [], []
        for (found,) in explainer.explain(texts, method):
            count = len(found.tokens) // 5
            order = np.argsort(found.scores)[::-1]
            before = probability(found, ())
            top.append(before - probability(found, set(order[:count])))
            places = np.arange(1, len(found.tokens) - 1)
            for _ in range(5):
                some = set(rng.choice(places, count, replace=False))
                others.append(before - probability(found, some))
        # Seen: 0.51, 0.40 and 0.50 against 0.03.
        assert np.mean(top) > 3 * np.mean(others), method
