"""What the weights of a BERT are called, and their axes: the one table.

Google's variable names are the names of this program; `huggingface`
translates to and from them by this table, `inspection` and the writers ask it
what a model consists of.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from modeling.config import BertConfig

WORD_TABLE = "bert/embeddings/word_embeddings"
MASKED_LM_BIAS = "cls/predictions/output_bias"


@dataclasses.dataclass(frozen=True)
class Weight:
    """One row of the table.

    Attributes:
        google: its name; `{n}` stands for a layer's number.
        huggingface: its name there.
        axes: a number, or the field of the configuration it comes from.
    """

    google: str
    huggingface: str
    axes: tuple[int | str, ...]


def _dense(
    google: str, huggingface: str, inner: str, outer: str
) -> tuple[Weight, ...]:
    """A kernel [in, out] here, a weight [out, in] there."""
    return (
        Weight(f"{google}/kernel", f"{huggingface}.weight", (inner, outer)),
        Weight(f"{google}/bias", f"{huggingface}.bias", (outer,)),
    )


def _norm(google: str, huggingface: str) -> tuple[Weight, ...]:
    return (
        Weight(f"{google}/gamma", f"{huggingface}.weight", ("hidden_size",)),
        Weight(f"{google}/beta", f"{huggingface}.bias", ("hidden_size",)),
    )


def _output(
    google: str, huggingface: str, classes: int | str
) -> tuple[Weight, ...]:
    return (
        Weight(
            f"{google}output_weights",
            f"{huggingface}.weight",
            (classes, "hidden_size"),
        ),
        Weight(f"{google}output_bias", f"{huggingface}.bias", (classes,)),
    )


_G = "bert/encoder/layer_{n}"
_H = "bert.encoder.layer.{n}"
_D, _I = "hidden_size", "intermediate_size"

WEIGHTS = (
    Weight(
        WORD_TABLE,
        "bert.embeddings.word_embeddings.weight",
        ("vocab_size", _D),
    ),
    Weight(
        "bert/embeddings/token_type_embeddings",
        "bert.embeddings.token_type_embeddings.weight",
        ("type_vocab_size", _D),
    ),
    Weight(
        "bert/embeddings/position_embeddings",
        "bert.embeddings.position_embeddings.weight",
        ("max_position_embeddings", _D),
    ),
    *_norm("bert/embeddings/LayerNorm", "bert.embeddings.LayerNorm"),
    *_dense(f"{_G}/attention/self/query", f"{_H}.attention.self.query", _D, _D),
    *_dense(f"{_G}/attention/self/key", f"{_H}.attention.self.key", _D, _D),
    *_dense(f"{_G}/attention/self/value", f"{_H}.attention.self.value", _D, _D),
    *_dense(
        f"{_G}/attention/output/dense", f"{_H}.attention.output.dense", _D, _D
    ),
    *_norm(
        f"{_G}/attention/output/LayerNorm", f"{_H}.attention.output.LayerNorm"
    ),
    *_dense(f"{_G}/intermediate/dense", f"{_H}.intermediate.dense", _D, _I),
    *_dense(f"{_G}/output/dense", f"{_H}.output.dense", _I, _D),
    *_norm(f"{_G}/output/LayerNorm", f"{_H}.output.LayerNorm"),
    *_dense("bert/pooler/dense", "bert.pooler.dense", _D, _D),
    *_dense(
        "cls/predictions/transform/dense",
        "cls.predictions.transform.dense",
        _D,
        _D,
    ),
    *_norm(
        "cls/predictions/transform/LayerNorm",
        "cls.predictions.transform.LayerNorm",
    ),
    Weight(MASKED_LM_BIAS, "cls.predictions.bias", ("vocab_size",)),
    *_output("cls/seq_relationship/", "cls.seq_relationship", 2),
    *_output("cls/squad/", "qa_outputs", 2),
    *_output("", "classifier", "num_labels"),
)

# What may stand on top of the layers, by the beginning of its names.
HEADS: Mapping[str, str] = {
    "pooler": "bert/pooler/",
    "masked_lm": "cls/predictions/",
    "next_sentence": "cls/seq_relationship/",
    "span": "cls/squad/",
    "labels": "output_",
}

# Whose names they are, by what only theirs have; in words for messages.
_FAMILY_MARKS = (
    ("albert", re.compile(r"bert/encoder/transformer/group_\d+/")),
    ("albert_zh", re.compile(r"bert/encoder/layer_shared/")),
    ("bert", re.compile(r"bert/encoder/layer_\d+/")),
)
FAMILIES: Mapping[str, str] = {
    "bert": "a BERT",
    "albert": "an ALBERT, whose layers share their weights in groups",
    "albert_zh": (
        "an early Chinese ALBERT (`layer_shared`, `word_embeddings_2`)"
    ),
    "unknown": "no BERT: it has no weights named bert/encoder/…",
}

# A second name for an array that the table has under its first one: the word
# table and its bias as the masked-LM head sees them.
HUGGINGFACE_TIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}

# Constants that some files hold beside the weights.
HUGGINGFACE_BUFFERS = re.compile(
    r"(^|\.)embeddings\.(position|token_type)_ids$"
)

_TO_HUGGINGFACE = {row.google: row.huggingface for row in WEIGHTS}
_FROM_HUGGINGFACE = {row.huggingface: row.google for row in WEIGHTS}

# How files of before 2020 call a LayerNorm's weights.
_OLD_NORMS = (
    ("LayerNorm.gamma", "LayerNorm.weight"),
    ("LayerNorm.beta", "LayerNorm.bias"),
)

# What optimisers of the original and of its relatives keep beside the
# weights: moments named after the variable, and counters at the root.
_SLOT = re.compile(
    r"(.+/)?(adam_[mv]|lamb_[mv]|Adam(_1)?|AdamWeightDecayOptimizer(_1)?"
    r"|LAMBOptimizer(_1)?)"
    r"|global_step|beta[12]_power|optimizer/vars/\d+"
)

_LAYER_NUMBER = re.compile(r"(?<=encoder[/.]layer[_.])\d+(?=[/.])")


def is_slot(name: str) -> bool:
    """Tells optimiser state (`…/adam_m`, `global_step`) from weights."""
    return _SLOT.fullmatch(name) is not None


def is_transposed(name: str) -> bool:
    """Whether Hugging Face stores the array `name` as [out, in].

    Args:
        name: Google's name.
    """
    return name.endswith("/kernel")


def to_huggingface(name: str) -> str | None:
    """Translates Google's name; None if Hugging Face has no such weight."""
    return _translate(name, _TO_HUGGINGFACE)


def from_huggingface(name: str) -> str | None:
    """Translates Hugging Face's name; None if Google has no such weight.

    Args:
        name: with its `bert.` prefix; LayerNorm weights may be called gamma
            and beta, as old files have them.
    """
    for old, new in _OLD_NORMS:
        name = name.replace(old, new)
    return _translate(name, _FROM_HUGGINGFACE)


def family(found: Iterable[str]) -> str:
    """Returns whose names these are, one of FAMILIES."""
    found = tuple(found)
    return next(
        (
            name
            for name, mark in _FAMILY_MARKS
            if any(mark.match(one) for one in found)
        ),
        "unknown",
    )


def count_layers(found: Iterable[str]) -> int:
    """Returns how many layers have names of their own, as a BERT's have."""
    numbers = map(_LAYER_NUMBER.search, found)
    return len({match.group() for match in numbers if match})


def head_of(name: str) -> str | None:
    """Returns which of HEADS a weight is part of; None for the layers."""
    return next(
        (head for head, start in HEADS.items() if name.startswith(start)), None
    )


def heads_in(found: Iterable[str]) -> tuple[str, ...]:
    """Returns which of HEADS are there, in the order of the table."""
    heads = {head_of(name) for name in found if not is_slot(name)}
    return tuple(head for head in HEADS if head in heads)


def shapes(
    config: BertConfig, heads: Iterable[str] = (), num_labels: int = 0
) -> dict[str, tuple[int, ...]]:
    """Returns what a model consists of.

    Args:
        config: its sizes.
        heads: which of HEADS it has.
        num_labels: classes of the head `labels`.

    Returns:
        {Google's name: shape}.
    """
    sizes = {**vars(config), "num_labels": num_labels}
    wanted = {None, *heads}
    return {
        row.google.replace("{n}", str(number)): tuple(
            axis if isinstance(axis, int) else sizes[axis] for axis in row.axes
        )
        for row in WEIGHTS
        if head_of(row.google) in wanted
        for number in range(
            config.num_hidden_layers if "{n}" in row.google else 1
        )
    }


def _translate(name: str, table: Mapping[str, str]) -> str | None:
    number = _LAYER_NUMBER.search(name)
    if number is None:
        # The placeholder itself is no name.
        return None if "{" in name else table.get(name)
    found = table.get(_LAYER_NUMBER.sub("{n}", name))
    return found and found.replace("{n}", number.group())
