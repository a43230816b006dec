"""A small real checkpoint with a vocabulary, and what it computes plainly."""

from __future__ import annotations

import numpy as np
import pytest

WORDS = (
    "the birds fly",
    "a",
    "",
    "they sing . " * 20,
    "今天天气很好。",
    "x ##",
)


@pytest.fixture(scope="session")
def folder(small_bert):
    """Three layers of 64, with a vocabulary."""
    return small_bert


@pytest.fixture(scope="session")
def texts():
    """Short, empty, long, Chinese."""
    return list(WORDS)


@pytest.fixture(scope="session")
def plain_layers(folder):
    """A function of a text → the vectors of its tokens, [L, S, D].

    One text at a time, and padded by two.
    """
    from bert_keras3 import checkpointing
    from modeling import BertModel

    checkpoint = checkpointing.open(folder)
    model = BertModel(checkpoint.config)
    checkpoint.load_into(model)
    tokenizer = checkpoint.tokenizer()

    def layers(text: str, max_seq_length: int = 16) -> np.ndarray:
        ids = tokenizer.encode(text)[: max_seq_length - 2]
        ids = [2, *ids, 3]
        inputs = {
            "input_ids": np.array([[*ids, 0, 0]]),
            "input_mask": np.array([[1] * len(ids) + [0, 0]]),
        }
        found = model(inputs)["all_encoder_layers"]
        return np.stack([layer[0, :-2] for layer in found])

    return layers


PLAIN_POOLING = {
    "cls": lambda layers: layers[-1][0],
    "mean": lambda layers: layers[-1].mean(0),
    "max": lambda layers: layers[-1].max(0),
    "last4": lambda layers: layers.mean((0, 1)),
    "first_last": lambda layers: (layers[0] + layers[-1]).mean(0) / 2,
    "mean_sqrt_len_tokens": lambda layers: (
        layers[-1].sum(0) / np.sqrt(layers.shape[1])
    ),
    "weightedmean": lambda layers: np.average(
        layers[-1], axis=0, weights=np.arange(1, layers.shape[1] + 1)
    ),
    "lasttoken": lambda layers: layers[-1][-1],
}


@pytest.fixture(scope="session")
def plain(plain_layers):
    """A function of texts and a way of pooling → [N, D], in NumPy."""

    def vectors(texts, pooling, max_seq_length=16):
        pool = PLAIN_POOLING[pooling]
        return np.stack(
            [pool(plain_layers(text, max_seq_length)) for text in texts]
        )

    return vectors


@pytest.fixture(scope="session")
def encoder(folder):
    """A warm encoder of it, cut to 16 tokens."""
    from bert_keras3.serving import Encoder

    return Encoder(folder, max_seq_length=16)
