"""Hugging Face's folders: names, layouts, number formats, configurations."""

from __future__ import annotations

import json
import pathlib
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from bert_keras3 import checkpointing
from bert_keras3.safekeeping.errors import UserError

QUERY = "encoder.layer.0.attention.self.query.weight"
QUERY_HERE = "bert/encoder/layer_0/attention/self/query/kernel"
TABLE = "embeddings.word_embeddings.weight"
TABLE_HERE = "bert/embeddings/word_embeddings"


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_kernels_are_transposed_and_tables_are_not(
    tmp_path: pathlib.Path,
) -> None:
    tensors = {f"bert.{QUERY}": numbers(2, 3), f"bert.{TABLE}": numbers(4, 2)}
    save_file(tensors, tmp_path / "model.safetensors")
    arrays = checkpointing.read(tmp_path)
    assert arrays.shape(QUERY_HERE) == (3, 2)
    assert arrays[QUERY_HERE].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert arrays[TABLE_HERE].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_bare_encoder_with_a_head(tmp_path: pathlib.Path) -> None:
    tensors = {
        TABLE: numbers(4, 2),
        QUERY: numbers(2, 2),
        "embeddings.position_ids": np.arange(4)[None],
        "classifier.weight": numbers(3, 2),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert set(checkpointing.read(tmp_path)) == {
        TABLE_HERE,
        QUERY_HERE,
        "output_weights",
    }


def test_tied_weights_appear_once(tmp_path: pathlib.Path) -> None:
    tensors = {
        f"bert.{TABLE}": numbers(4, 2),
        "cls.predictions.decoder.weight": numbers(4, 2),
        "cls.predictions.bias": numbers(4),
        "cls.predictions.decoder.bias": numbers(4),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert set(checkpointing.read(tmp_path)) == {
        TABLE_HERE,
        "cls/predictions/output_bias",
    }


def test_unknown_names_are_kept(tmp_path: pathlib.Path) -> None:
    save_file({"bert.adapter.weight": numbers(2)}, tmp_path / "a.safetensors")
    assert set(checkpointing.read(tmp_path)) == {"bert.adapter.weight"}


@pytest.mark.parametrize(
    ("stored", "dtype"), [("BF16", ml_dtypes.bfloat16), ("F16", np.float16)]
)
def test_half_precision_is_widened(
    tmp_path: pathlib.Path, stored: str, dtype: Any
) -> None:
    values = np.array([1.5, -0.25], dtype)
    header = {
        f"bert.{TABLE}": {
            "dtype": stored,
            "shape": [2, 1],
            "data_offsets": [0, 4],
        }
    }
    path = tmp_path / "model.safetensors"
    path.write_bytes(_safetensors(header, values.tobytes()))
    array = checkpointing.read(path)[TABLE_HERE]
    assert array.dtype == np.float32
    assert array.tolist() == [[1.5], [-0.25]]


def test_shards(tmp_path: pathlib.Path) -> None:
    first, second = (
        f"model-0000{number}-of-00002.safetensors" for number in (1, 2)
    )
    save_file({f"bert.{TABLE}": numbers(4, 2)}, tmp_path / first)
    save_file({f"bert.{QUERY}": numbers(2, 2)}, tmp_path / second)
    weight_map = {f"bert.{TABLE}": first, f"bert.{QUERY}": second}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert set(checkpointing.read(tmp_path)) == {TABLE_HERE, QUERY_HERE}
    (tmp_path / second).unlink()
    with pytest.raises(UserError, match=r"model-00002.*no such file"):
        checkpointing.read(tmp_path)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/x", "a\\b"])
def test_shards_outside_the_folder_are_refused(
    tmp_path: pathlib.Path, name: str
) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(UserError, match="is not the name of a file beside"):
        checkpointing.read(tmp_path)


HEADER = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
FAR = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [64, 72]}}
HUGE = {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 8]}}


def _safetensors(header: object, data: bytes) -> bytes:
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text" * 20,
        struct.pack("<Q", 1 << 62) + b"{}",
        _safetensors(HEADER, b"1234"),
        _safetensors(FAR, b"12345678"),
        _safetensors(HUGE, b"12345678"),
    ],
)
def test_damaged_files(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a safetensors file"):
        checkpointing.read(tmp_path)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("gelu", "gelu_erf"),
        ("gelu_new", "gelu"),
        ("gelu_pytorch_tanh", "gelu"),
        ("relu", "relu"),
    ],
)
def test_activation_keeps_its_numbers(
    tmp_path: pathlib.Path, there: str, here: str
) -> None:
    config = _config(tmp_path, model_type="bert", hidden_act=there)
    assert config.hidden_act == here


def test_defaults_are_those_of_transformers(tmp_path: pathlib.Path) -> None:
    config = _config(tmp_path, model_type="bert", hidden_size=24)
    assert config == _config(tmp_path, hidden_size=24)  # before there was one
    assert config.hidden_size == 24
    assert config.type_vocab_size == 2
    assert config.vocab_size == 30522


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "roberta"),
        ("model_type", {}),
        ("hidden_act", {}),
        ("position_embedding_type", "relative_key"),
        ("layer_norm_eps", 0),
        ("hidden_act", "silu"),
        ("tie_word_embeddings", False),
        ("hidden_size", 7),
    ],
)
def test_what_is_not_computed_is_refused(
    tmp_path: pathlib.Path, key: str, value: object
) -> None:
    with pytest.raises(UserError, match=rf"config\.json: .*{key}.*{value}"):
        _config(tmp_path, **{key: value})


def test_others_are_refused_with_the_reason(tmp_path: pathlib.Path) -> None:
    with pytest.raises(
        UserError, match=r"'roberta'.*positions that begin at 2"
    ):
        _config(tmp_path, model_type="roberta")
    with pytest.raises(UserError, match=r"'gpt2'.* are read$"):
        _config(tmp_path, model_type="gpt2")


def test_broken_config_names_the_line(tmp_path: pathlib.Path) -> None:
    save_file({"a": numbers(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{\n"vocab_size": ,}')
    with pytest.raises(UserError, match=r"config\.json:2: is not JSON"):
        checkpointing.bert_config(tmp_path)


def _config(folder: pathlib.Path, **values: object) -> Any:
    save_file({"a": numbers(1)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(values))
    return checkpointing.bert_config(folder)
