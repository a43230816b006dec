"""Each example has a number: one output, squared error."""

from __future__ import annotations

import array
import math
import warnings
from collections.abc import Sequence

import numpy as np
import scipy.stats

from bert_keras3.finetuning.problem import Evaluation, LabelSource, Problem
from bert_keras3.inputs.examples import InputExample
from bert_keras3.safekeeping.errors import UserError
from modeling.losses import regression_loss


def as_number(cell: str) -> float | None:
    """Returns the finite number that a cell says, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class _Targets:
    """Reads numbers; the one output is named after their column."""

    def __init__(self, source: LabelSource) -> None:
        self._source = source
        self._values = array.array("f")

    def add(self, example: InputExample) -> None:
        cell = example.label if isinstance(example.label, str) else ""
        value = as_number(cell)
        if value is None:
            raise UserError(
                f"{self._source.path}, line {example.line}: {cell!r} is no "
                "number, as --problem_type=regression needs. Correct the "
                "row, or say "
                "--problem_type=single_label."
            )
        self._values.append(value)

    def finish(self) -> tuple[tuple[str, ...], np.ndarray]:
        labels = self._source.labels or self._source.columns or ("score",)
        return labels[:1], np.frombuffer(self._values, np.float32)


def _decide(values: np.ndarray, labels: Sequence[str]) -> list[str]:
    return [f"{value:.6g}" for value in values[:, 0]]


def _evaluate(
    logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]
) -> Evaluation:
    predicted = logits[:, 0].astype(np.float64)
    errors = predicted - targets
    with warnings.catch_warnings():  # of constant values, where r is undefined
        warnings.simplefilter("ignore")
        pearson = float(scipy.stats.pearsonr(predicted, targets)[0])
        spearman = float(scipy.stats.spearmanr(predicted, targets)[0])
    return Evaluation(
        {
            "loss": float(np.square(errors).mean()),
            "mean_absolute_error": float(np.abs(errors).mean()),
            "pearson": pearson if math.isfinite(pearson) else 0.0,
            "spearman": spearman if math.isfinite(spearman) else 0.0,
        }
    )


def _spread(targets: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    return {
        "least": float(targets.min()),
        "mean": float(targets.mean(dtype=np.float64)),
        "most": float(targets.max()),
    }


REGRESSION = Problem(
    name="regression",
    make_targets=_Targets,
    loss=regression_loss,
    probabilities=lambda logits: logits,
    decide=_decide,
    evaluate=_evaluate,
    metrics=lambda num_labels: (
        *("loss", "mean_absolute_error", "pearson", "spearman"),
    ),
    count=_spread,
    default_metric="pearson",
    has_probabilities=False,
)
