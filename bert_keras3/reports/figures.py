"""How good a run is: metrics with their intervals, baselines, confusion."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from bert_keras3.reports.charts import interval_chart
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.resampling import intervals
from bert_keras3.reports.views import Outcomes, View, view_of
from bert_keras3.reports.wording import Wording
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.fit import lower_is_better

# Labels of a confusion matrix.
_MOST_LABELS = 40


def outcomes_of(
    record: RunRecord,
) -> tuple[View, Outcomes] | tuple[None, None]:
    """Reads the predictions for single examples, if they were kept."""
    settings = record.settings
    view = view_of(settings.problem, settings.labels)
    rows = record.predictions()
    first = next(rows, None)
    if view is None or first is None:
        return None, None
    return view, view.outcomes(itertools.chain([first], rows))


def best_metric_of(record: RunRecord) -> str:
    """Returns the metric by which the best weights were chosen."""
    made_by = record.provenance.get("training", {})
    given = made_by.get("training", {}).get("best_metric")
    benchmark = None
    with contextlib.suppress(UserError):
        benchmark = record.dataset.metric
    return given or benchmark or record.settings.task.default_metric


@dataclasses.dataclass(frozen=True)
class Figure:
    """A metric of the evaluation.

    Attributes:
        name: of the metric.
        value: as it was evaluated.
        low: the lower end of its interval; None without one.
        high: the upper end.
        others: {baseline: value}.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    others: Mapping[str, float]

    def verdict(self, t: Wording) -> str:
        """Says in a sentence how it stands to the baselines."""
        words = {"metric": t.name(self.name), "value": number(self.value)}
        if not self.others or self.low is None or self.high is None:
            return t("verdict", **words)
        sign = -1 if lower_is_better(self.name) else 1
        low, high = sorted((sign * self.low, sign * self.high))
        baseline, other = max(
            self.others.items(), key=lambda named: sign * named[1]
        )
        key = "verdict_equal"
        if low > sign * other:
            key = "verdict_better"
        elif high < sign * other:
            key = "verdict_worse"
        return t(key, **words, baseline=t.name(baseline), other=number(other))

    def chart(self, t: Wording) -> str:
        """Draws it beside the baselines' values."""
        if not math.isfinite(self.value):
            return ""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        rows = [(t("this_model"), self.value, low, high)]
        rows += [
            (t.name(name), value, value, value)
            for name, value in self.others.items()
        ]
        most = max(high for *_, high in rows)
        whole = next((end for end in (1.0, 100.0) if most <= end), most)
        return interval_chart(rows, whole)


def figures_of(
    record: RunRecord,
    outcomes: Outcomes | None,
    baselines: Mapping[str, Mapping[str, float]],
) -> list[Figure]:
    """Returns the metrics of an evaluation, that of the best weights first.

    Args:
        record: of the run.
        outcomes: of the single examples, if they are known.
        baselines: {baseline: {metric: value}}.
    """
    drawn: Mapping[str, tuple[float, float, float]] = {}
    if outcomes is not None:
        drawn = intervals(outcomes.groups, outcomes.metrics)
    best = best_metric_of(record)
    found = []
    for name in record.settings.task.metrics:
        value = record.results.get(name)
        if isinstance(value, (int, float)):
            _, low, high = drawn.get(name, (None, None, None))
            others = {
                baseline: values[name]
                for baseline, values in baselines.items()
                if math.isfinite(values.get(name, math.nan))
            }
            found.append(Figure(name, float(value), low, high, others))
    # A loss says least to a reader.
    return sorted(found, key=lambda one: (one.name != best, one.name == "loss"))


def number(value: float) -> str:
    """Returns a number with four digits."""
    return f"{value:.4g}"


@dataclasses.dataclass(frozen=True)
class Confusion:
    """A confusion matrix of at most 41 labels.

    Attributes:
        names: of the labels; None for all others together.
        counts: [C][C]; rows are true labels.
        most: the greatest count beside the diagonal.
        sizes: of each row.
    """

    names: Sequence[str | None]
    counts: Sequence[Sequence[int]]
    most: int
    sizes: Sequence[int]

    @classmethod
    def of(cls, record: RunRecord) -> Confusion | None:
        """Returns that of a run; of many labels those with most mistakes."""
        found = record.confusion
        if found is None:
            return None
        labels, counts = found
        names: list[str | None] = list(labels)
        if len(labels) > _MOST_LABELS:
            mistakes = counts - np.diag(np.diag(counts))
            weight = mistakes.sum(0) + mistakes.sum(1)
            kept = np.sort(np.argsort(-weight, kind="stable")[:_MOST_LABELS])
            group = np.full(len(labels), len(kept))
            group[kept] = np.arange(len(kept))
            merged = np.zeros((len(kept) + 1,) * 2, np.int64)
            np.add.at(merged, (group[:, None], group[None]), counts)
            counts = merged
            names = [*(labels[one] for one in kept), None]
        beside = counts - np.diag(np.diag(counts))
        return cls(
            names,
            counts.tolist(),
            max(1, int(beside.max())),
            counts.sum(1).tolist(),
        )

    def share(self, row: int, column: int) -> float:
        """How dark a cell is, from 0 to 1."""
        count = self.counts[row][column]
        if row == column:
            return count / max(1, self.sizes[row])
        return math.sqrt(count / self.most)
