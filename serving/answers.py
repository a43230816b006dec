"""What an exported model says, for each shape of problem.

The outputs are made here as tensors and read here as Python values; which
signatures give them is `saved_model`'s matter, what they are computed from is
the classifier's.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from finetuning.multi_label import DEFAULT_SEPARATOR, MULTI_LABEL, THRESHOLD
from finetuning.regression import REGRESSION
from finetuning.single_label import SINGLE_LABEL

Tensors = dict[str, tf.Tensor]
Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The one label of a text."""

    label: str
    label_id: int
    """Number of the label, from 0."""
    probabilities: tuple[float, ...]
    """One for each label; they add up to 1."""


@dataclasses.dataclass(frozen=True)
class LabelSetPrediction:
    """The labels of a text, none or several."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    """One for each label that there is, each between 0 and 1."""


@dataclasses.dataclass(frozen=True)
class ValuePrediction:
    """The number that a text was given."""

    value: float


AnyPrediction = Prediction | LabelSetPrediction | ValuePrediction


@dataclasses.dataclass(frozen=True)
class Answers:
    """The outputs for one shape of problem, as functions."""

    scores: Callable[[tf.Tensor], Tensors]
    """Logits [N, C] → the outputs that are numbers."""
    decisions: Callable[[Tensors, Sequence[str]], Tensors]
    """(those outputs, labels) → the outputs that follow from them."""
    read: Callable[[Arrays, Sequence[str]], list[AnyPrediction]]
    """(all outputs, labels) → one prediction for each of the N texts."""


def _softmax(logits: tf.Tensor) -> Tensors:
    return {"probabilities": tf.nn.softmax(logits)}


def _one_label(scores: Tensors, labels: Sequence[str]) -> Tensors:
    label_id = tf.argmax(scores["probabilities"], -1, tf.int32)
    return {"label": tf.gather(list(labels), label_id), "label_id": label_id}


def _read_one_label(
    outputs: Arrays, labels: Sequence[str]
) -> list[AnyPrediction]:
    return [
        Prediction(labels[label_id], label_id, tuple(row))
        for label_id, row in zip(
            outputs["label_id"].tolist(),
            outputs["probabilities"].tolist(),
            strict=True,
        )
    ]


def _sigmoid(logits: tf.Tensor) -> Tensors:
    return {"probabilities": tf.sigmoid(logits)}


def _label_set(scores: Tensors, labels: Sequence[str]) -> Tensors:
    is_label = scores["probabilities"] >= THRESHOLD  # [N, C]
    # What comes before each name: nothing if it is the first of its row.
    before = tf.cumsum(tf.cast(is_label, tf.int32), axis=1, exclusive=True)
    names = tf.where(
        before > 0, [DEFAULT_SEPARATOR + label for label in labels], labels
    )
    label = tf.strings.reduce_join(tf.where(is_label, names, ""), axis=1)
    return {"label": label, "is_label": is_label}


def _read_label_set(
    outputs: Arrays, labels: Sequence[str]
) -> list[AnyPrediction]:
    return [
        LabelSetPrediction(tuple(itertools.compress(labels, flags)), tuple(row))
        for flags, row in zip(
            outputs["is_label"].tolist(),
            outputs["probabilities"].tolist(),
            strict=True,
        )
    ]


def _value(logits: tf.Tensor) -> Tensors:
    return {"value": logits[:, 0]}


def _nothing_more(scores: Tensors, labels: Sequence[str]) -> Tensors:
    return {}


def _read_value(outputs: Arrays, labels: Sequence[str]) -> list[AnyPrediction]:
    return [ValuePrediction(value) for value in outputs["value"].tolist()]


ANSWERS: dict[str, Answers] = {
    SINGLE_LABEL.name: Answers(_softmax, _one_label, _read_one_label),
    MULTI_LABEL.name: Answers(_sigmoid, _label_set, _read_label_set),
    REGRESSION.name: Answers(_value, _nothing_more, _read_value),
}


def all_outputs(
    problem: str, logits: Any, labels: Sequence[str]
) -> dict[str, tf.Tensor]:
    """Returns every output of an exported model.

    Args:
        problem: a key of `ANSWERS`.
        logits: float [N, C].
        labels: C names.

    Returns:
        With one label for each text `label` string [N], `label_id` int32 [N]
        and `probabilities` float [N, C]; with several, `label` string [N]
        (the names with | between them), `is_label` bool [N, C] and
        `probabilities` float [N, C]; for regression `value` float [N].
    """
    answers = ANSWERS[problem]
    scores = answers.scores(logits)
    return {**answers.decisions(scores, labels), **scores}
