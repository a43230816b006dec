"""LoRA: what moves, what is written, and that the sum is the same model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open

from bert_keras3 import checkpointing
from bert_keras3.finetuning.lora import add_lora
from bert_keras3.finetuning.run_folder import LORA, MODEL, FinetuningFolder
from bert_keras3.optimization import create_optimizer
from bert_keras3.training.devices import computing_in
from bert_keras3.training.step import TrainStep
from modeling import BertConfig, BertWithHeads
from modeling.losses import classification_loss

CONFIG = BertConfig(
    99,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=37,
    max_position_embeddings=64,
)
INPUTS = {
    "input_ids": np.arange(32, dtype=np.int32).reshape(2, 16) + 1,
    "input_mask": np.tri(16, dtype=np.int32)[[7, 15]],
    "segment_ids": np.zeros((2, 16), np.int32),
}
RANK = 4


@pytest.fixture(scope="module")
def trained():
    """A model after some steps, its values before, and its optimizer."""
    model = BertWithHeads(CONFIG, ["labels"], ("no", "yes"))
    logits = model(INPUTS)["logits"].numpy()
    add_lora(model, RANK)
    np.testing.assert_array_equal(
        model(INPUTS)["logits"], logits
    )  # nothing yet
    before = {one.path: one.numpy() for one in model.weights}
    optimizer = create_optimizer(1e-2, 100, 0)
    step = TrainStep(
        model,
        lambda model, features, training: classification_loss(
            model(features, training=training)["logits"],
            features["targets"],
        ),
        optimizer,
    )
    for _ in range(5):
        step({**INPUTS, "targets": np.array([0, 1], np.int32)})
    return model, before, optimizer


def test_only_the_thin_matrices_and_the_head_move(trained):
    model, before, _ = trained
    moved = {
        one.path
        for one in model.weights
        if (one.numpy() != before[one.path]).any()
    }
    kernels = {
        path.removesuffix("kernel")
        for path in before
        if path.endswith("kernel")
    }
    assert len(kernels) == 6 * CONFIG.num_hidden_layers + 1  # and the pooler's
    assert moved == {"output_weights", "output_bias"} | {
        f"{kernel}lora_kernel_{letter}" for kernel in kernels for letter in "ab"
    }


def test_what_is_decayed(trained):
    model, _, optimizer = trained
    # As in a whole training: kernels are, the bias of the head is not.
    assert {
        one.path
        for one in model.trainable_weights
        if not optimizer.uses_weight_decay(one.path)
    } == {"output_bias"}
    slots = {one.path for one in optimizer.variables if "adam_m" in one.path}
    assert len(slots) == len(model.trainable_weights)


def test_the_sum_is_a_plain_model_with_the_same_answers(trained, tmp_path):
    model, before, _ = trained
    folder = FinetuningFolder(tmp_path)
    folder.save_model(model)
    plain = BertWithHeads(CONFIG, ["labels"], ("no", "yes"))
    folder.load_weights(plain)
    np.testing.assert_allclose(
        plain(INPUTS)["logits"], model(INPUTS)["logits"], rtol=0, atol=1e-6
    )
    # Whoever reads or converts the file finds Google's names and no others.
    assert set(checkpointing.read(tmp_path / MODEL)) == {
        path for path in before if "lora" not in path
    }


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_sum_is_float32_under_mixed_precision(precision, tmp_path):
    with computing_in(precision):
        model = BertWithHeads(CONFIG, ["labels"], ("no", "yes"))
    add_lora(model, RANK)
    draw = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(draw.normal(size=weight.shape))
    values = {one.path: one.numpy() for one in model.weights}
    logits = model(INPUTS)["logits"]
    FinetuningFolder(tmp_path).save_model(model)
    saved = checkpointing.read(tmp_path / MODEL)
    assert {saved.dtype(name) for name in saved} == {np.dtype("float32")}
    name = "bert/encoder/layer_1/intermediate/dense"
    change = values[f"{name}/lora_kernel_a"] @ values[f"{name}/lora_kernel_b"]
    np.testing.assert_allclose(
        saved[f"{name}/kernel"], values[f"{name}/kernel"] + change, atol=1e-5
    )
    # The model goes on computing in 16 bits.
    np.testing.assert_array_equal(model(INPUTS)["logits"], logits)
    assert model.bert.pooler.dense.compute_dtype == precision


def test_what_was_learnt_lies_beside(trained, tmp_path):
    model, before, _ = trained
    folder = FinetuningFolder(tmp_path)
    folder.save_model(model)
    with safe_open(tmp_path / LORA, framework="numpy") as file:
        metadata = json.loads(file.metadata()["lora"])
        learnt = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    plain = BertWithHeads(CONFIG, ["labels"], ("no", "yes"))
    folder.load_weights(plain)
    name = "bert/encoder/layer_0/attention/self/query"
    change = learnt[f"{name}/lora_kernel_a"] @ learnt[f"{name}/lora_kernel_b"]
    expected = (
        before[f"{name}/kernel"] + metadata["alpha"] / metadata["rank"] * change
    )
    merged = {one.path: one.numpy() for one in plain.weights}
    np.testing.assert_allclose(merged[f"{name}/kernel"], expected, atol=1e-6)
    np.testing.assert_array_equal(
        merged["output_weights"], learnt["output_weights"]
    )
