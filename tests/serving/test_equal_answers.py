"""The exported model says what --do_predict and the reloaded model say."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    TrainingChoices,
)
from bert_keras3.finetuning.texts import PREDICTIONS, TEST_TSV
from bert_keras3.serving import Predictor, export
from tokenization.packing import pack, pad

TOLERANCE = 1e-6
# Of numbers that are not between 0 and 1, float32 keeps as many digits.
TOLERANCE_OF_VALUES = 1e-5


class Silence:
    def say(self, line):
        pass

    def table(self, headers, rows, title=None):
        pass


def predicted(folder, test_file):
    """What --do_predict writes: labels, and probabilities [N, C]."""
    run(
        Job(
            output_dir=folder,
            data=DataChoices(test_file=str(test_file)),
            encoder=EncoderChoices(),
            training=TrainingChoices(),
            do_predict=True,
        ),
        Silence(),
    )
    with open(folder / PREDICTIONS, encoding="utf-8") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    return labels, np.loadtxt(folder / TEST_TSV, ndmin=2)


def by_model(folder, rows, batch_size=1):
    """What the reloaded model says of rows, in their order: [N, C]."""
    settings, model = folder.read_settings(), folder.load_model()
    tokenizer = folder.load_tokenizer()
    inputs = [
        pack(
            *(tokenizer.encode(text) for text in row),
            max_seq_length=settings.max_seq_length,
            cls_id=tokenizer.vocab["[CLS]"],
            sep_id=tokenizer.vocab["[SEP]"],
        )
        for row in rows
    ]
    scores = [
        settings.task.scores(
            model(pad(inputs[first : first + batch_size]), training=False)
        )
        for first in range(0, len(inputs), batch_size)
    ]
    return np.concatenate(scores).reshape(len(rows), -1)


def numbers(predictions):
    """Probabilities (or values) of predictions, [N, C]."""
    return np.array(
        [
            getattr(one, "probabilities", None) or [one.value]
            for one in predictions
        ]
    )


def label_cells(predictions):
    """Predictions as the label column of predictions.csv has them."""
    return [
        one.label if hasattr(one, "label") else "|".join(one.labels)
        for one in predictions
    ]


def read_texts(path, takes_pairs):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if takes_pairs:
        return [(row["text"], row["text_b"]) for row in rows]
    return [(row["text"],) for row in rows]


@pytest.mark.parametrize("name", ["single", "pairs", "several", "number"])
def test_the_three_agree(name, runs, predictors, nasty_file, tmp_path):
    folder = FinetuningFolder(tmp_path / "run")
    shutil.copytree(runs[name].path, folder.path)
    predictor = predictors[name]
    takes_pairs = predictor.description.takes_pairs
    rows = read_texts(nasty_file, takes_pairs)
    assert len(rows) == 12
    answers = predictor.predict(rows if takes_pairs else [r[0] for r in rows])
    labels, probabilities = predicted(folder.path, nasty_file)
    tolerance = TOLERANCE_OF_VALUES
    if name != "number":
        tolerance = TOLERANCE
        assert label_cells(answers) == labels
    for theirs in (probabilities, by_model(folder, rows)):
        np.testing.assert_allclose(
            numbers(answers), theirs, rtol=0, atol=tolerance
        )
    # The texts are not all the same to the model.
    assert np.ptp(probabilities, axis=0).min() > 0.1


def test_neighbours_do_not_matter(loaded, predictors, nasty_file):
    texts = [row[0] for row in read_texts(nasty_file, False)]
    alone = [
        predictors["single"].predict([text])[0] for text in reversed(texts)
    ][::-1]
    signature = loaded["single"].signatures["serving_default"]
    for chosen in (texts, texts[::-1], [*texts[3:], *texts[:3]] * 3):
        outputs = signature(text=tf.constant(chosen))
        for text, label, row in zip(
            chosen,
            outputs["label"].numpy(),
            outputs["probabilities"].numpy(),
            strict=True,
        ):
            expected = alone[texts.index(text)]
            assert label.decode() == expected.label
            np.testing.assert_allclose(
                row, expected.probabilities, rtol=0, atol=TOLERANCE
            )


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_order_is_kept_whatever_the_batch_size(
    batch_size, exported, predictors, nasty_file
):
    texts = [row[0] for row in read_texts(nasty_file, False)] * 2
    expected = predictors["single"].predict(texts)
    answers = Predictor(exported["single"], batch_size).predict(texts)
    assert [one.label for one in answers] == [one.label for one in expected]
    np.testing.assert_allclose(
        numbers(answers), numbers(expected), rtol=0, atol=TOLERANCE
    )


@pytest.mark.slow
def test_real_rows(shared, tmp_path):
    """All of a published dev file, with a real vocabulary."""
    import keras

    from bert_keras3.finetuning.run_folder import RunSettings
    from modeling import BertConfig, BertWithHeads

    rows = [
        line.rsplit("\t", 1)[0]
        for line in (shared / "datasets/sst2_glue/dev.tsv")
        .read_text("utf-8")
        .splitlines()[1:]
    ]
    test_file = tmp_path / "test.csv"
    with open(test_file, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([row] for row in rows)])
    vocab_file = shared / "vocabularies/bert-base-uncased-vocab.txt"
    config = BertConfig(
        vocab_size=30522,
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=1024,
        initializer_range=0.1,
    )
    keras.utils.set_random_seed(1)
    folder = FinetuningFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_encoder_files(config, vocab_file)
    folder.save_model(BertWithHeads(config, ["labels"], ("0", "1")))
    folder.write_settings(
        RunSettings(
            task_name="csv",
            problem="single_label",
            labels=("0", "1"),
            max_seq_length=64,
            do_lower_case=True,
            columns={"text": 0, "text_pair": None, "label": [], "id": None}
            | {"names": ["text"], "header": True},
        )
    )
    answers = Predictor(export(folder.path, tmp_path / "exported")).predict(
        rows
    )
    labels, probabilities = predicted(folder.path, test_file)
    assert [one.label for one in answers] == labels
    assert len(labels) == len(rows) > 800
    np.testing.assert_allclose(
        numbers(answers), probabilities, rtol=0, atol=TOLERANCE
    )
    np.testing.assert_allclose(
        numbers(answers),
        by_model(folder, [(row,) for row in rows], batch_size=32),
        rtol=0,
        atol=TOLERANCE,
    )
