"""What is said of a text, for each shape of problem, and how it is read.

From the numbers that a model gives, probabilities or a value, to Python
values; the same decisions as part of a graph are in `answers`. Loads no
TensorFlow.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bert_keras3.finetuning.label_sets import THRESHOLD


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
class Reading:
    """How the numbers of one shape of problem are read."""

    output: str
    """The name of the numbers among a model's outputs."""
    per_label: bool
    """Whether they are float [N, C], one for each label, or float [N]."""
    read: Callable[[np.ndarray, Sequence[str]], list[AnyPrediction]]
    """(those numbers, C labels) → one prediction for each of the N texts."""


def _one_label(
    probabilities: np.ndarray, labels: Sequence[str]
) -> list[AnyPrediction]:
    return [
        Prediction(labels[label_id], label_id, tuple(row))
        for label_id, row in zip(
            probabilities.argmax(-1).tolist(),
            probabilities.tolist(),
            strict=True,
        )
    ]


def _label_set(
    probabilities: np.ndarray, labels: Sequence[str]
) -> list[AnyPrediction]:
    is_label = probabilities >= THRESHOLD
    return [
        LabelSetPrediction(tuple(itertools.compress(labels, flags)), tuple(row))
        for flags, row in zip(
            is_label.tolist(), probabilities.tolist(), strict=True
        )
    ]


def _value(values: np.ndarray, labels: Sequence[str]) -> list[AnyPrediction]:
    return [ValuePrediction(value) for value in values.tolist()]


# {problem, as `Description` names it: how its numbers are read}
READINGS: Mapping[str, Reading] = {
    "single_label": Reading("probabilities", True, _one_label),
    "multi_label": Reading("probabilities", True, _label_set),
    "regression": Reading("value", False, _value),
}
