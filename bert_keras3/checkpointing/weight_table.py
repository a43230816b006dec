"""What the weights of a BERT and of an ALBERT are called, and their axes.

Google's names on the left, Hugging Face's on the right; `names` looks things
up here and puts numbers in.
"""

from __future__ import annotations

import dataclasses

WORD_TABLE = "bert/embeddings/word_embeddings"
MASKED_LM_BIAS = "cls/predictions/output_bias"
MAPPING = "bert/encoder/embedding_hidden_mapping_in"


@dataclasses.dataclass(frozen=True)
class Weight:
    """One row of a table.

    Attributes:
        google: its name; each `{n}` stands for a number: a layer's, or those
            of a group and of a layer in it.
        huggingface: its name there, with as many `{n}`; None if there is no
            such weight.
        axes: a number, or the field of the configuration it comes from.
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


def _embeddings(there: str) -> tuple[Weight, ...]:
    return (
        Weight(
            WORD_TABLE,
            f"{there}.embeddings.word_embeddings.weight",
            ("vocab_size", _E),
        ),
        Weight(
            "bert/embeddings/token_type_embeddings",
            f"{there}.embeddings.token_type_embeddings.weight",
            ("type_vocab_size", _E),
        ),
        Weight(
            "bert/embeddings/position_embeddings",
            f"{there}.embeddings.position_embeddings.weight",
            ("max_position_embeddings", _E),
        ),
        *_norm(
            "bert/embeddings/LayerNorm", f"{there}.embeddings.LayerNorm", _E
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
