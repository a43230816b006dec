"""The models of the benchmarks: sizes, and random weights for all contenders.

Drawn once from a seed and written as a Hugging Face folder, which every peer
can convert.
"""

from __future__ import annotations

import os

# TensorFlow's messages would mix with the results.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.contender_inputs import Batch
from bert_keras3 import checkpointing
from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.sentence_pooling import (
    SentencePooling,
    write_sentence_pooling,
)
from bert_keras3.finetuning import run_folder
from modeling.config import BertConfig
from tokenization.vocab import load_vocab

# What makes a shape, beside the defaults of BERT-Base. The activation is the
# exact GELU, which every peer has.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "BERT-Base": {},
    "MiniLM": {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "intermediate_size": 1536,
    },
    # To try whether everything runs.
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 512,
    },
}


def config_of(shape: str, vocab_size: int) -> BertConfig:
    """Returns the sizes of a shape."""
    return BertConfig(
        vocab_size, hidden_act="gelu_erf", type_vocab_size=2, **SHAPES[shape]
    )


def write_weights(
    folder: pathlib.Path, config: BertConfig, vocab_file: pathlib.Path
) -> None:
    """Writes random weights, unless they are there.

    Args:
        folder: to make.
        config: of the model.
        vocab_file: is copied, for peers that need one.
    """
    if folder.exists():
        return
    rng = np.random.default_rng(0)
    arrays = {
        name: (
            np.ones(shape, np.float32)
            if name.endswith("gamma")
            else rng.normal(0, 0.02, shape).astype(np.float32)
        )
        for name, shape in names.shapes(config, ("pooler",)).items()
    }
    checkpointing.write(
        folder,
        checkpointing.Checkpoint(
            in_memory(arrays), config, tuple(load_vocab(vocab_file))
        ),
        format="huggingface",
    )


def as_sentence_transformer(
    weights: pathlib.Path, folder: pathlib.Path
) -> pathlib.Path:
    """Copies weights and says that tokens are averaged, unless it is there.

    Args:
        weights: a Hugging Face folder.
        folder: to make.

    Returns:
        That folder.
    """
    if not folder.exists():
        width = checkpointing.bert_config(weights).hidden_size
        shutil.copytree(weights, folder)
        pooling = SentencePooling(("mean",), True, 512)
        write_sentence_pooling(folder, pooling, width)
    return folder


def convert_run(model_dir: pathlib.Path, folder: pathlib.Path) -> BertConfig:
    """Writes a fine-tuned classifier as a Hugging Face folder, unless there.

    Args:
        model_dir: the folder of a run.
        folder: to make.

    Returns:
        The sizes.
    """
    checkpoint = checkpointing.open(
        model_dir / run_folder.MODEL, model_dir / run_folder.CONFIG
    )
    if not folder.exists():
        checkpointing.write(folder, checkpoint, format="huggingface")
    return checkpoint.config


def useful_flops(batch: Batch, config: BertConfig, *, training: bool) -> float:
    """Returns the floating-point operations that a batch needs at least.

    2 · real tokens · layers · (4·H² + 2·H·I), three times that in training.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    a_token = 2 * config.num_hidden_layers * hidden * (4 * hidden + 2 * inner)
    return float(batch["input_mask"].sum()) * a_token * (3 if training else 1)
