"""Each example has exactly one label: softmax over all of them."""

from __future__ import annotations

import array
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.special
from sklearn import metrics

from bert_keras3.finetuning.metrics import figures_per_label, macro_f1
from bert_keras3.finetuning.problem import Evaluation, LabelSource, Problem
from bert_keras3.inputs.examples import InputExample, is_number
from bert_keras3.safekeeping.errors import UserError
from modeling.losses import classification_loss


def ordered_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Returns labels in their fixed order: numbers by size, words by letter."""
    if all(map(is_number, labels)):
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    return tuple(sorted(labels))


def unknown_label(
    source: LabelSource, example: InputExample, label: str
) -> UserError:
    """Returns the error that tells of a label that is not to be learnt."""
    return UserError(
        f"{source.path}, line {example.line}: the label {label!r} is not "
        f"among the labels of the training data: "
        f"{_listed(source.labels or ())}. Correct the row, or train on data "
        "that has this label."
    )


class _Targets:
    """Numbers labels as they come and puts them in order at the end."""

    def __init__(self, source: LabelSource) -> None:
        self._source = source
        self._numbers: dict[str, int] = {
            label: number for number, label in enumerate(source.labels or ())
        }
        self._seen = array.array("i")

    def add(self, example: InputExample) -> None:
        label = example.label
        if not isinstance(label, str):
            raise UserError(
                f"{self._source.path}, line {example.line}: the example has "
                f"{'no label' if label is None else 'several labels'}; each "
                "needs exactly one (--problem_type=multi_label is for more)"
            )
        number = self._numbers.get(label)
        if number is None:
            if self._source.labels is not None:
                raise unknown_label(self._source, example, label)
            number = self._numbers[label] = len(self._numbers)
        self._seen.append(number)

    def finish(self) -> tuple[tuple[str, ...], np.ndarray]:
        seen = np.frombuffer(self._seen, np.int32)
        if self._source.labels is not None:
            return self._source.labels, seen
        if len(self._numbers) < 2:
            only = next(iter(self._numbers), None)
            raise UserError(
                f"{self._source.path}: all {len(seen)} rows have the same "
                f"label, {only!r}; a classifier needs at least two. Is "
                f"{' '.join(self._source.columns) or 'this'} the label "
                "column? Name it with --label_column."
            )
        labels = ordered_labels(list(self._numbers))
        new_numbers = np.empty(len(labels), np.int32)
        for number, label in enumerate(labels):
            new_numbers[self._numbers[label]] = number
        return labels, new_numbers[seen]


def _listed(labels: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(labels[:most])
    return shown + (" …" if len(labels) > most else "")


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return scipy.special.softmax(logits, axis=-1)


def _decide(probabilities: np.ndarray, labels: Sequence[str]) -> list[str]:
    return [labels[number] for number in probabilities.argmax(-1)]


def _evaluate(
    logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]
) -> Evaluation:
    """Accuracy, F1, MCC and loss; labels that never occur count as 0."""
    log_probs = scipy.special.log_softmax(logits.astype(np.float64), axis=-1)
    predicted = logits.argmax(-1)
    per_label = figures_per_label(targets, predicted, labels)
    scalars = {
        "loss": float(-log_probs[np.arange(len(targets)), targets].mean()),
        "accuracy": float(metrics.accuracy_score(targets, predicted)),
        "macro_f1": macro_f1(per_label),
        "mcc": _matthews(targets, predicted),
    }
    if "f1" in _metrics(len(labels)):
        # As GLUE has it: of the second label.
        scalars["f1"] = per_label[labels[1]]["f1"]
    confusion = metrics.confusion_matrix(
        targets, predicted, labels=range(len(labels))
    )
    return Evaluation(scalars, {"per_label": per_label}, confusion)


def _metrics(num_labels: int | None) -> tuple[str, ...]:
    always = ("loss", "accuracy", "macro_f1", "mcc")
    return (*always, "f1") if num_labels in (2, None) else always


def _count(targets: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    counts = np.bincount(targets, minlength=len(labels))
    return dict(zip(labels, counts.tolist(), strict=True))


def _matthews(targets: np.ndarray, predicted: np.ndarray) -> float:
    with warnings.catch_warnings():  # of a single class, where it is 0
        warnings.simplefilter("ignore")
        return float(metrics.matthews_corrcoef(targets, predicted))


def _loss(logits: Any, targets: Any, weights: Any) -> Any:
    return classification_loss(logits, targets, weights)


SINGLE_LABEL = Problem(
    name="single_label",
    make_targets=_Targets,
    loss=_loss,
    probabilities=_probabilities,
    decide=_decide,
    evaluate=_evaluate,
    metrics=_metrics,
    count=_count,
    default_metric="accuracy",
    has_classes=True,
)
