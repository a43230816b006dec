"""Probabilities one can trust: temperature, thresholds, and how far they hold.

A classifier that says 0.9 should be right nine times out of ten. Dividing its
logits by one number, the temperature, that is fitted on examples it was not
trained on, comes near that and changes no answer (Guo et al. 2017, "On
Calibration of Modern Neural Networks"). Where examples have several labels,
each label gets the minimum probability with the best F1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
from sklearn import metrics

from bert_keras3.finetuning.evaluation import Table

_NUM_BINS = 15
# A temperature beyond these is none: the examples are too few.
_LEAST, _MOST = 0.05, 20.0
_COVERAGE_AT = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Returns the temperature with the least mean cross-entropy.

    Args:
        logits: float [N, C].
        targets: int [N], the right classes.
    """
    logits = logits.astype(np.float64)
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        log_probs = scipy.special.log_softmax(
            logits / np.exp(log_temperature), -1
        )
        return float(-log_probs[rows, targets].mean())

    found = scipy.optimize.minimize_scalar(
        loss, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded"
    )
    return float(np.exp(found.x))


def fit_thresholds(
    probabilities: np.ndarray, targets: np.ndarray
) -> tuple[float, ...]:
    """Returns the minimum probability with the best F1, for each label.

    It lies half way to the next probability below, so that it does not hang on
    one example. A label that no example has keeps 0.5.

    Args:
        probabilities: float [N, C].
        targets: [N, C] of 0 and 1.
    """
    thresholds = []
    for scores, truth in zip(probabilities.T, targets.T, strict=True):
        if not truth.any():
            thresholds.append(0.5)
            continue
        precision, recall, levels = metrics.precision_recall_curve(
            truth, scores
        )
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(f1[:-1].argmax())
        below = levels[best - 1] if best else 0.0
        thresholds.append(float((levels[best] + below) / 2))
    return tuple(thresholds)


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How often a classifier is right, by how sure it is.

    Attributes:
        log_probs: float64 [N, C].
        targets: int [N].
    """

    log_probs: np.ndarray
    targets: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """The highest probability of each example, [N]."""
        return np.exp(self.log_probs.max(-1))

    @property
    def is_right(self) -> np.ndarray:
        """Whether the most probable class is the right one, bool [N]."""
        return np.asarray(self.log_probs.argmax(-1) == self.targets)

    def bins(self) -> list[dict[str, float]]:
        """Returns examples, mean confidence and accuracy of each bin."""
        places = np.minimum(
            (self.confidence * _NUM_BINS).astype(int), _NUM_BINS - 1
        )
        return [
            {
                "from": place / _NUM_BINS,
                "examples": int((places == place).sum()),
                "confidence": float(self.confidence[places == place].mean()),
                "accuracy": float(self.is_right[places == place].mean()),
            }
            for place in np.unique(places).tolist()
        ]

    @property
    def expected_error(self) -> float:
        """The expected calibration error, with 15 bins of equal width.

        It is the mean distance between confidence and accuracy.
        """
        total = len(self.targets)
        return sum(
            one["examples"] / total * abs(one["confidence"] - one["accuracy"])
            for one in self.bins()
        )

    def values(self, temperature: float) -> dict[str, Any]:
        """Returns all figures as JSON values.

        Args:
            temperature: that the logits were divided by.
        """
        before = Reliability(
            scipy.special.log_softmax(self.log_probs * temperature, -1),
            self.targets,
        )
        return {
            "temperature": temperature,
            "expected_calibration_error": self.expected_error,
            "expected_calibration_error_without": before.expected_error,
            "bins": self.bins(),
            "coverage": self.coverage(),
        }

    def coverage(self, further: float = 0.0) -> list[dict[str, float]]:
        """Returns how many examples are answered, and how many of them right.

        Args:
            further: a least confidence beside the usual ones.
        """
        levels = sorted({*_COVERAGE_AT, further})
        rows = []
        for level in levels:
            answered = self.confidence >= level
            right = self.is_right[answered]
            rows.append(
                {
                    "least_confidence": level,
                    "coverage": float(answered.mean()),
                    "accuracy": float(right.mean()) if len(right) else 1.0,
                }
            )
        return rows

    def tables(self, unsure_below: float) -> list[Table]:
        """Returns what is printed of it.

        Args:
            unsure_below: the least confidence of an answer.
        """
        return [
            Table(
                "answers that are at least so sure",
                ("sure", "answered", "accuracy of these"),
                [
                    (
                        f"{row['least_confidence']:g}",
                        f"{row['coverage']:.1%}",
                        f"{row['accuracy']:.1%}",
                    )
                    for row in self.coverage(unsure_below)
                ],
            )
        ]
