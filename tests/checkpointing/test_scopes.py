"""Weights under other scopes than Google's, each with the names it gets."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.scopes import without_scope
from bert_keras3.safekeeping.errors import UserError
from modeling.bert import BertModel
from modeling.config import BertConfig

Writer = Callable[[dict[str, Any]], pathlib.Path]

LAYER = "encoder/layer_0/output/dense/bias"
GOOGLES = {
    f"bert/{LAYER}",
    f"bert/{LAYER}/adam_m",
    "bert/embeddings/word_embeddings",
    "bert/pooler/dense/bias",
    "cls/predictions/output_bias",
    "output_bias",
    "global_step",
}


def renamed(*found: str) -> tuple[set[str], tuple[str, ...]]:
    arrays = in_memory({name: np.ones(2, np.float32) for name in found})
    read = without_scope(arrays, "model.ckpt")
    return set(read), read.notes


@pytest.mark.parametrize(
    ("encoders", "heads"),
    [
        ("", ""),
        ("bert/bert/", ""),
        ("bert/bert/", "bert/"),
        ("module/bert/", "module/"),
        ("module/bert/", ""),
        ("a/b/bert/", "a/b/"),
        ("student/", "student/"),
        ("roberta/", ""),
    ],
)
def test_one_model_under_another_scope(encoders: str, heads: str) -> None:
    found = {
        name.replace("bert/", encoders, 1)
        if name.startswith("bert/")
        else name
        if name == "global_step"
        else heads + name
        for name in GOOGLES
    }
    names, notes = renamed(*found)
    assert names == GOOGLES
    assert notes == (
        f"the weights under {encoders or 'no scope'} are read as bert/…",
    )


def test_googles_own_names_stay() -> None:
    assert renamed(*GOOGLES) == (GOOGLES, ())
    # Whatever else is in the file.
    more = {*GOOGLES, f"bert_1/{LAYER}", "module/output_bias"}
    assert renamed(*more) == (more, ())
    assert renamed("conv/kernel") == ({"conv/kernel"}, ())


def test_of_two_models_the_one_that_is_used() -> None:
    found, (note,) = renamed(
        f"student/bert/{LAYER}",
        "student/output_bias",
        f"teacher/bert/{LAYER}",
        "teacher/output_bias",
    )
    assert found == {
        f"bert/{LAYER}",
        "output_bias",
        f"teacher/bert/{LAYER}",
        "teacher/output_bias",
    }
    assert note.endswith("those under teacher/bert/ are left aside")
    with pytest.raises(
        UserError, match=r"model\.ckpt: holds several models, under one/, two/"
    ):
        renamed(f"one/{LAYER}", f"two/{LAYER}")


def test_a_name_that_is_taken_already_is_left() -> None:
    found, _ = renamed(f"x/bert/{LAYER}", "x/output_bias", "output_bias")
    assert found == {f"bert/{LAYER}", "x/output_bias", "output_bias"}


def test_albert_under_another_scope() -> None:
    layer = "encoder/transformer/group_0/inner_group_0/LayerNorm/beta"
    assert renamed(f"module/bert/{layer}")[0] == {f"bert/{layer}"}


def test_electra_is_a_bert_with_a_mapping(
    google_folder: Writer, tmp_path: pathlib.Path
) -> None:
    config = BertConfig(
        11,
        64,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=12,
        max_position_embeddings=16,
        type_vocab_size=2,
        embedding_size=4,
    )
    model = BertModel(config)
    rng = np.random.default_rng(3)
    weights = {
        variable.path: rng.normal(size=variable.shape).astype(np.float32)
        for variable in model.weights
        if "pooler" not in variable.path
    }
    mapping = "bert/encoder/embedding_hidden_mapping_in"
    published = {
        name.replace(mapping, "electra/embeddings_project").replace(
            "bert/", "electra/", 1
        ): array
        for name, array in weights.items()
    }
    published["discriminator_predictions/dense/bias"] = np.ones(64, "f4")
    published[f"generator/{LAYER}"] = np.ones(16, np.float32)
    assert "electra/embeddings_project/kernel" in published
    folder = google_folder(published)
    # Google's has none beside it; every head has 64 values.
    (folder / "bert_config.json").unlink()
    checkpoint = checkpointing.open(folder)
    assert checkpoint.config == config
    assert any("those under generator/ are" in n for n in checkpoint.notes)
    report = checkpoint.load_into(model, ("bert/pooler",))
    assert not report.wrong_shape
    assert len(report.loaded) == len(weights)
    np.testing.assert_array_equal(
        {v.path: v for v in model.weights}[f"{mapping}/kernel"],
        weights[f"{mapping}/kernel"],
    )
