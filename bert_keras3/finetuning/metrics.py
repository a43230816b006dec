"""Metrics for each label, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn import metrics


def figures_per_label(
    truth: np.ndarray, predicted: np.ndarray, labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Returns precision, recall, F1 and support of every label.

    Args:
        truth: label ids int [N], or int [N, C] of 0 and 1.
        predicted: the predictions in the same form.
        labels: the C names.

    Returns:
        {label: {metric: value}}; 0 where a metric would divide by 0.
    """
    figures = metrics.precision_recall_fscore_support(
        truth,
        predicted,
        labels=range(len(labels)),
        average=None,
        zero_division=0.0,
    )
    names = ("precision", "recall", "f1", "support")
    return {
        label: {
            name: float(values[number])
            for name, values in zip(names, figures, strict=True)
        }
        for number, label in enumerate(labels)
    }


def macro_f1(per_label: dict[str, dict[str, float]]) -> float:
    """Returns the mean F1 of all labels, however rare."""
    return sum(figure["f1"] for figure in per_label.values()) / len(per_label)
