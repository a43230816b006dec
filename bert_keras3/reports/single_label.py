"""What a report shows of examples with one label each."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.reports import baselines
from bert_keras3.reports.choice import reliability
from bert_keras3.reports.resampling import Metric
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


class SingleLabelView(ViewDefaults):
    """See `views.View`."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        """Takes the C labels."""
        self._labels = labels
        self._expected = self._predicted = np.zeros(0, np.int64)
        self._words: np.ndarray | None = None

    def outcomes(self, rows: Iterable[Mapping[str, Any]]) -> Outcomes:
        """See `View`."""
        ids = {label: number for number, label in enumerate(self._labels)}
        numbers, expected, predicted = (array.array("q") for _ in range(3))
        confidence, margin = array.array("f"), array.array("f")
        for row in rows:
            best = [*row["probabilities"].values(), 0.0, 0.0]
            numbers.append(row["row"])
            expected.append(ids[row["label"]])
            predicted.append(ids[row["predicted"]])
            confidence.append(best[0])
            margin.append(best[0] - best[1])
        self._expected = np.array(expected)
        self._predicted = np.array(predicted)
        cells = self._expected * len(self._labels) + self._predicted
        found, groups = np.unique(cells, return_inverse=True)
        return Outcomes(
            groups.reshape(-1),
            classification_metrics(
                found // len(self._labels),
                found % len(self._labels),
                len(self._labels),
            ),
            wrong=(self._expected != self._predicted).astype(np.float32),
            confidence=np.array(confidence),
            doubt=-np.array(margin),
            cells=cells,
            rows=np.array(numbers),
        )

    def baselines(
        self, record: RunRecord, outcomes: Outcomes
    ) -> dict[str, dict[str, float]]:
        """See `View`."""
        predictions = baselines.predictions(record, outcomes.rows)
        self._words = predictions[baselines.BAG_OF_WORDS]
        return {
            name: {
                metric: float(function(np.ones((1, len(self._expected))))[0])
                for metric, function in classification_metrics(
                    self._expected, predicted, len(self._labels)
                ).items()
            }
            for name, predicted in predictions.items()
        }

    def suspects(self, outcomes: Outcomes, least: float) -> np.ndarray:
        """See `View`: the bag of words gives the model's label, too."""
        if self._words is None:
            return np.zeros(0, np.int64)
        found = np.flatnonzero(
            (self._words == self._predicted)
            & (outcomes.wrong > 0)
            & (outcomes.confidence >= least)
        )
        order = np.argsort(-outcomes.confidence[found], kind="stable")
        return np.asarray(found[order])

    def charts(self, outcomes: Outcomes, wording: Wording) -> Sequence[Chart]:
        """How often a prediction is right, by how sure it is."""
        return [reliability(outcomes, wording, "accuracy")]

    def shown(self, row: Mapping[str, Any], example: Any) -> Shown:
        """See `View`."""
        return Shown(
            guid_of(row, example),
            texts_of(example),
            row["label"],
            row["predicted"],
        )


def classification_metrics(
    expected: np.ndarray, predicted: np.ndarray, num_labels: int
) -> dict[str, Metric]:
    """Returns accuracy, macro-F1, MCC and, of two labels, F1.

    Args:
        expected: int [U], the label of each group.
        predicted: int [U].
        num_labels: C.
    """
    import scipy.sparse

    size = len(expected)
    places = np.arange(size)
    of_label, of_prediction = (
        scipy.sparse.csr_array(
            (np.ones(size), (places, ids)), (size, num_labels)
        )
        for ids in (expected, predicted)
    )
    is_right = expected == predicted

    def sums(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[B, U] → right, expected and predicted ones of each label."""
        return (
            (counts * is_right) @ of_label,
            counts @ of_label,
            counts @ of_prediction,
        )

    def f1s(counts: np.ndarray) -> np.ndarray:
        right, of_expected, of_predicted = sums(counts)
        return 2.0 * right / np.maximum(of_expected + of_predicted, 1.0)

    def mcc(counts: np.ndarray) -> np.ndarray:
        right, one, other = sums(counts)
        total = counts.sum(-1)
        covariance = right.sum(-1) * total - (one * other).sum(-1)
        spread = (total**2 - (one**2).sum(-1)) * (total**2 - (other**2).sum(-1))
        return covariance / np.sqrt(np.maximum(spread, 1.0))

    metrics: dict[str, Metric] = {
        "accuracy": lambda counts: (counts @ is_right) / counts.sum(-1),
        "macro_f1": lambda counts: f1s(counts).mean(-1),
        "mcc": mcc,
    }
    if num_labels == 2:
        metrics["f1"] = lambda counts: f1s(counts)[:, 1]
    return metrics
