"""A small vocabulary, and models with random weights over it."""

from __future__ import annotations

import pathlib

import keras
import numpy as np
import pytest

from bert_keras3.mask_filling.masked_lm import MaskedLM
from bert_keras3.mask_filling.pieces import Pieces
from modeling import BertConfig, BertWithHeads
from tokenization import FullTokenizer

TOKENS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]"),
    *("un", "##wise", "##s", "idea", "a", "bad", ".", "我", "们", "##们"),
)
IDS = {token: number for number, token in enumerate(TOKENS)}


def ids_of(*tokens):
    return tuple(IDS[token] for token in tokens)


@pytest.fixture(scope="session")
def pieces() -> Pieces:
    return Pieces(FullTokenizer.from_vocab(IDS), len(TOKENS))


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory):
    """A function of heads → a Keras checkpoint with them, and its weights."""

    def make(*heads: str) -> tuple[pathlib.Path, BertWithHeads]:
        folder = tmp_path_factory.mktemp("checkpoint")
        config = BertConfig(
            vocab_size=len(TOKENS),
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=12,
            max_position_embeddings=10,
            initializer_range=0.8,  # so that the answers differ
        )
        keras.utils.set_random_seed(7)
        model = BertWithHeads(config, heads, ("no", "yes"))
        generator = np.random.default_rng(7)
        for weight in model.weights:
            weight.assign_add(generator.normal(0, 0.3, weight.shape))
        model.save(folder / "model.keras")
        (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", "utf-8")
        return folder, model

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint) -> tuple[pathlib.Path, BertWithHeads]:
    return make_checkpoint("masked_lm", "next_sentence")


@pytest.fixture(scope="session")
def model(checkpoint) -> MaskedLM:
    return MaskedLM(checkpoint[0], batch_size=3)
