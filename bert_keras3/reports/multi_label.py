"""What a report shows of examples with any number of labels."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.reports import baselines
from bert_keras3.reports.charts import line_chart
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

# Labels whose curves are drawn, the commonest ones.
_MOST_CURVES = 5


class MultiLabelView(ViewDefaults):
    """See `views.View`."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        """Takes the C labels."""
        self._labels = labels
        self._ids = {label: number for number, label in enumerate(labels)}
        self._expected = self._probabilities = np.zeros((0, len(labels)))

    def outcomes(self, rows: Iterable[Mapping[str, Any]]) -> Outcomes:
        """See `View`."""
        numbers = array.array("q")
        flags: list[list[np.ndarray]] = [[], []]
        probabilities = []
        for row in rows:
            numbers.append(row["row"])
            for found, names in zip(
                flags, (row["labels"], row["predicted"]), strict=True
            ):
                one = np.zeros(len(self._labels), bool)
                one[[self._ids[name] for name in names]] = True
                found.append(one)
            values = np.zeros(len(self._labels), np.float16)
            for name, value in row["probabilities"].items():
                values[self._ids[name]] = value
            probabilities.append(values)
        expected, predicted = map(np.stack, flags)
        self._expected = expected
        self._probabilities = np.stack(probabilities)
        in_common = (expected & predicted).sum(-1)
        in_all = expected.sum(-1) + predicted.sum(-1)
        # The label that the model is least sure of.
        sure = (
            np.abs(self._probabilities.astype(np.float32) - 0.5).min(-1) + 0.5
        )
        return Outcomes(
            np.arange(len(numbers)),
            set_metrics(expected, predicted),
            wrong=np.where(
                in_all > 0, 1 - 2 * in_common / np.maximum(in_all, 1), 0
            ),
            confidence=sure,
            doubt=-sure,
            cells=None,
            rows=np.array(numbers),
        )

    def baselines(
        self, record: RunRecord, outcomes: Outcomes
    ) -> dict[str, dict[str, float]]:
        """See `View`."""
        once = np.ones((1, len(outcomes)))
        return {
            name: {
                metric: float(function(once)[0])
                for metric, function in set_metrics(
                    self._expected, predicted.astype(bool)
                ).items()
            }
            for name, predicted in baselines.predictions(
                record, outcomes.rows
            ).items()
        }

    def charts(self, outcomes: Outcomes, wording: Wording) -> Sequence[Chart]:
        """Precision against recall of the commonest labels."""
        counts = self._expected.sum(0)
        commonest = np.argsort(-counts, kind="stable")[:_MOST_CURVES]
        curves = {
            self._labels[label]: _precision_and_recall(
                self._expected[:, label], self._probabilities[:, label]
            )
            for label in commonest.tolist()
            if counts[label]
        }
        if not curves:
            return ()
        svg = line_chart(
            curves,
            x_title=wording("recall"),
            y_title=wording("precision"),
            are_shares=True,
        )
        note = wording("curves_note")
        return [Chart(wording("curves"), svg, note, tuple(curves))]

    def shown(self, row: Mapping[str, Any], example: Any) -> Shown:
        """See `View`."""
        return Shown(
            guid_of(row, example),
            texts_of(example),
            ", ".join(row["labels"]) or "—",
            ", ".join(row["predicted"]) or "—",
        )


def set_metrics(
    expected: np.ndarray, predicted: np.ndarray
) -> dict[str, Metric]:
    """Returns accuracy, micro-F1 and macro-F1 of sets of labels.

    Args:
        expected: bool [E, C].
        predicted: bool [E, C].
    """
    right = (expected & predicted).astype(np.float32)
    both = expected.astype(np.float32) + predicted
    whole = (expected == predicted).all(-1)

    def micro(counts: np.ndarray) -> np.ndarray:
        sums = counts @ both.sum(-1, dtype=np.float64)
        return (
            2 * (counts @ right.sum(-1, dtype=np.float64)) / np.maximum(sums, 1)
        )

    def macro(counts: np.ndarray) -> np.ndarray:
        counts = counts.astype(np.float32)
        f1s = 2 * (counts @ right) / np.maximum(counts @ both, 1)
        return f1s.mean(-1, dtype=np.float64)

    return {
        "micro_f1": micro,
        "macro_f1": macro,
        "accuracy": lambda counts: counts @ whole / counts.sum(-1),
    }


def _precision_and_recall(
    is_label: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (recall [P], precision [P]) as the threshold falls."""
    order = np.argsort(-probabilities, kind="stable")
    found = np.cumsum(is_label[order])
    # Examples of one probability are found together.
    ends = np.flatnonzero(np.r_[np.diff(probabilities[order]) != 0, True])
    precision = found[ends] / (ends + 1)
    return found[ends] / found[-1], precision
