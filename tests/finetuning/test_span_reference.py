"""Answers by spans against what the original's `run_squad.py` computed.

`tests/reference/README.md` says how the numbers came about.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.checkpointing import tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.commands import run_squad
from bert_keras3.finetuning.span import Span
from bert_keras3.optimization import create_optimizer
from bert_keras3.question_answering.windows import (
    END_POSITION,
    START_POSITION,
)
from bert_keras3.training.step import TrainStep
from modeling import BertConfig, BertWithHeads
from modeling.losses import span_loss
from tests.question_answering.squad_reference import load

RUNS = ("english", "chinese", "version_2", "cased")
INPUTS = ("input_ids", "input_mask", "segment_ids")
# The original's names are plural.
POSITIONS = {
    START_POSITION: "start_positions",
    END_POSITION: "end_positions",
}
LOGITS = ("start_logits", "end_logits")
FILES = ("predictions", "nbest_predictions", "null_odds")
PADDING = -10000.0


def arrays_of(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def model_of(folder, computed):
    """The model of a checkpoint, without dropout, with the kept head."""
    config = BertConfig.from_json_file(folder / "bert_config.json")
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = BertWithHeads(config, ["span"])
    reader = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
    for weight in model.weights:
        kept = computed.get(f"initial/{weight.path}")
        weight.assign(reader.get_tensor(weight.path) if kept is None else kept)
    # As the original computes it.
    model.unpad = False
    return model


def assert_logits(model, computed):
    inputs = {name: computed[name] for name in INPUTS}
    is_token = computed["input_mask"] == 1
    assert not is_token.all()
    padded = model(inputs)
    model.unpad = True
    unpadded = model(inputs)
    for name in LOGITS:
        np.testing.assert_allclose(padded[name], computed[name], atol=1e-5)
        ours = np.asarray(unpadded[name])
        np.testing.assert_allclose(
            ours[is_token], computed[name][is_token], atol=1e-5
        )
        np.testing.assert_array_equal(ours[~is_token], PADDING)


def assert_training(model, computed, tolerance):
    """As `finetuning.training` trains, on the one batch of the reference."""
    task = Span()
    batch = {
        name: computed[POSITIONS.get(name, name)]
        for name in (*task.inputs, *task.targets)
    }

    def loss(model, features, training):
        return task.loss(model(features, training=training), features)

    before = {weight.path: weight.numpy() for weight in model.weights}
    rate, num_steps, num_warmup_steps = computed["hyper"]
    optimizer = create_optimizer(rate, int(num_steps), int(num_warmup_steps))
    step = TrainStep(model, loss, optimizer)
    logs = [step(batch) for _ in range(int(num_steps))]
    losses = [*(log["loss"] for log in logs), loss(model, batch, False)]
    # Near 0, a loss is the difference of two numbers that are rounded.
    np.testing.assert_allclose(losses, computed["loss"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        [log["learning_rate"] for log in logs],
        computed["lr"][: len(logs)],
        rtol=1e-6,
    )
    for weight in model.weights:
        path, ours = weight.path, weight.numpy()
        kept = computed[f"final/{path}"]
        # Of some matrices each seventh row was kept.
        rows = ours if ours.shape == kept.shape else ours[::7]
        np.testing.assert_allclose(rows, kept, atol=tolerance, err_msg=path)
        if path.startswith("bert/pooler/"):  # no gradient reaches it
            np.testing.assert_array_equal(ours, before[path])
        elif ours.ndim == 2:
            distance = np.abs(ours - before[path]).max()
            assert distance > 20 * tolerance, path
    paths = ("bert/embeddings/word_embeddings", "cls/squad/output_weights")
    for path, slot in itertools.product(paths, ("adam_m", "adam_v")):
        (moment,) = (
            variable.numpy()
            for variable in optimizer.variables
            if variable.path.endswith(f"{path.split('/')[-1]}_{slot}")
        )
        kept = computed[f"final/{path}/{slot}"]
        rows = moment if moment.shape == kept.shape else moment[::7]
        np.testing.assert_allclose(rows, kept, atol=2e-6, err_msg=slot)


def test_the_loss_by_hand():
    start = np.array([[1.0, 2.0, 0.0, -1.0], [0.5, 0.5, 3.0, 0.0]], np.float32)
    end = np.array([[0.0, 0.0, 4.0, 1.0], [2.0, -2.0, 0.0, 1.0]], np.float32)
    starts, ends = np.int32([1, 2]), np.int32([2, 0])

    def cross_entropy(logits, position):
        total = sum(math.exp(logit) for logit in logits)
        return -math.log(math.exp(logits[position]) / total)

    wanted = (
        cross_entropy(start[0], 1)
        + cross_entropy(start[1], 2)
        + cross_entropy(end[0], 2)
        + cross_entropy(end[1], 0)
    ) / 4
    assert float(span_loss(start, end, starts, ends)) == pytest.approx(
        wanted, rel=1e-6
    )


def test_logits_equal_the_originals(reference):
    folder = reference / "small_bert"
    computed = arrays_of(folder / "twenty_steps_span.npz")
    assert_logits(model_of(folder, computed), computed)


def test_twenty_steps_equal_the_originals(reference):
    folder = reference / "small_bert"
    computed = arrays_of(folder / "twenty_steps_span.npz")
    assert_training(model_of(folder, computed), computed, 5e-6)


@pytest.fixture(scope="module")
def end_to_end(reference):
    """Vocabulary and runs: file, settings, and the original's answers."""
    return load(reference / "squad" / "end_to_end.json.gz")


@pytest.fixture(scope="module")
def span_model(tmp_path_factory, reference, end_to_end):
    """The small model with its head, in a folder as Google's."""
    small = reference / "small_bert"
    folder = tmp_path_factory.mktemp("span_model")
    model = model_of(small, arrays_of(small / "twenty_steps_span.npz"))
    tensor_bundle.write(
        folder / "bert_model.ckpt",
        in_memory({weight.path: weight.numpy() for weight in model.weights}),
    )
    shutil.copy(small / "bert_config.json", folder)
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in end_to_end["vocabulary"]), "utf-8"
    )
    return folder


@pytest.fixture
def answers(tmp_path):
    """A function that runs the script: {name of a file: its content}."""
    values = run_squad.COMMAND.values

    def run(folder, vocab_file, predict_file, settings, unpad):
        out = tmp_path / f"{predict_file.stem}_{unpad}"
        flags = {
            "init_checkpoint": folder / "bert_model.ckpt",
            "bert_config_file": folder / "bert_config.json",
            "vocab_file": vocab_file,
            "predict_file": predict_file,
            "do_predict": True,
            "output_dir": out,
            "unpad": unpad,
            **settings,
        }
        for name in values:
            values[name].unparse()
        values(["run_squad.py", *(f"--{n}={flags[n]}" for n in flags)])
        run_squad.main()
        return {
            name: load(out / f"{name}.json")
            for name in FILES
            if (out / f"{name}.json").exists()
        }

    return run


def assert_same_files(found, wanted):
    """Texts, keys and their order are equal, numbers almost."""
    assert list(found) == list(wanted)
    for name, content in found.items():
        texts, numbers = split(content)
        wanted_texts, wanted_numbers = split(wanted[name])
        assert texts == wanted_texts, name
        np.testing.assert_allclose(
            numbers, wanted_numbers, atol=1e-5, err_msg=name
        )


def leaves(value):
    """The texts, keys too, and the numbers of a JSON value, in order."""
    if isinstance(value, (str, float)):
        yield value
        return
    if isinstance(value, dict):
        value = (part for item in value.items() for part in item)
    for part in value:
        yield from leaves(part)


def split(value):
    """The texts and the numbers of a JSON value."""
    found = list(leaves(value))
    texts = [leaf for leaf in found if isinstance(leaf, str)]
    return texts, [leaf for leaf in found if isinstance(leaf, float)]


def check_further_entries(found, wanted):
    """Without padding, the n best are chosen among more.

    The original spends places among the n best starts and ends of a window
    on padding, of which no answer can be made. Its k-th answer is then never
    better than ours.

    Returns:
        Number of questions whose list has other entries.
    """
    assert list(found) == list(wanted)
    assert found["predictions"] == wanted["predictions"]
    num_different = 0
    for name, theirs in wanted["nbest_predictions"].items():
        ours = found["nbest_predictions"][name]
        assert len(ours) >= len(theirs)
        our_scores, their_scores = (scores(one) for one in (ours, theirs))
        more = our_scores[: len(their_scores)] - their_scores
        assert more.min() > -1e-5
        num_different += [one["text"] for one in ours] != [
            one["text"] for one in theirs
        ]
    return num_different


def scores(entries):
    """Of the entries that are answers, best first."""
    return np.array(
        [
            one["start_logit"] + one["end_logit"]
            for one in entries
            if one["text"]
        ]
    )


def written(file, folder):
    path = folder / "questions.json"
    path.write_text(json.dumps(file), "utf-8")
    return path


@pytest.mark.parametrize("name", RUNS)
def test_files_equal_the_originals(
    end_to_end, span_model, answers, tmp_path, name
):
    run = end_to_end["runs"][name]
    path = written(run["file"], tmp_path)
    vocab_file = span_model / "vocab.txt"
    found = answers(span_model, vocab_file, path, run["settings"], unpad=False)
    assert_same_files(found, run["answers"])


@pytest.mark.parametrize(
    ("name", "num_different"),
    [
        ("english", 1),
        ("version_2", 1),
        pytest.param("chinese", 0, marks=pytest.mark.slow),
        pytest.param("cased", 0, marks=pytest.mark.slow),
    ],
)
def test_without_padding_the_answers_are_the_same(
    end_to_end, span_model, answers, tmp_path, name, num_different
):
    run = end_to_end["runs"][name]
    path = written(run["file"], tmp_path)
    vocab_file = span_model / "vocab.txt"
    found = answers(span_model, vocab_file, path, run["settings"], unpad=True)
    assert check_further_entries(found, run["answers"]) == num_different


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "tolerance"),
    # The learning rate of the first is five times as high.
    [("squad/model", 5e-5), ("squad_model", 2e-5)],
)
def test_larger_references_of_the_model(shared, folder, tolerance):
    folder = shared / "reference" / folder
    computed = arrays_of(folder / "forward_squad.npz")
    assert_logits(model_of(folder, computed), computed)
    computed = arrays_of(folder / "train_squad.npz")
    assert_training(model_of(folder, computed), computed, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_different"), [("xquad_en", 9), ("squad2_v2", 0), ("cmrc", 0)]
)
def test_whole_data_sets_equal_the_originals(
    shared, answers, name, num_different
):
    reference = shared / "reference"
    folder = reference / "squad_end_to_end"
    settings = load(folder / "settings.json")
    vocab_file = reference / settings.pop("vocab")
    model = reference / settings.pop("checkpoint")
    settings["version_2_with_negative"] = name.endswith("_v2")
    path = folder / f"{name.removesuffix('_v2')}.json"
    files = {
        file.name.partition(".")[0]: file
        for file in (folder / name).glob("*.json*")
    }
    wanted = {name: load(files[name]) for name in FILES if name in files}
    given = model, vocab_file, path, settings
    assert_same_files(answers(*given, unpad=False), wanted)
    found = answers(*given, unpad=True)
    assert check_further_entries(found, wanted) == num_different
