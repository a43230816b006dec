"""Tells models apart that share BERT's names and not its mathematics.

NEZHA, RoFormer and others name their weights as BERT does. Loaded into a BERT
they would compute something else without an error, so they are refused with
the reason, which their weights or their configuration show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig

_POSITIONS = "bert/embeddings/position_embeddings"
# Of names that Google's have no counterpart for, Hugging Face's are kept.
_OF_ENCODER = re.compile(r"(al)?bert[/.](encoder|embeddings)[/.]")

# In an ALBERT that was trained with Keras' LayerNorm, one for each layer.
_NORM_OF_LAYER = re.compile(r"/group_\d+(_\d+)?/layer_\d+/.*normalization")

_RELATIVE = "its positions are relative, and added in every layer's attention"

# Keys of configurations: the value with which a BERT is computed, also where
# they are left out, and what others mean.
_KEYS: Mapping[str, tuple[Any, str]] = {
    "position_embedding_type": ("absolute", _RELATIVE),
    "use_relative_position": (False, f"{_RELATIVE} (NEZHA)"),
    "use_task_id": (False, "an embedding of the task is added (ERNIE)"),
    "ln_type": ("postln", "LayerNorm comes before each part of a layer"),
    "is_decoder": (False, "tokens do not see those behind them"),
    "add_cross_attention": (False, "it attends to another input"),
}


def check_computable(
    arrays: Arrays, config: BertConfig | None, source: str
) -> None:
    """Checks that a model is one that is computed here.

    Args:
        arrays: the weights under Google's names.
        config: the configuration that they are loaded with, keys that are
            none of BERT's included; None where single weights are read.
        source: the checkpoint's name, for messages.

    Raises:
        UserError: it is another architecture, with the reason. Names that are
            no BERT's or ALBERT's at all are not looked at.
    """
    reason = next(_reasons(arrays, config), None)
    if reason is not None:
        raise UserError(
            f"{source}: has the names of "
            f"{names.FAMILIES[names.family(arrays)]}, but computes something "
            f"else, which is not computed here: {reason}"
        )


def check_keys(values: Mapping[str, Any], source: str) -> None:
    """Checks a configuration alone, as `check_computable` does.

    Raises:
        UserError: it is of another architecture.
    """
    reason = next(_of_keys(values), None)
    if reason is not None:
        raise UserError(f"{source}: {reason}; this is not computed here")


def _reasons(arrays: Arrays, config: BertConfig | None) -> Iterator[str]:
    family = names.family(arrays)
    if not names.is_modelled(family):
        return
    if config is not None:
        yield from _of_keys(vars(config))
        if _POSITIONS not in arrays:
            yield (
                f"there is no {_POSITIONS}, so its positions are relative or "
                "rotary (NEZHA, RoFormer)"
            )
    yield from _of_weights(arrays, family)


def _of_keys(values: Mapping[str, Any]) -> Iterator[str]:
    for key, (ours, meaning) in _KEYS.items():
        if values.get(key, ours) not in (ours, None):
            yield f"{key} is {values[key]!r}, not {ours!r}: {meaning}"
    hidden, heads = values.get("hidden_size"), values.get("num_attention_heads")
    for key in ("attention_head_size", "attention_key_size"):
        size = values.get(key)
        if size is not None and hidden and heads and size * heads != hidden:
            yield (
                f"{key} is {size} and {heads} heads of "
                f"that size are not its hidden_size of {hidden}"
            )


def _of_weights(arrays: Arrays, family: str) -> Iterator[str]:
    for name, entry in arrays.entries.items():
        if name in arrays.slots:
            continue
        if _NORM_OF_LAYER.search(name):
            yield f"{name}: its layers share all weights but LayerNorm's"
        if name.startswith("bert/encoder/") and name.endswith("/kernel"):
            shape = list(entry.shape)
            if len(shape) != len(("in", "out")):
                yield f"{name} is {shape}: in groups, not [in, out]"
            elif name.endswith(("query/kernel", "key/kernel")) and (
                shape[0] != shape[1]
            ):
                yield (
                    f"{name} is {shape}: the size of its keys is not that of "
                    "its heads"
                )
        if entry.dtype.kind != "f" and names.is_known(name, family):
            yield (
                f"{name} is stored as {entry.dtype}, as in quantized models, "
                "and its scale is not known"
            )
        if _OF_ENCODER.match(name) and not names.is_known(name, family):
            yield f"{name} is a weight that such an encoder does not have"
