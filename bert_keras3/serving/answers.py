"""What an exported model says, for each shape of problem.

The outputs are made here as tensors and read by `predictions` as Python
values; which signatures give them is `saved_model`'s matter, what they are
computed from is the classifier's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from bert_keras3.finetuning.label_sets import DEFAULT_SEPARATOR, THRESHOLD
from bert_keras3.finetuning.multi_label import MULTI_LABEL
from bert_keras3.finetuning.regression import REGRESSION
from bert_keras3.finetuning.single_label import SINGLE_LABEL

Tensors = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Answers:
    """The outputs for one shape of problem, as functions."""

    scores: Callable[[tf.Tensor], Tensors]
    """Logits [N, C] → the outputs that are numbers."""
    decisions: Callable[[Tensors, Sequence[str]], Tensors]
    """(those outputs, labels) → the outputs that follow from them."""


def _softmax(logits: tf.Tensor) -> Tensors:
    return {"probabilities": tf.nn.softmax(logits)}


def _one_label(scores: Tensors, labels: Sequence[str]) -> Tensors:
    label_id = tf.argmax(scores["probabilities"], -1, tf.int32)
    return {"label": tf.gather(list(labels), label_id), "label_id": label_id}


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


def _value(logits: tf.Tensor) -> Tensors:
    return {"value": logits[:, 0]}


def _nothing_more(scores: Tensors, labels: Sequence[str]) -> Tensors:
    return {}


ANSWERS: dict[str, Answers] = {
    SINGLE_LABEL.name: Answers(_softmax, _one_label),
    MULTI_LABEL.name: Answers(_sigmoid, _label_set),
    REGRESSION.name: Answers(_value, _nothing_more),
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
