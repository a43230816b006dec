"""What every shape of problem must answer; the shapes are its neighbours.

`single_label`, `multi_label` and `regression` each make one `Problem`;
`problems` is the table of them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bert_keras3.inputs.examples import InputExample


class Targets(Protocol):
    """Turns label cells into arrays, one example after the other."""

    def add(self, example: InputExample) -> None:
        """Takes an example's label in.

        Raises:
            UserError: the label is missing, unknown or no number.
        """

    def finish(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Returns the label names, C in all, and the targets, [N, …].

        Raises:
            UserError: nothing can be learnt from these labels.
        """


@dataclasses.dataclass(frozen=True)
class LabelSource:
    """Where labels stand and which are known."""

    path: str | os.PathLike[str]
    """The file, for messages."""
    labels: tuple[str, ...] | None = None
    """The names to hold to; None to collect them."""
    columns: tuple[str, ...] = ()
    """The names of the label columns."""
    separator: str | None = None
    """What separates several labels in one cell."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How good predictions are."""

    scalars: Mapping[str, float]
    """One number a metric; `loss` is always there."""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What is more than a number: figures per label."""
    confusion: np.ndarray | None = None
    """int [C, C], true labels down, predicted ones across."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One shape of problem, as functions."""

    name: str
    make_targets: Callable[[LabelSource], Targets]
    loss: Callable[[Any, Any, Any], Any]
    """(logits [B, C], targets, example weights or None) → float32 scalar."""
    probabilities: Callable[[np.ndarray], np.ndarray]
    """Logits [N, C] → what is shown to a person, [N, C]."""
    decide: Callable[[np.ndarray, Sequence[str]], list[str]]
    """(probabilities [N, C], labels) → what is said of each example."""
    evaluate: Callable[[np.ndarray, np.ndarray, Sequence[str]], Evaluation]
    """(logits, targets, labels) → how good they are."""
    metrics: Callable[[int | None], tuple[str, ...]]
    """Number of labels → the names of `Evaluation.scalars`; None: all that
    there can be."""
    count: Callable[[np.ndarray, Sequence[str]], dict[str, float]]
    """(targets, labels) → how often each label occurs; of numbers, their
    range and mean."""
    default_metric: str
    """The metric that decides which weights are best."""
    has_classes: bool = False
    """Whether each example has exactly one of the labels."""
    has_probabilities: bool = True
    """Whether there is a probability for each label."""
