"""ALBERT against outputs and gradients that the original code computed.

`tests/reference/README.md` tells how they came about.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from modeling import BertConfig, BertModel, BertWithHeads
from modeling.losses import masked_lm_loss, next_sentence_loss

REFERENCE = pathlib.Path(__file__).parents[1] / "reference" / "albert"
CASES = ("shared", "groups", "same_width")

# float32 keeps seven digits; ten layers leave a few of the last.
TOLERANCE = 1e-5


class Case:
    """A model with its heads, the weights of a reference file in it."""

    def __init__(self, name: str) -> None:
        with np.load(REFERENCE / f"{name}.npz") as file:
            self.arrays = dict(file)
        values = json.loads(str(self.arrays["config"]))
        self.config = BertConfig.from_dict(values)
        heads = ["masked_lm", "next_sentence"]
        self.with_heads = BertWithHeads(self.config, heads)
        self.model = self.with_heads.bert
        self.weights = self.with_heads.weights
        for weight in self.weights:
            weight.assign(self.arrays[f"weight/{weight.path}"])

    def part(self, of: str) -> dict[str, Any]:
        return {
            name.removeprefix(f"{of}/"): array
            for name, array in self.arrays.items()
            if name.startswith(f"{of}/")
        }


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_weights_are_named_as_googles(case: Case) -> None:
    assert {one.path for one in case.weights} == set(case.part("weight"))


def test_encoder(case: Case) -> None:
    outputs = case.model(case.part("input"))
    layers = outputs.pop("all_encoder_layers")
    outputs.update((f"layer_{n}", layer) for n, layer in enumerate(layers))
    np.testing.assert_array_equal(outputs["sequence_output"], layers[-1])
    expected = case.part("output")
    compared = set(expected) & set(outputs)
    assert {"embedding_output", "pooled_output", "layer_1"} <= compared
    for name in compared:
        np.testing.assert_allclose(
            outputs[name], expected[name], atol=TOLERANCE, err_msg=name
        )


def test_outputs_without_work_on_the_padding(case: Case) -> None:
    inputs, expected = case.part("input"), case.part("output")
    whole = np.asarray(case.model(inputs)["sequence_output"])
    np.testing.assert_allclose(
        case.model.encode(inputs).pooled_output,
        expected["pooled_output"],
        atol=TOLERANCE,
    )
    mask = inputs["input_mask"][..., None]
    np.testing.assert_allclose(
        case.model.encode(inputs, outputs=["tokens"]).sequence_output,
        whole * mask,
        atol=TOLERANCE,
    )
    positions = inputs["masked_lm_positions"]
    at_positions = case.model.encode(inputs, positions=positions).vectors
    np.testing.assert_allclose(
        at_positions,
        whole[np.arange(len(whole))[:, None], positions].reshape(
            at_positions.shape
        ),
        atol=TOLERANCE,
    )


def test_heads_losses_and_gradients(case: Case) -> None:
    inputs, expected = case.part("input"), case.part("output")
    with tf.GradientTape() as tape:
        logits = case.with_heads(inputs)
        masked_lm = masked_lm_loss(
            logits["masked_lm_logits"],
            inputs["masked_lm_ids"],
            inputs["masked_lm_weights"],
        )
        order = next_sentence_loss(
            logits["next_sentence_logits"], inputs["sentence_order_labels"]
        )
        loss = masked_lm + order
    for ours, theirs in (
        ("masked_lm_logits", "masked_lm_log_probs"),
        ("next_sentence_logits", "sentence_order_log_probs"),
    ):
        np.testing.assert_allclose(
            keras.ops.log_softmax(logits[ours]), expected[theirs], atol=1e-5
        )
    np.testing.assert_allclose(masked_lm, expected["masked_lm_loss"], rtol=1e-6)
    np.testing.assert_allclose(
        order, expected["sentence_order_loss"], rtol=1e-6
    )
    gradients = tape.gradient(loss, [w.value for w in case.weights])
    for weight, gradient in zip(case.weights, gradients, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(gradient),
            case.arrays[f"gradient/{weight.path}"],
            atol=TOLERANCE,
            err_msg=weight.path,
        )


def test_a_saved_model_is_the_same(case: Case, tmp_path: pathlib.Path) -> None:
    model = BertWithHeads(case.config, ["masked_lm", "next_sentence"])
    for weight in model.weights:
        weight.assign(case.arrays[f"weight/{weight.path}"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.bert.config == case.config
    assert len(loaded.weights) == len(model.weights)
    inputs = case.part("input")
    for name, output in model(inputs).items():
        np.testing.assert_array_equal(output, loaded(inputs)[name], name)


def test_layers_without_groups_take_narrower_embeddings() -> None:
    model = BertModel(
        BertConfig(
            11, 8, 2, 2, 12, max_position_embeddings=16, embedding_size=6
        )
    )
    paths = {weight.path: weight.shape for weight in model.weights}
    assert paths["bert/encoder/embedding_hidden_mapping_in/kernel"] == (6, 8)
    assert "bert/encoder/layer_1/output/dense/kernel" in paths


def test_base_has_the_parameters_that_were_published() -> None:
    """12 million in the paper's table 1; as counted in the checkpoint."""
    config = BertConfig(
        30000, type_vocab_size=2, embedding_size=128, num_hidden_groups=1
    )
    assert BertModel(config).count_params() == 11_683_584
