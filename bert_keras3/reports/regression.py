"""What a report shows of examples with a number each."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.reports import baselines
from bert_keras3.reports.charts import histogram, scatter_chart
from bert_keras3.reports.resampling import Metric, mean_of
from bert_keras3.reports.views import (
    Chart,
    Outcomes,
    Shown,
    ViewDefaults,
    guid_of,
    texts_of,
)

if TYPE_CHECKING:
    from bert_keras3.reports.record import RunRecord
    from bert_keras3.reports.wording import Wording


class RegressionView(ViewDefaults):
    """See `views.View`."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        """Takes the name of the number."""
        self._expected = self._predicted = np.zeros(0)

    def outcomes(self, rows: Iterable[Mapping[str, Any]]) -> Outcomes:
        """See `View`; `wrong` is the error, as a part of the range."""
        numbers = array.array("q")
        expected, predicted = array.array("d"), array.array("d")
        for row in rows:
            numbers.append(row["row"])
            expected.append(row["label"])
            predicted.append(row["predicted"])
        self._expected, self._predicted = map(np.array, (expected, predicted))
        errors = np.abs(self._predicted - self._expected)
        return Outcomes(
            np.arange(len(numbers)),
            number_metrics(self._expected, self._predicted),
            wrong=errors / (np.ptp(self._expected) or 1.0),
            confidence=np.full(len(numbers), np.nan),
            doubt=None,
            cells=None,
            rows=np.array(numbers),
        )

    def baselines(
        self, record: RunRecord, outcomes: Outcomes
    ) -> dict[str, dict[str, float]]:
        """See `View`."""
        predictions = baselines.predictions(record, outcomes.rows)
        predictions["mean_value"] = predictions.pop(baselines.MAJORITY)
        once = np.ones((1, len(outcomes)))
        return {
            name: {
                metric: float(function(once)[0])
                for metric, function in number_metrics(
                    self._expected, predicted
                ).items()
            }
            for name, predicted in sorted(predictions.items())
        }

    def charts(self, outcomes: Outcomes, wording: Wording) -> Sequence[Chart]:
        """Predictions against labels, and how large the errors are."""
        dots = scatter_chart(
            self._expected,
            self._predicted,
            x_title=wording("expected"),
            y_title=wording("predicted"),
            diagonal=True,
        )
        bars = histogram(
            self._predicted - self._expected,
            x_title=wording("residual"),
            y_title=wording("support"),
        )
        return [
            Chart(wording("scatter"), dots),
            Chart(wording("residuals"), bars),
        ]

    def shown(self, row: Mapping[str, Any], example: Any) -> Shown:
        """See `View`."""
        return Shown(
            guid_of(row, example),
            texts_of(example),
            f"{row['label']:.4g}",
            f"{row['predicted']:.4g}",
        )


def number_metrics(
    expected: np.ndarray, predicted: np.ndarray
) -> dict[str, Metric]:
    """Returns both correlations, the mean absolute error and the loss.

    A constant has the correlation 0. The ranks of Spearman's correlation are
    those among all examples, in every sample.

    Args:
        expected: float [E].
        predicted: float [E].
    """
    import scipy.stats

    errors = predicted - expected
    return {
        "pearson": _correlation(expected, predicted),
        "spearman": _correlation(
            *map(scipy.stats.rankdata, (expected, predicted))
        ),
        "mean_absolute_error": mean_of(np.abs(errors)),
        "loss": mean_of(np.square(errors)),
    }


def _correlation(x: np.ndarray, y: np.ndarray) -> Metric:
    # Around their means, so that no digits cancel.
    x, y = x - x.mean(), y - y.mean()
    products = np.stack([x, y, x * x, y * y, x * y], -1)

    def metric(counts: np.ndarray) -> np.ndarray:
        means = (counts @ products) / counts.sum(-1, keepdims=True)
        of_x, of_y, of_xx, of_yy, of_xy = np.moveaxis(means, -1, 0)
        spread = (of_xx - of_x**2) * (of_yy - of_y**2)
        is_constant = spread <= 1e-24
        return np.where(
            is_constant,
            0.0,
            (of_xy - of_x * of_y) / np.sqrt(np.where(is_constant, 1, spread)),
        )

    return metric
