"""A model of a text and of columns beside it, from the file to the exports.

The label is whether the price is above 5; the text says nothing.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import random

import numpy as np
import pytest

from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.finetuning import BertTextClassifier
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving import Predictor
from bert_keras3.serving.exporter import export
from modeling import BertWithHeads

HEADER = ("id", "text", "price", "brand", "empty", "label")
FLOAT32 = {"rtol": 0, "atol": 1e-5}


def rows_of(number, seed):
    draw = random.Random(seed)
    for place in range(number):
        price = draw.choice((1, 2, 3, 4, 6, 7, 8, 9))
        text = " ".join(draw.choices(("film", "food", "very", "the"), k=4))
        label = "dear" if price > 5 else "cheap"
        shown = f"${price}" if place % 11 else ""
        yield place, text, shown, draw.choice(("Ant", "Bee", "")), "", label


def with_columns(job, folder, write_csv, **data):
    train = write_csv(folder / "train.csv", rows_of(96, 1), HEADER)
    test = write_csv(folder / "test.csv", rows_of(24, 2), HEADER)
    return dataclasses.replace(
        job,
        output_dir=folder / "out",
        do_predict=True,
        data=dataclasses.replace(
            job.data,
            train_file=str(train),
            test_file=str(test),
            **{"file": FileChoices(features=("auto",)), **data},
        ),
    )


def predictions(folder):
    with open(folder / "predictions.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(finished, tmp_path_factory, write_csv, new_screen):
    folder = tmp_path_factory.mktemp("columns")
    job, screen = with_columns(finished[0], folder, write_csv), new_screen()
    run(job, screen)
    return job, screen


def test_columns_are_learnt_from(trained):
    job, screen = trained
    assert "'empty', 'left out'" in screen.text
    rows = list(rows_of(24, 2))
    found = predictions(job.output_dir)
    right = [
        one["label"] == row[-1]
        for one, row in zip(found, rows, strict=True)
        if row[2]
    ]
    assert np.mean(right) == 1
    settings = FinetuningFolder(job.output_dir).read_settings()
    assert settings.task.extra.names == ("price", "brand")
    text = json.dumps(dataclasses.asdict(settings))
    assert '"values": ["Bee", "Ant"]' in text or '["Ant", "Bee"]' in text


def test_the_model_is_the_documented_sum(trained):
    """logits = W · [pooled; tanh(numbers · A + table[brand] + b)] + c."""
    job, _ = trained
    model = FinetuningFolder(job.output_dir).load_model()
    assert isinstance(model, BertWithHeads)
    inputs = {
        "input_ids": np.array([[2, 7, 3], [2, 8, 3]]),
        "input_mask": np.ones((2, 3), int),
        "segment_ids": np.zeros((2, 3), int),
        "numbers": np.array([[0.5, 0.0], [0.0, 1.0]], "float32"),
        "categories": np.array([[3], [0]]),
    }
    weights = {one.path: one.numpy() for one in model.weights}
    pooled = model.bert(inputs)["pooled_output"].numpy()
    columns = np.tanh(
        inputs["numbers"] @ weights["extra_columns/numbers/kernel"]
        + weights["extra_columns/categories/embeddings"][[3, 0]]
        + weights["extra_columns/bias"]
    )
    wanted = (
        np.concatenate([pooled, columns], -1) @ weights["output_weights"].T
        + weights["output_bias"]
    )
    np.testing.assert_allclose(model(inputs)["logits"], wanted, **FLOAT32)


def check_export(trained, folder, **options):
    job, _ = trained
    export(job.output_dir, folder, **options)
    items = [
        (text, {"price": price, "brand": brand})
        for _, text, price, brand, _, _ in rows_of(24, 2)
    ]
    predictor = Predictor(folder)
    found = [one.probabilities for one in predictor.predict(items)]
    wanted = [
        [float(row[f"probability_{label}"]) for label in ("cheap", "dear")]
        for row in predictions(job.output_dir)
    ]
    np.testing.assert_allclose(found, wanted, **FLOAT32)
    # A number is as good as its text, and a value that is absent is missing.
    first, second = predictor.predict(
        [
            ("the film", {"price": 7, "brand": None}),
            ("the film", {"price": "7"}),
        ]
    )
    assert first == second
    with pytest.raises(UserError, match="no column 'prize'"):
        predictor.predict([("the film", {"prize": 7})])
    with pytest.raises(UserError, match=r"must be \(text, columns\)"):
        predictor.predict(["the film"])


def test_in_a_saved_model(trained, tmp_path):
    check_export(trained, tmp_path / "export")
    check_raw_cells(trained[0], tmp_path / "export" / "1")


def check_raw_cells(job, folder):
    """Texts and cells as they are in the file, without Python."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    rows = list(rows_of(24, 2))
    found = loaded.signatures["serving_default"](
        text=tf.constant([row[1] for row in rows]),
        columns=tf.constant([[f" {row[2]}", row[3]] for row in rows]),
    )
    wanted = predictions(job.output_dir)
    assert [label.decode() for label in found["label"].numpy()] == [
        row["label"] for row in wanted
    ]
    np.testing.assert_allclose(
        found["probabilities"],
        [
            [float(row[f"probability_{label}"]) for label in ("cheap", "dear")]
            for row in wanted
        ],
        **FLOAT32,
    )


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["onnx", "litert"])
def test_in_the_other_formats(trained, tmp_path, format_name):
    pytest.importorskip(
        {"onnx": "tf2onnx", "litert": "ai_edge_litert"}[format_name]
    )
    check_export(trained, tmp_path / "export", format_name=format_name)


def test_as_an_estimator(trained):
    """A folder of the script's takes the columns by their names."""
    job, _ = trained
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(list(rows_of(24, 2)), columns=HEADER)
    found = BertTextClassifier.load(job.output_dir).predict(table)
    assert found.tolist() == [
        row["label"] for row in predictions(job.output_dir)
    ]


def test_columns_written_into_the_text(trained, tmp_path, screen):
    """The same folder serves as a checkpoint; text mode packs other tokens."""
    job, _ = trained
    other = dataclasses.replace(
        job,
        do_train=False,
        do_eval=False,
        output_dir=tmp_path / "copy",
        encoder=dataclasses.replace(
            job.encoder, init_checkpoint=str(job.output_dir)
        ),
        data=dataclasses.replace(job.data, train_file=None, file=FileChoices()),
    )
    run(other, screen)
    assert predictions(tmp_path / "copy") == predictions(job.output_dir)


@pytest.mark.slow
def test_text_mode_and_windows(trained, tmp_path, write_csv, screen):
    for name, options in (
        ("text", {"features": "text"}),
        ("windows", {"long_text": "windows"}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        job = with_columns(trained[0], folder, write_csv, **options)
        job = dataclasses.replace(
            job,
            encoder=dataclasses.replace(
                job.encoder, max_seq_length=6 if name == "windows" else 24
            ),
        )
        run(job, screen)
        found = [one["label"] for one in predictions(job.output_dir)]
        assert len(found) == 24
        predictor = Predictor(export(job.output_dir, folder / "export"))
        items = [
            (text, {"price": price, "brand": brand})
            for _, text, price, brand, _, _ in rows_of(24, 2)
        ]
        assert [one.label for one in predictor.predict(items)] == found
        if name == "text":
            check_raw_cells(job, folder / "export" / "1")


@pytest.mark.slow
def test_an_edited_cell_is_another_training(trained, screen, write_csv):
    """Two prices change places: the same texts, labels and mean price."""
    job, _ = trained
    run(job, screen)
    assert "is complete" in screen.text
    rows = [list(row) for row in rows_of(96, 1)]
    rows[1][2], rows[2][2] = rows[2][2], rows[1][2]
    assert rows != [list(row) for row in rows_of(96, 1)]
    write_csv(job.data.train_file, rows, HEADER)
    try:
        with pytest.raises(UserError, match="with other settings: the data"):
            run(job, screen)
    finally:
        write_csv(job.data.train_file, rows_of(96, 1), HEADER)


def test_mistakes(trained, tmp_path, screen, write_csv):
    job, _ = trained
    again = dataclasses.replace(job, do_train=False, do_eval=False)

    def message(**data):
        changed = dataclasses.replace(job.data, train_file=None, **data)
        with pytest.raises(UserError) as caught:
            run(dataclasses.replace(again, data=changed), screen)
        return str(caught.value)

    lacking = write_csv(
        tmp_path / "lacking.csv", [("1", "good", "3")], HEADER[:3]
    )
    assert "no column 'brand'" in message(
        test_file=str(lacking), file=FileChoices()
    )
    assert "was trained with price, brand" in message(
        file=FileChoices(features=("brand",))
    )
    assert "was trained with concat" in message(
        features="text", file=FileChoices()
    )
    with pytest.raises(UserError, match="no other format has a place"):
        convert(job.output_dir, tmp_path / "converted", Settings("huggingface"))
    new = dataclasses.replace(job, output_dir=tmp_path / "new")
    wrong = dataclasses.replace(job.data, file=FileChoices(features=("prize",)))
    with pytest.raises(UserError, match="no column 'prize'"):
        run(dataclasses.replace(new, data=wrong), screen)
    assert not (tmp_path / "new").exists()
