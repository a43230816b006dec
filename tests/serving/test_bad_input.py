"""What a caller or an exporter can get wrong: a clear error, or an answer."""

from __future__ import annotations

import json
import shutil

import pytest
import tensorflow as tf

from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import Predictor, export
from bert_keras3.serving.formats import ID_INPUTS


@pytest.fixture
def strings(loaded):
    return loaded["single"].signatures["serving_default"]


@pytest.fixture
def pairs(loaded):
    return loaded["pairs"].signatures["serving_default"]


@pytest.fixture
def ids(loaded):
    return loaded["single"].signatures["tokenized"]


# What the SavedModel itself says.


REFUSALS = (TypeError, ValueError, tf.errors.InvalidArgumentError)


@pytest.mark.parametrize("text", [[1, 2], [["a", "b"]], "a"])
def test_wrong_type_and_rank(strings, text):
    with pytest.raises(REFUSALS, match=r"string|shape|rank"):
        strings(text=tf.constant(text))


def test_wrong_type_of_ids(ids):
    with pytest.raises(REFUSALS, match="int32"):
        ids(
            input_ids=tf.constant([[1.5]]),
            input_mask=tf.constant([[1]]),
            segment_ids=tf.constant([[0]]),
        )


def test_missing_and_unknown_inputs(strings, pairs):
    with pytest.raises(TypeError, match="text_b"):
        pairs(text_a=tf.constant(["good"]))
    with pytest.raises(TypeError, match="texts"):
        strings(texts=tf.constant(["good"]))


def test_unequally_many_texts(pairs):
    for many in (["good"], ["good"] * 3):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="equally many"
        ):
            pairs(text_a=tf.constant(["a", "b"]), text_b=tf.constant(many))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_ids": [[2, 26, 3]]}, "input_ids must be from 0 to 25"),
        ({"input_ids": [[2, -1, 3]]}, "input_ids must be from 0 to 25"),
        ({"input_mask": [[1, 1, 2]]}, "input_mask must be from 0 to 1"),
        ({"segment_ids": [[0, 0, 2]]}, "segment_ids must be from 0 to 1"),
        ({"segment_ids": [[0, 0]]}, "segment_ids and .* the same shape"),
        (
            {name: [[1] * 17] for name in ID_INPUTS},
            "16 ids at most",
        ),
    ],
)
def test_ids_that_do_not_do(ids, changes, message):
    inputs = {
        "input_ids": [[2, 5, 3]],
        "input_mask": [[1, 1, 1]],
        "segment_ids": [[0, 0, 0]],
    }
    inputs = {k: tf.constant(v) for k, v in (inputs | changes).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ids(**inputs)


@pytest.mark.parametrize("name", ["single", "pairs", "several", "number"])
def test_no_text_no_answer(predictors, loaded, name):
    assert predictors[name].predict([]) == []
    signatures = loaded[name].signatures
    none = tf.zeros([0], tf.string)
    names = ["text_a", "text_b"] if name == "pairs" else ["text"]
    outputs = signatures["serving_default"](**dict.fromkeys(names, none))
    assert {len(value) for value in outputs.values()} == {0}
    nothing = tf.zeros([0, 0], tf.int32)
    outputs = signatures["tokenized"](
        input_ids=nothing, input_mask=nothing, segment_ids=nothing
    )
    assert {len(value) for value in outputs.values()} == {0}


# What is answered all the same.


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        (b"good\xff film\xe4\xb8", "good film"),
        (b"\xed\xa0\x80good film", "good film"),
        ("good\udcff film", "good film"),
        ("good film\0", "good film"),
        ("good film " + "x" * 10_000_000, "good film [UNK]"),
        ("good film " * 1_000_000, "good film " * 5),
    ],
)
def test_odd_texts(predictors, odd, plain):
    [one, other] = predictors["single"].predict([odd, plain])
    if isinstance(odd, str) and len(odd) > 1_000_000 and "x" in odd:
        # [UNK] in a text is no special token; three unknown words stand for
        # its three pieces.
        [other] = predictors["single"].predict(["good film x"])
    assert one.label == other.label
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


# What `Predictor` says.


@pytest.mark.parametrize(
    ("name", "texts", "message"),
    [
        ("single", "good film", "list of texts"),
        ("single", ["good", 5], r"number 1 .* a string.* int 5"),
        ("single", [None], "number 0 .* NoneType None"),
        ("single", [("a", "b")], "a string"),
        ("pairs", ["good film"], r"pair of strings.* str 'good film'"),
        ("pairs", [("a", "b"), ("a",)], "number 1 .* pair of strings"),
        ("pairs", [("a", None)], "pair of strings"),
    ],
)
def test_what_is_no_text(predictors, name, texts, message):
    with pytest.raises(UserError, match=message):
        predictors[name].predict(texts)


def test_no_saved_model(tmp_path):
    with pytest.raises(UserError, match="holds no exported model"):
        Predictor(tmp_path / "nowhere")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be loaded"):
        Predictor(tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "2"))
    with pytest.raises(UserError, match="no signature serving_default"):
        Predictor(tmp_path)
    with pytest.raises(UserError, match="batch_size=0"):
        Predictor(tmp_path, batch_size=0)


# What `export` says.


@pytest.fixture
def run(runs, tmp_path) -> FinetuningFolder:
    return FinetuningFolder(
        shutil.copytree(runs["single"].path, tmp_path / "run")
    )


def refused(run, tmp_path, match):
    with pytest.raises(UserError, match=match):
        export(run.path, tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("vocab.txt", r"lacks vocab.txt \(the vocabulary\)"),
        ("classifier.json", r"lacks classifier.json \(the labels"),
        ("model.keras", r"lacks model.keras \(the weights\)"),
        ("bert_config.json", "lacks bert_config.json"),
    ],
)
def test_a_missing_file_is_named(run, tmp_path, file, match):
    (run / file).unlink()
    refused(run, tmp_path, match)


def test_an_empty_folder_lacks_everything(tmp_path):
    refused(
        FinetuningFolder(tmp_path),
        tmp_path,
        "lacks model.keras.* bert_config.json.* vocab.txt.* classifier.json",
    )


def edit_settings(run, **changes):
    path = run / "classifier.json"
    fields = json.loads(path.read_text("utf-8")) | changes
    fields = {key: value for key, value in fields.items() if value is not ...}
    path.write_text(json.dumps(fields), "utf-8")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"labels": ...}, "classifier.json: .*labels"),
        ({"labels": []}, "classifier.json: names no labels"),
        ({"labels": ["a"]}, "output_weights.* labels"),
        ({"problem": "haiku"}, "'haiku'; known are single_label"),
    ],
)
def test_settings_that_do_not_do(run, tmp_path, changes, match):
    edit_settings(run, **changes)
    refused(run, tmp_path, match)


def test_the_vocabulary_of_another_model(run, tmp_path):
    path = run / "vocab.txt"
    path.write_text(path.read_text("utf-8") + "more\nwords\n", "utf-8")
    refused(run, tmp_path, "not of the same model")
    path.write_text("[PAD]\n[UNK]\n", "utf-8")
    refused(run, tmp_path, r"lacks \[CLS\]")


def test_a_failed_export_leaves_nothing(run, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bert_keras3.serving.exporter.write_saved_model", fail)
    with pytest.raises(OSError, match="No space"):
        export(run.path, tmp_path / "export")
    assert list((tmp_path / "export").iterdir()) == []
