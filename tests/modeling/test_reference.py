"""The port against outputs that the original code computed.

See ../shared/README.md for how they came about.
"""

from __future__ import annotations

import pathlib

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


@pytest.fixture(scope="module", params=["small_gelu", "small_relu"])
def folder(request, shared) -> pathlib.Path:
    return shared / "reference" / request.param


@pytest.fixture(scope="module")
def model(folder):
    config = BertConfig.from_json_file(folder / "bert_config.json")
    model = BertWithHeads(config, ["masked_lm", "next_sentence"])
    reader = tf.train.load_checkpoint(str(folder / "bert_model.ckpt"))
    assert {weight.path for weight in model.weights} == set(
        reader.get_variable_to_shape_map()
    )
    for weight in model.weights:
        weight.assign(reader.get_tensor(weight.path))
    return model


@pytest.fixture(scope="module")
def reference(folder):
    with np.load(folder / "forward.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def inputs_of(reference, case):
    inputs = {"input_ids": reference[f"{case}/input_ids"]}
    if case != "s33_none":
        inputs["input_mask"] = reference[f"{case}/input_mask"]
        inputs["segment_ids"] = reference[f"{case}/segment_ids"]
    return inputs


@pytest.mark.parametrize("case", CASES)
def test_every_output_equals_the_originals(model, reference, case):
    outputs = model.bert(inputs_of(reference, case))
    named = {
        name: outputs[name]
        for name in ("embedding_output", "sequence_output", "pooled_output")
    }
    named.update(
        (f"layer_{number}", layer)
        for number, layer in enumerate(outputs["all_encoder_layers"])
    )
    all_padding = reference[f"{case}/input_mask"].sum(-1) == 0
    for name, output in named.items():
        error = np.abs(np.asarray(output) - reference[f"{case}/{name}"])
        assert np.isfinite(error).all(), name
        assert error[~all_padding].max() < TOLERANCE, name
        if all_padding.any():
            assert error[all_padding].max() < TOLERANCE_ALL_PADDING, name


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_both_losses_equal_the_originals(model, reference, case, unpad):
    model.unpad = unpad
    logits = model(
        {
            **inputs_of(reference, case),
            "masked_lm_positions": reference[f"{case}/masked_lm_positions"],
        }
    )
    masked_lm = masked_lm_loss(
        logits["masked_lm_logits"],
        reference[f"{case}/masked_lm_ids"],
        reference[f"{case}/masked_lm_weights"],
    )
    next_sentence = next_sentence_loss(
        logits["next_sentence_logits"],
        reference[f"{case}/next_sentence_labels"],
    )
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    if (reference[f"{case}/input_mask"].sum(-1) == 0).any():
        tolerance = {"rtol": 1e-3, "atol": 0}
    np.testing.assert_allclose(
        masked_lm, reference[f"{case}/masked_lm_loss"], **tolerance
    )
    np.testing.assert_allclose(
        next_sentence, reference[f"{case}/next_sentence_loss"], **tolerance
    )
