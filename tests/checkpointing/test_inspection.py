"""Descriptions of checkpoints from names and shapes."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3.checkpointing.inspection import Inspection, inspect

Writer = Callable[[dict[str, Any]], pathlib.Path]


def fit(inspection: Inspection, task: str) -> Any:
    return next(fit for fit in inspection.fits if fit.task == task)


def test_an_encoder_with_slots(
    encoder_arrays: dict[str, Any], google_folder: Writer
) -> None:
    slots = {f"{n}/adam_m": a for n, a in encoder_arrays.items()}
    folder = google_folder({**encoder_arrays, **slots})
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\na\n")
    inspection = inspect(folder)
    count = sum(array.size for array in encoder_arrays.values())
    assert inspection == Inspection(
        path=str(folder / "bert_model.ckpt"),
        format="google",
        family="bert",
        what="a BERT, as google-research/bert saves it",
        sizes={
            "vocab_size": 11,
            "hidden_size": 8,
            "intermediate_size": 12,
            "max_position_embeddings": 16,
            "type_vocab_size": 2,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
        parameters=count,
        dtypes={"float32": 39},
        heads=("pooler",),
        architecture="BertModel",
        trained_for=None,
        labels=(),
        sentence_pooling=None,
        slots=39,
        slot_parameters=count,
        vocabulary=3,
        config=inspection.config,
        fits=inspection.fits,
        notes=inspection.notes,
    )
    (note,) = inspection.notes
    assert note.startswith("3 lines of vocabulary for 11 rows of words")
    assert fit(inspection, "classification").missing == (
        "output_weights",
        "output_bias",
    )
    assert fit(inspection, "features").unused == (
        "bert/pooler/dense/bias",
        "bert/pooler/dense/kernel",
    )
    assert json.loads(json.dumps(inspection.to_dict()))["slots"] == 39


def test_a_configuration_of_another_model(
    encoder_arrays: dict[str, Any], google_folder: Writer
) -> None:
    folder = google_folder(encoder_arrays)
    path = folder / "bert_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "vocab_size": 12}))
    assert inspect(folder).notes == (
        "the configuration says vocab_size 12, the weights 11",
    )
    path.write_text("{")
    (note,) = inspect(folder).notes
    assert "bert_config.json:1: is not JSON" in note


def test_something_else(google_folder: Writer) -> None:
    inspection = inspect(google_folder({"conv/kernel": np.ones((3, 3))}))
    assert inspection.family == "unknown"
    assert inspection.parameters == 9


# Counted from the published layouts by hand: layers, embeddings, heads.
@pytest.mark.parametrize(
    ("name", "family", "parameters", "heads", "slots", "layers"),
    [
        (
            "bert_mini",
            "bert",
            11_170_560 + 66_304 + 30_522 + 514,
            ("pooler", "masked_lm", "next_sentence"),
            0,
            4,
        ),
        (
            "bert_base_chinese",
            "bert",
            102_267_648 + 592_128 + 21_128 + 1_538,
            ("pooler", "masked_lm", "next_sentence"),
            0,
            12,
        ),
        (
            "fine_tuned",
            "bert",
            102_267_648 + 8 * 768 + 8,
            ("pooler", "labels"),
            403,
            12,
        ),
        (
            "no_pooler",
            "bert",
            102_267_648 - (21_128 - 5_981) * 768 - 590_592 + 592_128 + 5_981,
            ("masked_lm",),
            0,
            12,
        ),
        (
            "albert_base",
            "albert",
            # Embeddings of width 128 and their LayerNorm, projection, one
            # group, pooler; masked-LM head of width 128; sentence order.
            (21_128 + 512 + 2) * 128
            + 256
            + 129 * 768
            + 7_087_872
            + 590_592
            + (768 * 128 + 128 + 256 + 21_128)
            + 1_538,
            ("pooler", "masked_lm", "next_sentence"),
            1,
            12,
        ),
        (
            "early_albert_tiny",
            "albert_zh",
            # The word embeddings are factorised; the rest has width 312.
            21_128 * 128
            + 128 * 312
            + 514 * 312
            + 624
            + (4 * 313 * 312 + 624 + 313 * 1_248 + 1_249 * 312 + 624)
            + 313 * 312
            + (313 * 312 + 624 + 21_128)
            + 626,
            ("pooler", "masked_lm", "next_sentence"),
            0,
            4,
        ),
    ],
)
def test_published_indexes(
    reference: pathlib.Path,
    name: str,
    family: str,
    parameters: int,
    heads: tuple[str, ...],
    slots: int,
    layers: int,
) -> None:
    inspection = inspect(reference / "checkpointing/index_only" / name)
    assert inspection.family == family
    assert inspection.parameters == parameters
    assert inspection.heads == heads
    assert inspection.slots == slots
    assert inspection.sizes["num_hidden_layers"] == layers
    assert "names and shapes only" in inspection.notes[0]
    assert not any("configuration says" in note for note in inspection.notes)
    assert not any(f.wrong_shape for f in inspection.fits)


def test_published_checkpoints(reference: pathlib.Path) -> None:
    folder = reference / "checkpointing"
    inspection = inspect(folder / "classifier")
    assert inspection.sizes["num_labels"] == 27
    assert fit(inspection, "classification") == dataclasses.replace(
        fit(inspection, "classification"), missing=(), unused=()
    )
    assert inspect(folder / "run_pretraining").slots == 2 * 46 + 1
