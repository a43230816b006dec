"""What of a checkpoint ends up in a model."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.arrays import Entry, in_memory
from bert_keras3.checkpointing.loading import Mismatch, compare
from bert_keras3.safekeeping.errors import UserError
from modeling.bert import BertModel
from modeling.config import BertConfig

Arrays = dict[str, Any]
Writer = Callable[[Arrays], pathlib.Path]


def test_everything_is_there(
    model: BertModel, encoder_arrays: Arrays, google_folder: Writer
) -> None:
    report = checkpointing.load(model, google_folder(encoder_arrays))
    assert set(report.loaded) == set(encoder_arrays)
    for variable in model.weights:
        np.testing.assert_array_equal(
            variable.numpy(), encoder_arrays[variable.path]
        )


def test_what_is_left_over_is_reported(
    model: BertModel,
    encoder_arrays: Arrays,
    head_arrays: Arrays,
    google_folder: Writer,
) -> None:
    kernel = "bert/pooler/dense/kernel"
    folder = google_folder(
        {
            **encoder_arrays,
            **head_arrays,
            f"{kernel}/adam_m": encoder_arrays[kernel],
            f"{kernel}/adam_v": encoder_arrays[kernel],
            "global_step": np.int64(3),
        }
    )
    assert checkpointing.load(model, folder).line() == (
        f"loaded 39 of 39 weights from {folder}; missing: none; unused: "
        "cls/… (9), output_bias, output_weights; wrong shape: none; "
        "left aside: 3 values of the optimizer"
    )


def test_a_missing_weight_is_refused_and_nothing_changes(
    model: BertModel, encoder_arrays: Arrays, google_folder: Writer
) -> None:
    before = [variable.numpy() for variable in model.weights]
    arrays = dict(encoder_arrays)
    del arrays["bert/encoder/layer_1/output/dense/bias"]
    with pytest.raises(
        UserError, match=r"lacks 1 of the 39 .*layer_1/output/dense/bias"
    ):
        checkpointing.load(model, google_folder(arrays))
    for variable, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_what_may_be_missing(
    model: BertModel, encoder_arrays: Arrays, google_folder: Writer
) -> None:
    arrays = {k: v for k, v in encoder_arrays.items() if "pooler" not in k}
    folder = google_folder(arrays)
    with pytest.raises(UserError, match="lacks 2 of"):
        checkpointing.load(model, folder, allow_missing=["pooler"])
    report = checkpointing.load(model, folder, allow_missing=["bert/pooler"])
    assert report.missing == (
        "bert/pooler/dense/kernel",
        "bert/pooler/dense/bias",
    )
    with pytest.raises(UserError, match=r"'\(' is not a regular expression"):
        checkpointing.load(model, folder, allow_missing=["("])


def test_wrong_shapes_name_both_and_the_field(
    config: BertConfig, encoder_arrays: Arrays, google_folder: Writer
) -> None:
    values = {**config.to_dict(), "vocab_size": 12}
    model = BertModel(BertConfig.from_dict(values))
    with pytest.raises(
        UserError,
        match=r"word_embeddings is \[11, 8\] in the checkpoint and \[12, 8\] "
        r"in the model \(vocab_size\)",
    ):
        checkpointing.load(model, google_folder(encoder_arrays))


def test_of_a_wrong_shape_only_the_axis_that_differs_is_named() -> None:
    reported = str(Mismatch("bert/embeddings/word_embeddings", (9, 8), (9, 16)))
    assert reported.endswith(
        "[9, 16] in the model (hidden_size or embedding_size)"
    )


def test_another_number_of_labels() -> None:
    arrays = in_memory({"output_weights": np.zeros((27, 8))})
    report = compare({"output_weights": (3, 8)}, arrays, "here")
    assert report.line() == (
        "loaded 0 of 1 weights from here; missing: none; unused: none; "
        "wrong shape: output_weights"
    )


def assert_loads(prefix: pathlib.Path) -> None:
    model = BertModel(checkpointing.bert_config(prefix))
    assert checkpointing.load(model, prefix).missing == ()


@pytest.mark.parametrize(
    "name",
    [
        "checkpointing/classifier/bert_model.ckpt",
        "checkpointing/run_pretraining/bert_model.ckpt",
        "small_bert/bert_model.ckpt",
    ],
)
def test_published_checkpoints(reference: pathlib.Path, name: str) -> None:
    assert_loads(reference / name)


@pytest.mark.slow
def test_published_checkpoints_in_full(shared: pathlib.Path) -> None:
    indexes = sorted((shared / "checkpoints").glob("*/bert_model.ckpt.index"))
    assert indexes
    for index in indexes:
        assert_loads(index.with_suffix(""))


def test_comparing_reads_nothing(encoder_arrays: Arrays) -> None:
    def read() -> Any:
        raise AssertionError("an array was read")

    arrays = checkpointing.Arrays(
        {
            name: Entry(array.shape, array.dtype, read)
            for name, array in encoder_arrays.items()
        }
    )
    shapes = {name: array.shape for name, array in encoder_arrays.items()}
    assert compare(shapes, arrays, "here").missing == ()
