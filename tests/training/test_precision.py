"""Mixed precision, XLA and gradient checkpointing beside plain float32."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.optimization import create_optimizer
from bert_keras3.training import devices
from bert_keras3.training.devices import computing_in, loss_scaled
from bert_keras3.training.predict import Predictor
from bert_keras3.training.settings import PRECISIONS
from bert_keras3.training.step import StepSettings, TrainStep
from modeling import BertConfig, BertWithHeads
from modeling.keras_private import flatten_layers
from modeling.losses import classification_loss

CONFIG = BertConfig(
    99,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=37,
    max_position_embeddings=64,
)
IDS = np.arange(64, dtype=np.int32).reshape(4, 16) % 98 + 1
BATCH = {
    "input_ids": IDS,
    "input_mask": np.tri(16, dtype=np.int32)[[7, 15, 5, 9]],
    "segment_ids": np.tri(16, dtype=np.int32)[[3, 0, 2, 5]],
    "targets": np.array([0, 1, 1, 0], np.int32),
}
INPUTS = {name: ids for name, ids in BATCH.items() if name != "targets"}

# How far 16 bits may be from float32: 8 binary digits, or 11.
TOLERANCES = {"off": 1e-6, "bfloat16": 2e-2, "float16": 2e-3}


def make_model(precision="off", dropout=0.0):
    keras.utils.set_random_seed(1)
    with computing_in(precision):
        model = BertWithHeads(CONFIG, ["labels"], ("no", "yes"))
    for layer in flatten_layers(model):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = dropout
    return model


def loss_of(model, features, training):
    logits = model(features, training=training)["logits"]
    return classification_loss(logits, features["targets"])


def train(model, precision="off", micro_batches=1, steps=5, **choices):
    """Returns the losses of some steps."""
    optimizer = loss_scaled(create_optimizer(1e-3, 100, 0), precision)
    settings = StepSettings(micro_batches, **choices)
    step = TrainStep(model, loss_of, optimizer, settings)
    return np.array([float(step(BATCH)["loss"]) for _ in range(steps)])


def outcome_of(model, precision, jit_compile=False):
    """Outputs before, losses of, and outputs after a training."""
    predictor = Predictor(model, jit_compile=jit_compile)
    before = predictor([(np.arange(4), INPUTS)], 4)["logits"]
    losses = train(model, precision, jit_compile=jit_compile)
    after = predictor([(np.arange(4), INPUTS)], 4)["logits"]
    return before, losses, after


@pytest.fixture(scope="module")
def plain():
    return outcome_of(make_model(), "off")


@pytest.fixture(
    scope="module",
    params=["bfloat16", pytest.param("float16", marks=pytest.mark.slow)],
)
def halved(request):
    """Precision, model and outcome of a training in 16 bits."""
    precision = request.param
    model = make_model(precision)
    return precision, model, outcome_of(model, precision)


def assert_near(outcome, plain, precision):
    tolerance = TOLERANCES[precision]
    for one, other, atol in zip(
        outcome, plain, (tolerance, tolerance, 5 * tolerance), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def test_near_float32(halved, plain):
    precision, _, outcome = halved
    assert_near(outcome, plain, precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_compiled_near_float32(plain, precision):
    outcome = outcome_of(make_model(precision), precision, jit_compile=True)
    assert_near(outcome, plain, precision)


def test_computes_in_16_bits_and_keeps_32(halved, tmp_path):
    precision, model, _ = halved
    assert model(INPUTS)["logits"].dtype == precision
    assert {weight.dtype for weight in model.weights} == {"float32"}
    # What is written is what a float32 model writes: it cannot be told apart.
    model.save(tmp_path / "model.keras")
    assert keras.config.dtype_policy().name == "float32"
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded(INPUTS)["logits"].dtype == "float32"
    assert [one.path for one in loaded.weights] == [
        one.path for one in model.weights
    ]
    for one, other in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_the_policy_is_put_back_after_a_mistake():
    with pytest.raises(ZeroDivisionError), computing_in("bfloat16"):
        raise ZeroDivisionError
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_float16_leaves_out_a_step_whose_gradients_overflow():
    model = make_model("float16")
    optimizer = loss_scaled(create_optimizer(1e-3, 100, 0), "float16")
    step = TrainStep(model, lambda *args: 1e4 * loss_of(*args), optimizer)
    before = [weight.numpy() for weight in model.weights]
    scale = float(optimizer.dynamic_scale)
    step(BATCH)
    assert float(optimizer.dynamic_scale) == scale / 2
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    for _ in range(20):  # until the factor is small enough
        step(BATCH)
    assert int(optimizer.iterations) > 0
    assert any(
        (weight.numpy() != value).any()
        for weight, value in zip(model.weights, before, strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["off", "float16"])
def test_parts_of_a_batch_add_up(precision):
    whole = train(make_model(precision), precision)
    parts = train(make_model(precision), precision, micro_batches=3)
    np.testing.assert_allclose(parts, whole, atol=TOLERANCES[precision])


@pytest.mark.slow
def test_parts_at_the_same_time_add_up():
    """Rows of 6, 8 and 10 tokens, and one of 16; each part has its width."""
    whole = train(make_model())
    parts = train(make_model(), concurrency=2, per_token=tuple(INPUTS))
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dropout", "jit_compile"),
    [
        (0.3, False),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(0.0, False), (0.0, True), (0.3, True)]
        ),
    ],
)
def test_rematerialized_layers_give_the_same_numbers(dropout, jit_compile):
    kept, again = make_model(dropout=dropout), make_model(dropout=dropout)
    again.bert.encoder.remat = True
    losses = train(again, jit_compile=jit_compile)
    # With dropout too: the second time drops what the first time dropped.
    expected = train(kept, jit_compile=jit_compile)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-6)
    for one, other in zip(again.variables, kept.variables, strict=True):
        np.testing.assert_allclose(
            one.numpy(), other.numpy(), rtol=0, atol=1e-6, err_msg=one.path
        )


def test_rematerialized_layers_are_computed_again():
    model = make_model()

    def softmaxes(remat):
        model.bert.encoder.remat = remat

        def gradients(batch):
            with tf.GradientTape() as tape:
                loss = loss_of(model, batch, True)
            return tape.gradient(loss, model.trainable_variables)

        graph = tf.function(gradients).get_concrete_function(BATCH).graph
        return sum(one.type == "Softmax" for one in graph.get_operations())

    layers = CONFIG.num_hidden_layers
    assert softmaxes(remat=False) == layers
    assert softmaxes(remat=True) == 2 * layers - 1  # the last is used at once


def test_the_default_is_off_without_a_gpu(monkeypatch):
    gpus, capability = [], (7, 5)
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: list(gpus)
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": capability},
    )
    assert devices.default_precision() == "off"
    gpus.append("GPU:0")
    assert devices.default_precision() == "off"
    capability = (9, 0)
    assert devices.default_precision() == "bfloat16"
