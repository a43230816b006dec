"""The early Chinese ALBERT (brightmart/albert_zh) as what it computes.

Its word embedding table is a product of two and its one layer has BERT's
names. The product is a table of the hidden size, and the layer one that
Google's ALBERT has under other names; so no model of its own is needed.
"""

from __future__ import annotations

import functools

import numpy as np

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

_LAYER = "bert/encoder/layer_shared/"
_FACTOR = "bert/embeddings/word_embeddings_2"
_SHARED = "bert/encoder/transformer/group_0/inner_group_0/"
_PARTS = (
    ("attention/self/", "attention_1/self/"),
    ("attention/output/dense/", "attention_1/output/dense/"),
    ("attention/output/LayerNorm/", "LayerNorm/"),
    ("intermediate/dense/", "ffn_1/intermediate/dense/"),
    ("output/dense/", "ffn_1/intermediate/output/dense/"),
    ("output/LayerNorm/", "LayerNorm_1/"),
)


def as_albert(arrays: Arrays) -> Arrays:
    """Gives the weights the names of Google's ALBERT.

    Args:
        arrays: of any checkpoint.

    Returns:
        Those of an early Chinese ALBERT under Google's names, with the word
        embeddings [V, D] in the place of their factors [V, E] and [E, D],
        computed when they are read; the optimiser's slots as they were. All
        others are returned as they are.
    """
    if names.family(arrays) != "albert_zh":
        return arrays
    entries = {_renamed(n): entry for n, entry in arrays.entries.items()}
    words, factor = (
        entries.get(names.WORD_EMBEDDINGS),
        entries.pop(_FACTOR, None),
    )
    if words is not None and factor is not None:
        entries[names.WORD_EMBEDDINGS] = Entry(
            (*words.shape[:1], *factor.shape[1:]),
            words.dtype,
            functools.partial(_product, words, factor),
        )
    return Arrays(entries)


def config_as_albert(config: BertConfig, source: str) -> BertConfig:
    """Makes the configuration that belongs to `as_albert`'s weights.

    Args:
        config: as its authors wrote it: with `embedding_size` and `ln_type`,
            without groups.
        source: what to call it.

    Raises:
        UserError: the LayerNorm stands before each part (`preln`, the
            largest model), which is not computed here.
    """
    values = config.to_dict()
    if values.pop("ln_type", "postln") != "postln":
        raise UserError(
            f"{source}: ln_type is {config.ln_type!r}; only 'postln' is "  # type: ignore[attr-defined]
            "computed here"
        )
    one_group = {
        "embedding_size": config.hidden_size,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
    }
    return BertConfig.from_dict({**values, **one_group})


def _renamed(name: str) -> str:
    if not name.startswith(_LAYER) or names.is_slot(name):
        return name
    rest = name.removeprefix(_LAYER)
    for part, shared in _PARTS:
        if rest.startswith(part):
            return _SHARED + shared + rest.removeprefix(part)
    return name


def _product(words: Entry, factor: Entry) -> Array:
    return np.matmul(words.read(), factor.read())
