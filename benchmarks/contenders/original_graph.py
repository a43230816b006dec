"""The original's graphs, from a checkout of its sources.

It was written for TensorFlow 1; what TensorFlow 2 has dropped of that is made
here from what it has kept, operation by operation as it was.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf


def _layer_norm(
    inputs: Any, begin_norm_axis: int, begin_params_axis: int, scope: Any
) -> Any:
    """tf.contrib.layers.layer_norm over the last axis."""
    with tf.variable_scope(scope, default_name="LayerNorm"):
        shape = [inputs.shape[-1]]
        beta = tf.get_variable("beta", shape, initializer=tf.zeros_initializer)
        gamma = tf.get_variable("gamma", shape, initializer=tf.ones_initializer)
    mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


def _dense(
    inputs: Any,
    units: int,
    activation: Any = None,
    name: str | None = None,
    kernel_initializer: Any = None,
) -> Any:
    """tf.layers.dense."""
    with tf.variable_scope(name, default_name="dense"):
        kernel = tf.get_variable(
            "kernel", [inputs.shape[-1], units], initializer=kernel_initializer
        )
        bias = tf.get_variable(
            "bias", [units], initializer=tf.zeros_initializer
        )
    outputs = tf.nn.bias_add(tf.matmul(inputs, kernel), bias)
    return outputs if activation is None else activation(outputs)


def _as_tensorflow_1() -> types.ModuleType:
    """Returns a module that has what the original's sources use."""
    module = types.ModuleType("tensorflow")
    module.__dict__.update(
        {name: getattr(tf, name) for name in dir(tf) if name[0] != "_"}
    )
    module.__dict__["layers"] = types.SimpleNamespace(dense=_dense)
    module.__dict__["contrib"] = types.SimpleNamespace(
        layers=types.SimpleNamespace(layer_norm=_layer_norm)
    )
    return module


def load_original(folder: str, script: str) -> types.SimpleNamespace:
    """Imports the original's modules, which would hide this project's.

    Args:
        folder: a checkout of google-research/bert.
        script: one of its scripts, such as `run_pretraining`.

    Returns:
        `modeling`, `optimization`, `tokenization`, and the script.
    """
    names = ("modeling", "optimization", "tokenization", script)
    hidden = {
        name: sys.modules.pop(name)
        for name in [*sys.modules]
        if name.split(".")[0] in (*names, "tensorflow")
    }
    sys.modules["tensorflow"] = _as_tensorflow_1()
    sys.path.insert(0, folder)
    try:
        return types.SimpleNamespace(
            **{name: importlib.import_module(name) for name in names}
        )
    finally:
        sys.path.remove(folder)
        for name in (*names, "tensorflow"):
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def pretraining_step(
    folder: str,
    config_file: str,
    shape: tuple[int, int],
    max_predictions_per_seq: int,
    rate: float,
    num_train_steps: int,
) -> Callable[[dict[str, np.ndarray]], float]:
    """Builds the graph of the original's `model_fn` in training.

    Args:
        folder: a checkout of google-research/bert.
        config_file: of the model.
        shape: (B, S) of the batches, fixed as the original's are.
        max_predictions_per_seq: P.
        rate: the highest learning rate.
        num_train_steps: of the schedule.

    Returns:
        A function that takes a step on a batch and returns its loss.
    """
    original = load_original(folder, "run_pretraining")
    batch, length = shape
    widths = {
        **dict.fromkeys(("input_ids", "input_mask", "segment_ids"), length),
        "masked_lm_positions": max_predictions_per_seq,
        "masked_lm_ids": max_predictions_per_seq,
        "masked_lm_weights": max_predictions_per_seq,
        "next_sentence_labels": 1,
    }
    graph = tf.Graph()
    with graph.as_default():
        inputs = {
            name: tf.placeholder(
                tf.float32 if name == "masked_lm_weights" else tf.int32,
                [batch, width],
                name,
            )
            for name, width in widths.items()
        }
        config = original.modeling.BertConfig.from_json_file(config_file)
        model = original.modeling.BertModel(
            config=config,
            is_training=True,
            input_ids=inputs["input_ids"],
            input_mask=inputs["input_mask"],
            token_type_ids=inputs["segment_ids"],
            use_one_hot_embeddings=False,
        )
        masked_lm_loss, _, _ = original.run_pretraining.get_masked_lm_output(
            config,
            model.get_sequence_output(),
            model.get_embedding_table(),
            inputs["masked_lm_positions"],
            inputs["masked_lm_ids"],
            inputs["masked_lm_weights"],
        )
        next_loss, _, _ = original.run_pretraining.get_next_sentence_output(
            config, model.get_pooled_output(), inputs["next_sentence_labels"]
        )
        loss = masked_lm_loss + next_loss
        tf.train.get_or_create_global_step()
        update = original.optimization.create_optimizer(
            loss, rate, num_train_steps, 0, False
        )
        session = tf.Session()
        session.run(tf.global_variables_initializer())

    def step(features: dict[str, np.ndarray]) -> float:
        feeds = {inputs[name]: features[name] for name in widths}
        return float(session.run((loss, update), feeds)[0])

    return step


def token_vectors(
    folder: str,
    config_file: str,
    vocab_file: str,
    checkpoint: str,
    layers: Sequence[int],
    shape: tuple[int, int],
) -> Callable[[str, str], None]:
    """Builds the graph of the original's extract_features.py.

    Reading, tokenizing and the graph are the original's; batches are fed
    directly, without its TPUEstimator, and written as it writes them.

    Args:
        folder: a checkout of google-research/bert.
        config_file: of the model.
        vocab_file: an uncased one.
        checkpoint: in Google's format.
        layers: numbers of layers.
        shape: (B, S) of the batches, fixed as the original's are.

    Returns:
        A function that reads a file of texts and writes one of vectors.
    """
    original = load_original(folder, "extract_features")
    script = original.extract_features
    tokenizer = original.tokenization.FullTokenizer(vocab_file, True)
    graph = tf.Graph()
    with graph.as_default():
        inputs = {
            name: tf.placeholder(tf.int32, shape, name)
            for name in ("input_ids", "input_mask", "input_type_ids")
        }
        model = original.modeling.BertModel(
            config=original.modeling.BertConfig.from_json_file(config_file),
            is_training=False,
            input_ids=inputs["input_ids"],
            input_mask=inputs["input_mask"],
            token_type_ids=inputs["input_type_ids"],
            use_one_hot_embeddings=False,
        )
        assignment, _ = original.modeling.get_assignment_map_from_checkpoint(
            tf.trainable_variables(), checkpoint
        )
        tf.train.init_from_checkpoint(checkpoint, assignment)
        outputs = [model.get_all_encoder_layers()[layer] for layer in layers]
        session = tf.Session(graph=graph)
        session.run(tf.global_variables_initializer())

    def run(input_file: str, output_file: str) -> None:
        rows = script.convert_examples_to_features(
            script.read_examples(input_file), shape[1], tokenizer
        )
        with open(output_file, "w", encoding="utf-8") as file:
            for start in range(0, len(rows), shape[0]):
                some = rows[start : start + shape[0]]
                # The last batch is filled up with its first row.
                full = some + some[:1] * (shape[0] - len(some))
                feed = {
                    inputs[name]: [getattr(row, name) for row in full]
                    for name in inputs
                }
                found = session.run(outputs, feed)
                for place, row in enumerate(some):
                    features = [
                        {
                            "token": token,
                            "layers": [
                                {
                                    "index": layer,
                                    "values": [
                                        round(float(x), 6)
                                        for x in values[place, position]
                                    ],
                                }
                                for layer, values in zip(
                                    layers, found, strict=True
                                )
                            ],
                        }
                        for position, token in enumerate(row.tokens)
                    ]
                    line = {"linex_index": row.unique_id, "features": features}
                    file.write(json.dumps(line) + "\n")

    return run
