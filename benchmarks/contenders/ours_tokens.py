"""This project on spans and tags, as its scripts compute them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# It sets the environment before TensorFlow is imported.
from benchmarks.contenders import ours  # isort: skip
from benchmarks.contender_inputs import (
    Batch,
    ContenderInputs,
    head_weights,
    load_batches,
    num_tags,
)
from bert_keras3 import checkpointing
from bert_keras3.finetuning.span import Span
from bert_keras3.finetuning.tagging import Tagging
from bert_keras3.finetuning.task import Task
from bert_keras3.inputs.feature_store import INPUT_MASK
from bert_keras3.optimization import create_optimizer
from bert_keras3.training.concurrency import suitable_concurrency
from bert_keras3.training.predict import Predictor
from bert_keras3.training.step import StepSettings, TrainStep
from modeling import BertWithHeads

PACKAGES = ours.PACKAGES


def _model(given: ContenderInputs, task: Task) -> BertWithHeads:
    """Returns the model with everybody's head."""
    config = checkpointing.bert_config(given.weights)
    model = BertWithHeads(config, task.heads, task.labels)
    heads = [
        weight
        for weight in model.weights
        if not weight.path.startswith("bert/")
    ]
    names = tuple(weight.path for weight in heads)
    checkpointing.load(model, given.weights, allow_missing=names)
    for weight in heads:
        if len(weight.shape) == 2:
            weight.assign(head_weights(*weight.shape))
    return model


def _predict(
    given: ContenderInputs, task: Task
) -> Callable[[Batch], np.ndarray]:
    predictor = Predictor(_model(given, task), per_token=task.per_token)

    def run(batch: Batch) -> np.ndarray:
        inputs = {name: batch[name] for name in task.inputs}
        lengths = batch[INPUT_MASK].sum(1)
        numbers = np.arange(len(lengths))
        outputs = predictor([(numbers, inputs)], lengths)
        return np.stack([outputs[name] for name in task.per_token])

    return run


def _train(given: ContenderInputs, task: Task) -> Callable[[Batch], np.ndarray]:
    step = TrainStep(
        _model(given, task),
        lambda model, features, training: task.loss(
            model(features, training=training), features
        ),
        create_optimizer(1e-5, 1000, 0),
        StepSettings(
            concurrency=suitable_concurrency(),
            per_token=("input_ids", "input_mask", "segment_ids", "tags"),
        ),
    )
    return lambda batch: np.asarray(step(batch)["loss"])


def _tagging(given: ContenderInputs) -> Tagging:
    number = num_tags(load_batches(given.batches))
    return Tagging(tuple(map(str, range(number))))


def predict_spans(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Logits of first and last tokens."""
    return _predict(given, Span())


def train_spans(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps."""
    return _train(given, Span())


def predict_tags(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Logits of tags."""
    return _predict(given, _tagging(given))


def train_tags(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Fine-tuning steps."""
    return _train(given, _tagging(given))
