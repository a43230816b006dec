"""The sizes of a model that the shapes of its weights show.

Not among them is the number of attention heads, on which no shape depends,
and, where layers share their weights, the number of layers.
"""

from __future__ import annotations

import re

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import Arrays
from modeling.config import BertConfig

_LAYER = (
    r"bert/encoder/(layer_0|layer_shared|transformer/group_0/inner_group_0)"
)

# The weight and the axis that show a size.
_SIZES = (
    ("vocab_size", r"bert/embeddings/word_embeddings", 0),
    ("embedding_size", r"bert/embeddings/word_embeddings", 1),
    ("hidden_size", rf"{_LAYER}/attention(_1)?/self/query/kernel", 0),
    (
        "intermediate_size",
        rf"{_LAYER}/(ffn_1/)?intermediate/dense/kernel",
        1,
    ),
    ("max_position_embeddings", r"bert/embeddings/position_embeddings", 0),
    ("type_vocab_size", r"bert/embeddings/token_type_embeddings", 0),
    ("num_labels", r"output_bias", 0),
)

# How many rows a table has changes nothing of what is computed.
_ROWS = ("vocab_size", "max_position_embeddings", "type_vocab_size")

# The size of an attention head in every ELECTRA that was published.
_HEAD_OF_ELECTRA = 64


def sizes_of(arrays: Arrays) -> dict[str, int]:
    """Returns the sizes that shapes show, under the configuration's names."""
    sizes = {}
    for field, pattern, axis in _SIZES:
        for name, entry in arrays.entries.items():
            if re.fullmatch(pattern, name) and len(entry.shape) > axis:
                sizes[field] = entry.shape[axis]
    if sizes.get("embedding_size") == sizes.get("hidden_size"):
        sizes.pop("embedding_size", None)
    layers = names.count_layers(arrays)
    groups, layers_of_group = names.count_groups(arrays)
    if layers:
        sizes["num_hidden_layers"] = layers
    if groups:
        sizes["num_hidden_groups"] = groups
        sizes["inner_group_num"] = layers_of_group
    return sizes


def with_rows(
    config: BertConfig, arrays: Arrays
) -> tuple[BertConfig, tuple[str, ...]]:
    """Gives a configuration the numbers of rows that the tables have.

    Configurations are copied from other models, and tables cut or padded
    afterwards. Which one is right the table shows.

    Args:
        config: as read from its file.
        arrays: the weights under Google's names.

    Returns:
        (the configuration, what was changed in it, for the user).
    """
    sizes = sizes_of(arrays)
    changed = {
        field: sizes[field]
        for field in _ROWS
        if sizes.get(field, getattr(config, field)) != getattr(config, field)
    }
    notes = tuple(
        f"the configuration says {field} {getattr(config, field)}, and the "
        f"table has {size} rows, which is taken"
        for field, size in changed.items()
    )
    if not changed:
        return config, ()
    return BertConfig.from_dict({**config.to_dict(), **changed}), notes


def config_of_electra(arrays: Arrays) -> BertConfig | None:
    """Returns the configuration of an ELECTRA, which has none beside it.

    Google publishes its weights and vocabulary alone.

    Args:
        arrays: the weights under Google's names.

    Returns:
        The configuration; None if it is no ELECTRA, or not one in which
        every head has 64 values.
    """
    sizes = sizes_of(arrays)
    hidden = sizes.get("hidden_size", 0)
    if not any(name.startswith(names.ELECTRA_HEADS) for name in arrays) or (
        not hidden or hidden % _HEAD_OF_ELECTRA
    ):
        return None
    sizes.pop("num_labels", None)
    return BertConfig.from_dict(
        {**sizes, "num_attention_heads": hidden // _HEAD_OF_ELECTRA}
    )
