"""KerasHub on TensorFlow."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from collections.abc import Callable
from typing import Any

import keras
import keras_hub
import numpy as np

from benchmarks.contender_inputs import Batch, ContenderInputs

PACKAGES = ("keras-hub", "keras", "tensorflow")

# Names of the inputs, there and here.
_INPUTS = {
    "token_ids": "input_ids",
    "padding_mask": "input_mask",
    "segment_ids": "segment_ids",
}
_FIXED_LENGTH = 128


def _inputs_of(batch: Batch) -> dict[str, np.ndarray]:
    return {theirs: batch[ours] for theirs, ours in _INPUTS.items()}


def _backbone(given: ContenderInputs) -> Any:
    return keras_hub.models.BertBackbone.from_preset(str(given.weights))


def predict(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs, padded to the longest of the batch."""
    backbone = _backbone(given)
    # As one graph for all lengths.
    import tensorflow as tf

    spec = {name: tf.TensorSpec([None, None], tf.int32) for name in _INPUTS}
    call = tf.function(
        lambda inputs: backbone(inputs, training=False)["pooled_output"],
        input_signature=[spec],
    )
    return lambda batch: np.asarray(call(_inputs_of(batch)))


def predict_fixed(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs, padded to 128 as its preprocessor does."""
    run = predict(given)

    def padded(batch: Batch) -> np.ndarray:
        missing = _FIXED_LENGTH - batch["input_ids"].shape[1]
        return run(
            {
                name: np.pad(batch[name], ((0, 0), (0, missing)))
                for name in _INPUTS.values()
            }
        )

    return padded


def train(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps, padded to the longest of the batch."""
    model = keras_hub.models.BertTextClassifier(
        _backbone(given), num_classes=2, preprocessor=None
    )
    model.compile(
        keras.optimizers.AdamW(1e-5, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # Compiled, every length would be compiled anew.
        jit_compile=False,
    )
    return lambda batch: np.asarray(
        model.train_on_batch(_inputs_of(batch), batch["targets"])
    )
