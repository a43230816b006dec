"""The configuration files are those of the published models."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Layers, width, heads; parameters as published, pooler included.
SIZES = {
    "tiny": (2, 128, 2, 4_385_920),
    "mini": (4, 256, 4, 11_170_560),
    "small": (4, 512, 8, 28_763_648),
    "medium": (8, 512, 8, 41_373_184),
    "base": (12, 768, 12, 109_482_240),
    "large": (24, 1024, 16, 335_141_888),
}


def read(path: pathlib.Path) -> dict[str, Any]:
    config = json.loads(path.read_text("utf-8"))
    assert isinstance(config, dict)
    return config


def parameters(config: dict[str, Any]) -> int:
    """Counts the numbers of an encoder by hand, from the paper's shapes."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    norm = 2 * width
    rows = sum(
        config[key]
        for key in ("vocab_size", "type_vocab_size", "max_position_embeddings")
    )
    attention = 4 * (width * width + width) + norm
    feed_forward = width * inner + inner + inner * width + width + norm
    layers = config["num_hidden_layers"] * (attention + feed_forward)
    pooler = width * width + width
    return rows * width + norm + layers + pooler


def test_the_folder_holds_the_published_sizes() -> None:
    names = {path.stem for path in (ROOT / "configs").iterdir()}
    assert names == {f"bert_{size}" for size in SIZES}


@pytest.mark.parametrize("size", SIZES)
def test_a_published_size(size: str) -> None:
    config = read(ROOT / "configs" / f"bert_{size}.json")
    layers, width, heads, total = SIZES[size]
    assert config == {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": 4 * width,
        "max_position_embeddings": 512,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "type_vocab_size": 2,
        "vocab_size": 30522,
    }
    assert parameters(config) == total


def test_the_default_is_base() -> None:
    base = (ROOT / "configs" / "bert_base.json").read_bytes()
    assert (ROOT / "bert_config.json").read_bytes() == base
