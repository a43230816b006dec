"""Google's names, Hugging Face's names, and which is which."""

from __future__ import annotations

import math

import pytest

from bert_keras3.checkpointing import names
from modeling.bert import BertModel
from modeling.config import BertConfig

PAIRS = [
    (
        "bert/embeddings/word_embeddings",
        "bert.embeddings.word_embeddings.weight",
    ),
    ("bert/embeddings/LayerNorm/gamma", "bert.embeddings.LayerNorm.weight"),
    ("bert/embeddings/LayerNorm/beta", "bert.embeddings.LayerNorm.bias"),
    (
        "bert/encoder/layer_11/attention/self/query/kernel",
        "bert.encoder.layer.11.attention.self.query.weight",
    ),
    (
        "bert/encoder/layer_0/output/LayerNorm/beta",
        "bert.encoder.layer.0.output.LayerNorm.bias",
    ),
    ("bert/pooler/dense/bias", "bert.pooler.dense.bias"),
    (
        "cls/predictions/transform/dense/kernel",
        "cls.predictions.transform.dense.weight",
    ),
    ("cls/predictions/output_bias", "cls.predictions.bias"),
    ("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
    ("cls/squad/output_weights", "qa_outputs.weight"),
    ("output_weights", "classifier.weight"),
]


@pytest.mark.parametrize(("google", "huggingface"), PAIRS)
def test_translates_both_ways(google: str, huggingface: str) -> None:
    assert names.to_huggingface(google) == huggingface
    assert names.from_huggingface(huggingface) == google


def test_old_names_of_layer_norms() -> None:
    assert (
        names.from_huggingface("bert.encoder.layer.3.output.LayerNorm.gamma")
        == "bert/encoder/layer_3/output/LayerNorm/gamma"
    )


@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.x.output.dense.weight",
        "bert.encoder.layer.1.crossattention.self.query.weight",
        "roberta.embeddings.word_embeddings.weight",
        "bert.encoder.layer.{n}.output.dense.weight",
    ],
)
def test_unknown_names_have_no_counterpart(name: str) -> None:
    assert names.from_huggingface(name) is None


def test_only_kernels_are_transposed() -> None:
    assert names.is_transposed("bert/pooler/dense/kernel")
    assert not names.is_transposed("output_weights")
    assert not names.is_transposed("bert/embeddings/word_embeddings")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("global_step", True),
        ("bert/pooler/dense/kernel/adam_m", True),
        ("output_bias/adam_v", True),
        ("optimizer/vars/7", True),
        ("bert/pooler/dense/kernel", False),
        ("output_bias", False),
    ],
)
def test_optimizer_state_is_distinguished_from_weights(
    name: str, expected: bool
) -> None:
    assert names.is_slot(name) is expected


def test_slots_of_any_optimizer_hang_below_a_variable() -> None:
    # As in BioBERT 1.0.
    shapes = {
        "bert/pooler/dense/kernel": (8, 8),
        "bert/pooler/dense/kernel/BERTAdam": (8, 8),
        "bert/pooler/dense/kernel/BERTAdam_1": (8, 8),
        "bert/pooler/dense/kernel/other": (8,),
        "bert/pooler/dense/bias": (8,),
        "beta1_power": (),
        "training/beta1_power_1": (),
        "global_step": (),
        "output_bias/adam_m": (3,),
    }
    assert {*shapes} - names.slots_among(shapes) == {
        "bert/pooler/dense/kernel",
        "bert/pooler/dense/kernel/other",
        "bert/pooler/dense/bias",
    }


def test_shapes_are_those_of_the_model(
    config: BertConfig, model: BertModel
) -> None:
    assert names.shapes(config, ["pooler"]) == {
        variable.path: tuple(variable.shape) for variable in model.weights
    }


def test_heads(config: BertConfig) -> None:
    heads = names.shapes(config, names.HEADS, num_labels=5)
    assert heads["output_weights"] == (5, 8)
    assert heads["cls/predictions/output_bias"] == (11,)
    assert names.heads_in(heads) == tuple(names.HEADS)
    assert names.heads_in(["output_bias/adam_m"]) == ()


def test_published_number_of_parameters() -> None:
    base = names.shapes(BertConfig(30522, type_vocab_size=2), ["pooler"])
    assert sum(math.prod(shape) for shape in base.values()) == 109_482_240
