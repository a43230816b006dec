"""What shares BERT's names and computes something else, told by a reason."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import huggingface
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.inspection import inspect
from bert_keras3.checkpointing.variants import check_computable
from bert_keras3.safekeeping.errors import UserError
from modeling.bert import BertModel

Weights = dict[str, Any]
Writer = Callable[[Weights], pathlib.Path]

POSITIONS = "bert/embeddings/position_embeddings"
QUERY = "bert/encoder/layer_0/attention/self/query/kernel"
ONES = np.ones((8, 8), np.float32)


@pytest.mark.parametrize(
    ("keys", "weights", "reason"),
    [
        (
            {"use_relative_position": True, "max_relative_position": 64},
            {POSITIONS: None},
            "use_relative_position is True, not False: its positions are rel",
        ),
        ({}, {POSITIONS: None}, "relative or rotary"),
        ({"ln_type": "preln"}, {}, "'preln', not 'postln': LayerNorm comes"),
        (
            {"use_task_id": True, "task_type_vocab_size": 3},
            {"bert/embeddings/task_type_embeddings": ONES},
            "an embedding of the task is added",
        ),
        (
            {},
            {"bert/embeddings/task_type_embeddings": ONES},
            "task_type_embeddings is a weight that such an encoder does not",
        ),
        ({"attention_key_size": 2}, {}, "2 heads of that size are not its"),
        ({}, {QUERY: np.ones((8, 4), "f4")}, r"\[8, 4\]: the size of its keys"),
        ({}, {QUERY: np.ones((2, 4, 8), "f4")}, r"\[2, 4, 8\]: in groups"),
        ({}, {QUERY: np.ones((8, 8), "i1")}, "is stored as int8, as in quant"),
        (
            {},
            {"bert/encoder/layer_0/adapter/bias": ONES[0]},
            "adapter/bias is a weight",
        ),
    ],
)
def test_the_reason_is_told(
    encoder_arrays: Weights,
    google_folder: Writer,
    keys: dict[str, Any],
    weights: Weights,
    reason: str,
) -> None:
    together = {**encoder_arrays, **weights}
    folder = google_folder({n: a for n, a in together.items() if a is not None})
    config = folder / "bert_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **keys}))
    with pytest.raises(UserError, match=f"computes something else.*{reason}"):
        checkpointing.open(folder)
    assert any("computes something else" in n for n in inspect(folder).notes)


def test_an_albert_whose_layers_have_norms_of_their_own() -> None:
    shared = "bert/encoder/transformer/group_0/inner_group_0/LayerNorm/beta"
    own = (
        "bert/encoder/transformer/group_0_2/layer_2/inner_group_0/"
        "layer_normalization_5/beta"
    )
    arrays = in_memory({shared: ONES[0], own: ONES[0]})
    with pytest.raises(UserError, match="normalization_5/beta: its layers"):
        check_computable(arrays, None, "model.ckpt")


def test_keys_that_say_what_is_so_anyway(
    encoder_arrays: Weights, google_folder: Writer, model: BertModel
) -> None:
    folder = google_folder({**encoder_arrays, f"{QUERY}/Momentum": ONES})
    config = folder / "bert_config.json"
    keys = {
        "use_relative_position": False,
        "ln_type": "postln",
        "position_embedding_type": "absolute",
        "use_task_id": None,
        "attention_head_size": 4,
        "directionality": "bidi",
    }
    config.write_text(json.dumps({**json.loads(config.read_text()), **keys}))
    report = checkpointing.open(folder).load_into(model)
    assert len(report.loaded) == len(encoder_arrays)


def test_ernie_of_hugging_face(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        '{"model_type": "bert", "use_task_id": true, "layer_norm_eps": 1e-5}'
    )
    with pytest.raises(UserError, match="use_task_id is True"):
        huggingface.from_json_file(path)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        # Padded for speed, cut, copied from another model, left out.
        ("vocab_size", 16),
        ("vocab_size", 7),
        ("max_position_embeddings", 512),
        ("type_vocab_size", None),
    ],
)
def test_tables_say_how_many_rows_they_have(
    encoder_arrays: Weights,
    google_folder: Writer,
    model: BertModel,
    field: str,
    said: int | None,
) -> None:
    folder = google_folder(encoder_arrays)
    path = folder / "bert_config.json"
    config = json.loads(path.read_text())
    rows = config.pop(field)
    path.write_text(json.dumps({**config, **({field: said} if said else {})}))
    checkpoint = checkpointing.open(folder)
    assert getattr(checkpoint.config, field) == rows
    (note,) = checkpoint.notes
    assert f"says {field} {said or 16}, and the table has {rows} rows" in note
    assert not checkpoint.load_into(model).missing
    # One that is given is taken at its word.
    given = checkpointing.open(folder, config_file=_copy(path))
    with pytest.raises(UserError, match=field):
        given.load_into(BertModel(given.config))


def _copy(path: pathlib.Path) -> pathlib.Path:
    copy = path.with_name("given.json")
    copy.write_text(path.read_text())
    return copy
