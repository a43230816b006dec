"""A BERT of a few hundred numbers, and ways to write it down."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert_keras3.checkpointing import tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from modeling.bert import BertModel
from modeling.config import BertConfig

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]

HEADS = {
    "cls/predictions/transform/dense/kernel": (8, 8),
    "cls/predictions/transform/dense/bias": (8,),
    "cls/predictions/transform/LayerNorm/gamma": (8,),
    "cls/predictions/transform/LayerNorm/beta": (8,),
    "cls/predictions/output_bias": (11,),
    "cls/seq_relationship/output_weights": (2, 8),
    "cls/seq_relationship/output_bias": (2,),
    "cls/squad/output_weights": (2, 8),
    "cls/squad/output_bias": (2,),
    "output_weights": (3, 8),
    "output_bias": (3,),
}


@pytest.fixture(scope="session")
def config() -> BertConfig:
    return BertConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        type_vocab_size=2,
    )


@pytest.fixture
def model(config: BertConfig) -> BertModel:
    return BertModel(config)


@pytest.fixture(scope="session")
def encoder_arrays(config: BertConfig) -> Arrays:
    """Random values for every weight of the encoder, none of them twice."""
    rng = np.random.default_rng(5)
    return {
        variable.path: rng.normal(size=variable.shape).astype(np.float32)
        for variable in BertModel(config).weights
    }


@pytest.fixture(scope="session")
def head_arrays() -> Arrays:
    rng = np.random.default_rng(6)
    return {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in HEADS.items()
    }


@pytest.fixture
def google_folder(
    tmp_path: pathlib.Path, config: BertConfig
) -> Callable[[Arrays], pathlib.Path]:
    """Writes arrays as a folder of Google's, with its configuration."""

    def write(arrays: Arrays) -> pathlib.Path:
        folder = tmp_path / "google"
        folder.mkdir()
        tensor_bundle.write(folder / "bert_model.ckpt", in_memory(arrays))
        (folder / "bert_config.json").write_text(config.to_json_string())
        return folder

    return write


@pytest.fixture(scope="session")
def unpacked(
    reference: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], pathlib.Path]:
    """Unpacks an archive of models; no test may change one."""

    def unpack(name: str) -> pathlib.Path:
        folder = tmp_path_factory.mktemp(name)
        with zipfile.ZipFile(reference / f"checkpointing/{name}.zip") as file:
            file.extractall(folder)
        return folder

    return unpack


@pytest.fixture(scope="session")
def kerashub(unpacked: Callable[[str], pathlib.Path]) -> pathlib.Path:
    """Presets that KerasHub wrote."""
    return unpacked("kerashub")


@pytest.fixture(scope="session")
def garden(unpacked: Callable[[str], pathlib.Path]) -> pathlib.Path:
    """Folders that the Model Garden wrote."""
    return unpacked("model_garden")
