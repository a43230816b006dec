"""Folders as people have them: files of one origin beside those of another."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.inputs.examples import InputExample
from modeling.bert import BertModel
from modeling.config import BertConfig

Arrays = dict[str, Any]
Writer = Callable[[Arrays], pathlib.Path]

# As ERNIE 1.0 is converted: other constants, and 36 lines fewer than rows.
ERNIE = {"hidden_act": "relu", "layer_norm_eps": 1e-5}


@pytest.fixture
def pytorch_folder(
    encoder_arrays: Arrays, google_folder: Writer, tmp_path: pathlib.Path
) -> pathlib.Path:
    """PyTorch's weights beside the configuration that Google publishes."""
    google = google_folder(encoder_arrays)
    convert(google, tmp_path / "pytorch", Settings("huggingface"))
    (tmp_path / "pytorch/config.json").unlink()
    config = (google / "bert_config.json").read_text()
    (tmp_path / "pytorch/bert_config.json").write_text(config)
    return tmp_path / "pytorch"


def test_a_bert_config_beside_weights_of_pytorch(
    pytorch_folder: pathlib.Path, config: BertConfig, encoder_arrays: Arrays
) -> None:
    checkpoint = checkpointing.open(pytorch_folder)
    # What such weights were trained with is PyTorch's GELU.
    wanted = {**config.to_dict(), "hidden_act": "gelu_erf"}
    assert checkpoint.config.to_dict() == wanted
    model = BertModel(checkpoint.config)
    assert not checkpoint.load_into(model).missing
    for variable in model.weights:
        np.testing.assert_array_equal(variable, encoder_arrays[variable.path])


@pytest.mark.slow
@pytest.mark.parametrize("is_google", [True, False])
def test_other_constants_are_computed_with(
    pytorch_folder: pathlib.Path, tmp_path: pathlib.Path, is_google: bool
) -> None:
    folder = tmp_path / "google" if is_google else pytorch_folder
    file = folder / "bert_config.json"
    said = {**json.loads(file.read_text()), **ERNIE}
    file.write_text(json.dumps({**said, "max_position_embeddings": 513}))
    checkpoint = checkpointing.open(folder)
    found = checkpoint.config.to_dict()
    assert {name: found[name] for name in ERNIE} == ERNIE
    # However many positions are said, the table has 16.
    assert found["max_position_embeddings"] == 16
    model, plain = (
        BertModel(checkpoint.config),
        BertModel(BertConfig.from_dict({**found, "layer_norm_eps": 1e-12})),
    )
    for one in (model, plain):
        checkpoint.load_into(one)
    ids = {"input_ids": np.array([[3, 5, 4]])}
    ours, other = (
        np.array(one(ids)["sequence_output"]) for one in (model, plain)
    )
    assert 0 < np.abs(ours - other).max() < 1e-3


def test_a_vocabulary_without_a_token_for_padding(
    encoder_arrays: Arrays, google_folder: Writer
) -> None:
    folder = google_folder(encoder_arrays)
    tokens = ("<S>", "<T>", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s")
    (folder / "vocab.txt").write_text("".join(f"{one}\n" for one in tokens))
    checkpoint = checkpointing.open(folder)
    encoder = TextEncoder(checkpoint.tokenizer(), 8)
    note = encoder.check(checkpoint.vocab_file, checkpoint.config.vocab_size)
    assert "has 8 tokens for `vocab_size` 11; the last 3 rows" in str(note)
    # `<S>` is no token of the model's own: its signs are words of a text.
    row = encoder.pack(InputExample("", "thes <S>"))
    assert row["input_ids"] == [3, 6, 7, 2, 2, 2, 4]
