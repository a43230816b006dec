"""The port against outputs that the original code computed.

`tests/reference/README.md` says how they came about.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from modeling import BertConfig, BertWithHeads
from modeling.losses import masked_lm_loss, next_sentence_loss

CASES = ("s1_pad0", "s7_rand", "s33_none", "s128_pad0", "s512_rand")

# float32 keeps seven digits; three layers leave about 1e-6 of an error.
TOLERANCE = 1e-5
# In a row of nothing but padding, scores near -10000 are rounded to 1e-3.
TOLERANCE_ALL_PADDING = 1e-2


@pytest.fixture(scope="module", params=["gelu", "relu"])
def activation(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(reference, activation):
    folder = reference / "small_bert"
    config = BertConfig.from_json_file(folder / "bert_config.json")
    config.hidden_act = activation
    model = BertWithHeads(config, ["masked_lm", "next_sentence"])
    reader = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
    assert {weight.path for weight in model.weights} == set(
        reader.get_variable_to_shape_map()
    )
    for weight in model.weights:
        weight.assign(reader.get_tensor(weight.path))
    return model


@pytest.fixture(scope="module")
def computed(reference, activation):
    """What the original computed: {case/name: array}."""
    file = reference / "small_bert" / f"forward_{activation}.npz"
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def inputs_of(computed, case):
    """The original was called without mask and types in `s33_none`."""
    names = ("input_ids", "input_mask", "segment_ids")
    return {
        name: computed[f"{case}/{name}"]
        for name in names
        if f"{case}/{name}" in computed
    }


def rows_of_padding(inputs):
    mask = inputs.get("input_mask", np.ones_like(inputs["input_ids"]))
    return mask.sum(-1) == 0


@pytest.mark.parametrize("case", CASES)
def test_every_output_equals_the_originals(model, computed, case):
    """In long texts at 17 positions, which depend on all the others."""
    inputs = inputs_of(computed, case)
    outputs = model.bert(inputs)
    found = {
        "embedding_output": outputs["embedding_output"],
        **{
            f"layer_{number}": layer
            for number, layer in enumerate(outputs["all_encoder_layers"])
        },
    }
    positions = computed[f"{case}/positions"]
    found = {
        name: np.asarray(output)[:, positions] for name, output in found.items()
    }
    found["pooled_output"] = np.asarray(outputs["pooled_output"])
    np.testing.assert_array_equal(
        outputs["sequence_output"], outputs["all_encoder_layers"][-1]
    )
    all_padding = rows_of_padding(inputs)
    for name, output in found.items():
        error = np.abs(output - computed[f"{case}/{name}"])
        assert np.isfinite(error).all(), name
        assert error[~all_padding].max() < TOLERANCE, name
        if all_padding.any():
            assert error[all_padding].max() < TOLERANCE_ALL_PADDING, name


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_both_losses_equal_the_originals(model, computed, case, unpad):
    model.unpad = unpad
    inputs = inputs_of(computed, case)
    logits = model(
        {
            **inputs,
            "masked_lm_positions": computed[f"{case}/masked_lm_positions"],
        }
    )
    masked_lm = masked_lm_loss(
        logits["masked_lm_logits"],
        computed[f"{case}/masked_lm_ids"],
        computed[f"{case}/masked_lm_weights"],
    )
    next_sentence = next_sentence_loss(
        logits["next_sentence_logits"],
        computed[f"{case}/next_sentence_labels"],
    )
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    if rows_of_padding(inputs).any():
        tolerance = {"rtol": 1e-3, "atol": 0}
    np.testing.assert_allclose(
        masked_lm, computed[f"{case}/masked_lm_loss"], **tolerance
    )
    np.testing.assert_allclose(
        next_sentence, computed[f"{case}/next_sentence_loss"], **tolerance
    )
