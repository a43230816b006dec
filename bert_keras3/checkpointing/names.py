"""The names and shapes of weights: Google's ⇄ Hugging Face's.

Google's names are the names of this program: `bert/pooler/dense/kernel` [D, D]
is `bert.pooler.dense.weight` there. First the tables of BERT's and ALBERT's
weights, then functions that recognise, count and translate names.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from modeling.config import BertConfig

WORD_EMBEDDINGS = "bert/embeddings/word_embeddings"
MASKED_LM_BIAS = "cls/predictions/output_bias"
MAPPING = "bert/encoder/embedding_hidden_mapping_in"


@dataclasses.dataclass(frozen=True)
class Weight:
    """One row of a table.

    Attributes:
        google: Google's name; each `{n}` stands for a number: a layer's, or
            those of a group and of a layer in it.
        huggingface: Hugging Face's name, with as many `{n}`; None if there is
            no such weight.
        axes: sizes, each a number or a field of the configuration.
    """

    google: str
    huggingface: str | None
    axes: tuple[int | str, ...]


def _dense(
    google: str, huggingface: str | None, inner: str, outer: str
) -> tuple[Weight, ...]:
    """A kernel [in, out] here, a weight [out, in] there."""
    return (
        Weight(
            f"{google}/kernel",
            huggingface and f"{huggingface}.weight",
            (inner, outer),
        ),
        Weight(
            f"{google}/bias", huggingface and f"{huggingface}.bias", (outer,)
        ),
    )


def _norm(google: str, huggingface: str, width: str) -> tuple[Weight, ...]:
    return (
        Weight(f"{google}/gamma", f"{huggingface}.weight", (width,)),
        Weight(f"{google}/beta", f"{huggingface}.bias", (width,)),
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


_D, _I, _E = "hidden_size", "intermediate_size", "embedding_size"


def _embeddings(huggingface: str) -> tuple[Weight, ...]:
    return (
        Weight(
            WORD_EMBEDDINGS,
            f"{huggingface}.embeddings.word_embeddings.weight",
            ("vocab_size", _E),
        ),
        Weight(
            "bert/embeddings/token_type_embeddings",
            f"{huggingface}.embeddings.token_type_embeddings.weight",
            ("type_vocab_size", _E),
        ),
        Weight(
            "bert/embeddings/position_embeddings",
            f"{huggingface}.embeddings.position_embeddings.weight",
            ("max_position_embeddings", _E),
        ),
        *_norm(
            "bert/embeddings/LayerNorm",
            f"{huggingface}.embeddings.LayerNorm",
            _E,
        ),
    )


def _masked_lm(dense: str, norm: str, bias: str) -> tuple[Weight, ...]:
    return (
        *_dense("cls/predictions/transform/dense", dense, _D, _E),
        *_norm("cls/predictions/transform/LayerNorm", norm, _E),
        Weight(MASKED_LM_BIAS, bias, ("vocab_size",)),
    )


_G = "bert/encoder/layer_{n}"
_H = "bert.encoder.layer.{n}"

BERT = (
    *_embeddings("bert"),
    *_dense(MAPPING, None, _E, _D),
    *_dense(f"{_G}/attention/self/query", f"{_H}.attention.self.query", _D, _D),
    *_dense(f"{_G}/attention/self/key", f"{_H}.attention.self.key", _D, _D),
    *_dense(f"{_G}/attention/self/value", f"{_H}.attention.self.value", _D, _D),
    *_dense(
        f"{_G}/attention/output/dense", f"{_H}.attention.output.dense", _D, _D
    ),
    *_norm(
        f"{_G}/attention/output/LayerNorm",
        f"{_H}.attention.output.LayerNorm",
        _D,
    ),
    *_dense(f"{_G}/intermediate/dense", f"{_H}.intermediate.dense", _D, _I),
    *_dense(f"{_G}/output/dense", f"{_H}.output.dense", _I, _D),
    *_norm(f"{_G}/output/LayerNorm", f"{_H}.output.LayerNorm", _D),
    *_dense("bert/pooler/dense", "bert.pooler.dense", _D, _D),
    *_masked_lm(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
    ),
    *_output("cls/seq_relationship/", "cls.seq_relationship", 2),
    *_output("cls/squad/", "qa_outputs", 2),
    *_output("", "classifier", "num_labels"),
)

_AG = "bert/encoder/transformer/group_{n}/inner_group_{n}"
_AH = "albert.encoder.albert_layer_groups.{n}.albert_layers.{n}"

ALBERT = (
    *_embeddings("albert"),
    *_dense(MAPPING, "albert.encoder.embedding_hidden_mapping_in", _E, _D),
    *_dense(f"{_AG}/attention_1/self/query", f"{_AH}.attention.query", _D, _D),
    *_dense(f"{_AG}/attention_1/self/key", f"{_AH}.attention.key", _D, _D),
    *_dense(f"{_AG}/attention_1/self/value", f"{_AH}.attention.value", _D, _D),
    *_dense(
        f"{_AG}/attention_1/output/dense", f"{_AH}.attention.dense", _D, _D
    ),
    *_norm(f"{_AG}/LayerNorm", f"{_AH}.attention.LayerNorm", _D),
    *_dense(f"{_AG}/ffn_1/intermediate/dense", f"{_AH}.ffn", _D, _I),
    *_dense(
        f"{_AG}/ffn_1/intermediate/output/dense", f"{_AH}.ffn_output", _I, _D
    ),
    *_norm(f"{_AG}/LayerNorm_1", f"{_AH}.full_layer_layer_norm", _D),
    *_dense("bert/pooler/dense", "albert.pooler", _D, _D),
    *_masked_lm(
        "predictions.dense", "predictions.LayerNorm", "predictions.bias"
    ),
    *_output("cls/seq_relationship/", "sop_classifier.classifier", 2),
    *_output("cls/squad/", "qa_outputs", 2),
    *_output("", "classifier", "num_labels"),
)


# The heads, with the beginning of their weights' names.
HEADS: Mapping[str, str] = {
    "pooler": "bert/pooler/",
    "masked_lm": "cls/predictions/",
    "next_sentence": "cls/seq_relationship/",
    "span": "cls/squad/",
    "labels": "output_",
}

# Heads that only an ELECTRA has; they are not used.
ELECTRA_HEADS = ("discriminator_predictions/", "generator_predictions/")

# The families of models, by names that only theirs have.
_FAMILY_MARKS = (
    ("albert", re.compile(r"bert/encoder/transformer/group_\d+/")),
    ("albert_zh", re.compile(r"bert/encoder/layer_shared/")),
    ("bert", re.compile(r"bert/encoder/layer_\d+/")),
)
# In words, for messages.
FAMILIES: Mapping[str, str] = {
    "bert": "a BERT",
    "albert": "an ALBERT, whose layers share their weights in groups",
    "albert_zh": (
        "an early Chinese ALBERT (`layer_shared`, `word_embeddings_2`)"
    ),
    "unknown": "no BERT: it has no weights named bert/encoder/…",
}

# Families that this program has a model of, with their weights.
_TABLES: Mapping[str, tuple[Weight, ...]] = {
    "bert": BERT,
    "albert": ALBERT,
}

# Second names of arrays that are in the tables: the word embedding table and
# the output bias in the masked-LM head.
HUGGINGFACE_TIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
    "predictions.decoder.bias": "predictions.bias",
}

# Constants that some files hold beside the weights.
HUGGINGFACE_BUFFERS = re.compile(
    r"(^|\.)embeddings\.(position|token_type)_ids$"
)

_TO_HUGGINGFACE = {
    family: {row.google: row.huggingface for row in table if row.huggingface}
    for family, table in _TABLES.items()
}
_FROM_HUGGINGFACE = {
    there: google
    for names in _TO_HUGGINGFACE.values()
    for google, there in names.items()
}

# Names of LayerNorm's weights in files from before 2020.
_OLD_NORMS = (
    ("LayerNorm.gamma", "LayerNorm.weight"),
    ("LayerNorm.beta", "LayerNorm.bias"),
)

# State of optimizers that is known by its name alone: moments named after the
# variable, and counters at the root.
_SLOT = re.compile(
    r"(.+/)?(adam_[mv]|lamb_[mv]|Adam(_1)?|AdamWeightDecayOptimizer(_1)?"
    r"|LAMBOptimizer(_1)?)"
    r"|global_step|beta[12]_power|optimizer/vars/\d+"
)

_LAYER_NUMBER = re.compile(r"(?<=encoder[/.]layer[_.])\d+(?=[/.])")
# Those, and the numbers of groups and of the layers in them.
_NUMBER = re.compile(
    rf"{_LAYER_NUMBER.pattern}|(?<=group_)\d+(?=/)"
    r"|(?<=\.albert_layer_groups\.)\d+(?=\.)|(?<=\.albert_layers\.)\d+(?=\.)"
)
_GROUP = re.compile(r"bert/encoder/transformer/group_(\d+)/inner_group_(\d+)/")


def is_slot(name: str) -> bool:
    """Whether a name is known as optimizer state (`…/adam_m`, `global_step`).

    Those that optimizers of others have, `slots_among` finds.
    """
    return _SLOT.fullmatch(name) is not None


def slots_among(shapes: Mapping[str, tuple[int, ...]]) -> frozenset[str]:
    """Returns the names of optimizer state among those of a checkpoint.

    Whatever the optimizer is called, its moments hang below a variable and
    have its shape, as `output_bias/BERTAdam` [C] below `output_bias` [C];
    single numbers are counters, as no weight of a model is.

    Args:
        shapes: of all arrays, by name.
    """
    return frozenset(
        name
        for name, shape in shapes.items()
        if shape == ()
        or shapes.get(name.rpartition("/")[0]) == shape
        or is_slot(name)
    )


def is_transposed(name: str) -> bool:
    """Whether Hugging Face stores the array `name` as [out, in].

    Args:
        name: Google's name.
    """
    return name.endswith("/kernel")


def to_huggingface(name: str, family: str = "bert") -> str | None:
    """Translates Google's name; None if Hugging Face has no such weight.

    Args:
        name: Google's name.
        family: "bert" or "albert".
    """
    return _translate(name, _TO_HUGGINGFACE[family])


def from_huggingface(name: str) -> str | None:
    """Translates Hugging Face's name; None if Google has no such weight.

    Args:
        name: with its `bert.` or `albert.` prefix; LayerNorm weights may be
            called gamma and beta, as old files have them.
    """
    for old, new in _OLD_NORMS:
        name = name.replace(old, new)
    return _translate(name, _FROM_HUGGINGFACE)


def family(found: Iterable[str]) -> str:
    """Returns the family that these names are of, one of FAMILIES."""
    found = tuple(found)
    return next(
        (
            name
            for name, mark in _FAMILY_MARKS
            if any(mark.match(one) for one in found)
        ),
        "unknown",
    )


def family_of(config: BertConfig) -> str:
    """Returns the family that a configuration is of."""
    return "bert" if config.num_hidden_groups is None else "albert"


def is_modelled(family: str) -> bool:
    """Whether this program has a model of a family."""
    return family in _TABLES


def is_known(name: str, family: str) -> bool:
    """Whether a modelled family has a weight of this name, by Google's."""
    return _NUMBER.sub("{n}", name) in {row.google for row in _TABLES[family]}


def count_layers(found: Iterable[str]) -> int:
    """Returns the number of layers with names of their own, as in BERT."""
    numbers = map(_LAYER_NUMBER.search, found)
    return len({match.group() for match in numbers if match})


def count_groups(found: Iterable[str]) -> tuple[int, int]:
    """Returns the number of groups of layers, and of layers in each."""
    pairs = {match.groups() for match in map(_GROUP.match, found) if match}
    return len({group for group, _ in pairs}), len({n for _, n in pairs})


def head_of(name: str) -> str | None:
    """Returns which of HEADS a weight is part of; None for the encoder."""
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
    """Returns the names and shapes of a model's weights.

    Args:
        config: the model's configuration.
        heads: which of HEADS it has.
        num_labels: number of classes of the head `labels`.

    Returns:
        {Google's name: shape}.
    """
    sizes = {
        **vars(config),
        "embedding_size": config.embedding_width,
        "num_labels": num_labels,
    }
    wanted = {None, *heads}
    return {
        name: tuple(
            axis if isinstance(axis, int) else sizes[axis] for axis in row.axes
        )
        for row in _TABLES[family_of(config)]
        if head_of(row.google) in wanted
        for name in _numbered(row.google, config)
    }


def _numbered(name: str, config: BertConfig) -> Iterator[str]:
    """Yields a row's name for every layer, or once; not if it is not used."""
    if name.startswith(MAPPING):
        if config.embedding_width != config.hidden_size:
            yield name
        return
    counts: tuple[int, ...] = ()
    if "{n}" in name:
        counts = (config.num_hidden_layers,)
        if config.num_hidden_groups is not None:
            counts = (config.num_hidden_groups, config.inner_group_num)
    for numbers in itertools.product(*map(range, counts)):
        yield _filled(name, map(str, numbers))


def _translate(name: str, table: Mapping[str, str]) -> str | None:
    if "{" in name:  # the placeholder itself is no name
        return None
    found = table.get(_NUMBER.sub("{n}", name))
    return found and _filled(found, _NUMBER.findall(name))


def _filled(name: str, numbers: Iterable[str]) -> str:
    for number in numbers:
        name = name.replace("{n}", number, 1)
    return name
