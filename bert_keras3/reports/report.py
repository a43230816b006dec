"""One run → its report, a page for a browser.

    the folder ─▶ RunRecord ─▶ the view of the task ─▶ figures and rows
      ─▶ templates/report.html

A part of the report whose files are missing is left out, and the page says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.explaining.page import rendered
from bert_keras3.reports import soundness
from bert_keras3.reports.baselines import chosen
from bert_keras3.reports.charts import interval_chart, line_chart
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.resampling import intervals
from bert_keras3.reports.views import Chart, Outcomes, Shown, View, view_of
from bert_keras3.reports.wording import Wording
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.fit import lower_is_better

_PACKAGE = "bert_keras3.reports"

# Rows in a page, of each kind, and how much of them.
_MISTAKES, _UNSURE, _OF_A_CELL, _MOST_ROWS = 200, 80, 12, 700
_MOST_CHARACTERS = 500
_MOST_BYTES = 1_200_000
# Labels of a confusion matrix, and rows of a table.
_MOST_LABELS = 40
_MOST_IN_A_TABLE = 300
# Labels with fewer training examples are said to be rare.
_RARE = 10
# Of a label that may be wrong, the model gives another one at least this.
_SURE = 0.9


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


def report_page(
    record: RunRecord, wording: Wording, num_reasons: int = 0
) -> str:
    """Returns the page of a run, below 2 MB.

    Args:
        record: of the run.
        wording: in the language of the page.
        num_reasons: for how many mistakes, and as many least sure
            predictions, the tokens that made them are looked for.

    Raises:
        UserError: a file of the run is damaged.
    """
    made = _Report(record, wording, num_reasons)
    confusion = _Confusion.of(record)
    return rendered(
        "report.html",
        {
            "rows": made.rows,
            "words": {
                key: wording(key)
                for key in (
                    *("of", "none_found", "mark_right", "mark_missed"),
                    *("mark_wrong", "why"),
                )
            },
        },
        package=_PACKAGE,
        t=wording,
        record=record,
        figures=made.figures,
        baselines=made.baselines,
        headline=made.headline,
        verdict=made.verdict,
        last_evaluation=_last_evaluation(record, wording),
        num_evaluated=record.results.get("examples"),
        figure_chart=made.figure_chart,
        charts=made.charts,
        per_label=list(record.results.get("per_label", {}).items())[
            :_MOST_IN_A_TABLE
        ],
        confusion=confusion,
        has_rows=made.outcomes is not None,
        has_confidence=any(row["confidence"] is not None for row in made.rows),
        kinds=made.kinds,
        num_suspects=made.num_suspects,
        texts_error=made.texts_error,
        counts=soundness.counts_of(record.data_report),
        findings=made.findings,
        rare=_rare_labels(record),
        label_counts=_label_counts(record),
        curves=_curves(record, wording),
        facts=_facts(record, wording),
        settings=settings_of(record),
    )


class _Report:
    """The parts of a report that need the evaluated examples."""

    def __init__(
        self, record: RunRecord, wording: Wording, num_reasons: int
    ) -> None:
        self._record, self._t = record, wording
        self._num_reasons = num_reasons
        self.texts_error = ""
        self.view: View | None
        self.outcomes: Outcomes | None
        self.view, self.outcomes = outcomes_of(record)
        self.baselines: Mapping[str, Mapping[str, float]] = {}
        self.findings: soundness.Findings | None = None
        try:
            if self.view is not None and self.outcomes is not None:
                self.baselines = self.view.baselines(record, self.outcomes)
            self.findings = soundness.find(record)
        except UserError as error:
            self.texts_error = str(error)
        self.figures = self._figures()
        self.headline = next(iter(self.figures), None)
        self.kinds: list[str] = []
        self.num_suspects = 0
        self.rows = self._rows()

    def _figures(self) -> list[Figure]:
        """Returns the metrics, that of the best weights first."""
        figures = [
            Figure(
                name,
                *found,
                {
                    baseline: values[name]
                    for baseline, values in self.baselines.items()
                    if math.isfinite(values.get(name, math.nan))
                },
            )
            for name, found in metrics_of(self._record, self.outcomes).items()
        ]
        best = best_metric_of(self._record)
        return sorted(figures, key=lambda one: one.name != best)

    @property
    def verdict(self) -> str:
        """What the first metric says, as a sentence."""
        if self.headline is None:
            return ""
        one = self.headline
        words = {
            "metric": self._t.name(one.name),
            "value": _number(one.value),
        }
        if not one.others or one.low is None or one.high is None:
            return self._t("verdict", **words)
        sign = -1 if lower_is_better(one.name) else 1
        low, high = sorted((sign * one.low, sign * one.high))
        baseline, other = max(
            one.others.items(), key=lambda named: sign * named[1]
        )
        key = "verdict_equal"
        if low > sign * other:
            key = "verdict_better"
        elif high < sign * other:
            key = "verdict_worse"
        return self._t(
            key,
            **words,
            baseline=self._t.name(baseline),
            other=_number(other),
        )

    @property
    def figure_chart(self) -> str:
        """The first metric beside the baselines'."""
        one = self.headline
        if one is None or not math.isfinite(one.value):
            return ""
        low = one.value if one.low is None else one.low
        high = one.value if one.high is None else one.high
        rows = [(self._t("this_model"), one.value, low, high)]
        rows += [
            (self._t.name(name), value, value, value)
            for name, value in one.others.items()
            if math.isfinite(value)
        ]
        most = max(high for *_, high in rows)
        whole = next((end for end in (1.0, 100.0) if most <= end), most)
        return interval_chart(rows, whole)

    @property
    def charts(self) -> Sequence[Chart]:
        """Further pictures of the evaluation."""
        if self.view is None or self.outcomes is None:
            return ()
        return self.view.charts(self.outcomes, self._t)

    # Rows.

    def _rows(self) -> list[dict[str, Any]]:
        """Returns the rows of the page, as its script reads them."""
        if self.view is None or self.outcomes is None:
            return []
        kinds = _selected(self.outcomes)
        suspects = self.view.suspects(self.outcomes, _SURE)
        self.num_suspects = len(suspects)
        kinds["suspect"] = suspects[:_MISTAKES]
        self.kinds = [
            kind
            for kind in ("mistake", "unsure", "suspect")
            if len(kinds.get(kind, ()))
        ]
        numbers = np.unique(np.concatenate(list(kinds.values())))
        examples = self._examples(self.outcomes.rows[numbers])
        lines = {
            row["row"]: row
            for row in self._record.predictions()
            if row["row"] in examples
        }
        why = self._reasons(kinds, examples)
        of_kind = {kind: set(some.tolist()) for kind, some in kinds.items()}
        places = {
            kind: {number: place for place, number in enumerate(some.tolist())}
            for kind, some in kinds.items()
        }
        rows = []
        for number in numbers.tolist():
            row = int(self.outcomes.rows[number])
            shown = self.view.shown(lines[row], examples[row])
            rows.append(
                (
                    min(
                        place.get(number, _MOST_ROWS)
                        for place in places.values()
                    ),
                    {
                        **shown_values(shown),
                        **({"why": why[row]} if row in why else {}),
                        "row": row,
                        "wrong": round(float(self.outcomes.wrong[number]), 4),
                        "confidence": _finite(self.outcomes.confidence[number]),
                        "kinds": {
                            kind: places[kind][number]
                            for kind in self.kinds
                            if number in of_kind[kind]
                        },
                    },
                )
            )
        return within_budget(rows)

    def _reasons(
        self, kinds: Mapping[str, np.ndarray], examples: Mapping[int, Any]
    ) -> dict[int, list[list[Any]]]:
        """Returns which tokens made the most telling predictions."""
        assert self.view is not None
        assert self.outcomes is not None
        wanted = [
            int(self.outcomes.rows[number])
            for kind in ("mistake", "unsure")
            for number in kinds.get(kind, ())[: self._num_reasons]
        ]
        texts = {row: examples[row] for row in wanted if examples[row]}
        # A training that goes on, or was killed, may have no weights yet.
        if not (
            texts
            and self.view.has_reasons
            and self._record.folder.holds_a_model
        ):
            return {}
        from bert_keras3.reports.reasons import reasons

        return reasons(self._record, texts)

    def _examples(self, rows: np.ndarray) -> dict[int, Any]:
        """Returns {row: example}; None for each if the file is gone."""
        try:
            return dict(chosen(self._record.evaluated(), rows))
        except UserError as error:
            self.texts_error = str(error)
            return dict.fromkeys(rows.tolist())


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


def _selected(outcomes: Outcomes) -> dict[str, np.ndarray]:
    """Returns {kind: numbers of examples, the first the most telling}."""
    badness = outcomes.wrong * np.nan_to_num(outcomes.confidence, nan=1.0)
    mistakes = np.flatnonzero(outcomes.wrong > 0)
    order = np.argsort(-badness[mistakes], kind="stable")
    kinds = {"mistake": mistakes[order][:_MISTAKES]}
    if outcomes.doubt is not None:
        order = np.argsort(-outcomes.doubt, kind="stable")
        kinds["unsure"] = order[:_UNSURE]
    some: list[int] = []
    if outcomes.cells is not None:
        order = np.lexsort((-outcomes.confidence, outcomes.cells))
        cells = outcomes.cells[order]
        starts = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]])
        place = np.arange(len(cells)) - np.repeat(
            starts, np.diff(np.r_[starts, len(cells)])
        )
        some = order[np.argsort(place, kind="stable")].tolist()
        some = some[: min(_MOST_ROWS, _OF_A_CELL * len(starts))]
    else:
        step = max(1, len(outcomes) // _UNSURE)
        some = list(range(0, len(outcomes), step))[:_UNSURE]
    kinds["some"] = np.array(some, np.int64)
    return kinds


def shown_values(shown: Shown) -> dict[str, Any]:
    """Returns a shown example as JSON values, long texts cut off."""
    texts = []
    for text, marks in shown.texts:
        begin = 0
        first = min((mark.start for mark in marks), default=0)
        if first > _MOST_CHARACTERS * 3 // 4:
            begin = first - _MOST_CHARACTERS // 4
        end = begin + _MOST_CHARACTERS
        cut = text[begin:end]
        before, after = "…" * (begin > 0), "…" * (end < len(text))
        shift = len(before) - begin
        texts.append(
            [
                before + cut + after,
                [
                    [mark.start + shift, mark.end + shift, *mark[2:]]
                    for mark in marks
                    if begin <= mark.start and mark.end <= end
                ],
            ]
        )
    return {
        "id": shown.guid[:80],
        "texts": texts,
        "expected": shown.expected[:_MOST_CHARACTERS],
        "predicted": shown.predicted[:_MOST_CHARACTERS],
        **({} if shown.pairs is None else {"pairs": shown.pairs}),
    }


def within_budget(
    rows: Sequence[tuple[int, dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Returns the most telling rows that a page has room for.

    Args:
        rows: (rank, row); those of the lowest rank are kept.
    """
    kept, size = [], 0
    for _, row in sorted(rows, key=lambda one: one[0]):
        # Signs such as < take six bytes in a page.
        text = json.dumps(row, ensure_ascii=False)
        size += len(text.encode("utf-8", "surrogatepass"))
        size += 5 * sum(map(text.count, "<>&"))
        if size > _MOST_BYTES:
            break
        kept.append(row)
    return sorted(kept, key=lambda row: row["row"])


@dataclasses.dataclass(frozen=True)
class _Confusion:
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
    def of(cls, record: RunRecord) -> _Confusion | None:
        found = record.confusion
        if found is None:
            return None
        labels, counts = found
        names: list[str | None] = list(labels)
        if len(labels) > _MOST_LABELS:
            mistakes = counts - np.diag(np.diag(counts))
            weight = mistakes.sum(0) + mistakes.sum(1)
            kept = np.sort(np.argsort(-weight, kind="stable")[:_MOST_LABELS])
            other = np.setdiff1d(np.arange(len(labels)), kept)
            group = np.full(len(labels), len(kept))
            group[kept] = np.arange(len(kept))
            assert len(other)
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


def metrics_of(
    record: RunRecord, outcomes: Outcomes | None
) -> dict[str, tuple[float, float | None, float | None]]:
    """Returns {metric: (value, ends of its interval or None)}."""
    drawn: dict[str, tuple[float, float, float]] = {}
    if outcomes is not None:
        drawn = intervals(outcomes.groups, outcomes.metrics)
    found = {}
    for name in record.settings.task.metrics:
        value = record.results.get(name)
        if isinstance(value, (int, float)):
            ends = drawn[name][1:] if name in drawn else (None, None)
            found[name] = (float(value), *ends)
    return found


def best_metric_of(record: RunRecord) -> str:
    """Returns the metric by which the best weights were chosen."""
    made_by = record.provenance.get("training", {})
    given = made_by.get("training", {}).get("best_metric")
    benchmark = None
    with contextlib.suppress(UserError):
        benchmark = record.dataset.metric
    return given or benchmark or record.settings.task.default_metric


def _label_counts(
    record: RunRecord,
) -> list[tuple[str, dict[str, float]]]:
    """Returns (label, {split: how often}); [] where labels are no classes."""
    splits = {
        split: about["labels"]
        for split, about in record.data_report.items()
        if isinstance(about.get("labels"), dict)
    }
    train = splits.get("train", {})
    if record.settings.problem == "regression":
        return []
    return [
        (
            label,
            {split: counts.get(label, 0) for split, counts in splits.items()},
        )
        for label in list(train)[:_MOST_IN_A_TABLE]
    ]


def _rare_labels(record: RunRecord) -> list[str]:
    about = record.data_report.get("train", {})
    if not record.settings.labels or record.settings.problem == "regression":
        return []
    counts = about.get("labels", {})
    return [label for label, number in counts.items() if number < _RARE][:50]


# How the training went.


def _series(
    log: Sequence[Mapping[str, Any]], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and values of a number that every tenth step has."""
    lines = [line for line in log if name in line]
    return (
        np.array([line["step"] for line in lines], np.float64),
        np.array([line[name] for line in lines], np.float64),
    )


def _curves(record: RunRecord, wording: Wording) -> list[Chart]:
    log = record.log
    step = wording("step")
    curves = []
    losses = _series(log, "loss")
    if len(losses[0]):
        evaluated = [line for line in log if "evaluation" in line]
        lines = {wording("training_loss"): losses}
        of_evaluation = (
            np.array([line["step"] for line in evaluated], np.float64),
            np.array(
                [line["evaluation"]["loss"] for line in evaluated], np.float64
            ),
        )
        if evaluated:
            lines[wording("evaluation_loss")] = of_evaluation
        curves.append(
            Chart(
                "",
                line_chart(lines, x_title=step, y_title=wording("loss")),
                _overfitting(*of_evaluation, wording),
                tuple(lines),
            )
        )
        best = best_metric_of(record)
        values = [line["evaluation"].get(best) for line in evaluated]
        if best != "loss" and values and None not in values:
            points = (of_evaluation[0], np.array(values, np.float64))
            name = wording.name(best)
            curves.append(
                Chart(
                    name, line_chart({name: points}, x_title=step, y_title=name)
                )
            )
        rates = _series(log, "learning_rate")
        name = wording("learning_rate")
        curves.append(
            Chart(name, line_chart({name: rates}, x_title=step, y_title=name))
        )
        memory = _series(log, "peak_memory")
        if len(memory[0]):
            name = wording("memory")
            points = (memory[0], memory[1] / 2**20)
            curves.append(
                Chart(
                    name, line_chart({name: points}, x_title=step, y_title=name)
                )
            )
    return curves


def _last_evaluation(record: RunRecord, wording: Wording) -> str:
    """Says what the last evaluation during training found, if any."""
    evaluated = [line for line in record.log if "evaluation" in line]
    if not evaluated:
        return ""
    figures = ", ".join(
        f"{wording.name(name)} {_number(value)}"
        for name, value in evaluated[-1]["evaluation"].items()
        if isinstance(value, (int, float))
    )
    return wording(
        "last_evaluation", step=evaluated[-1]["step"], figures=figures
    )


def _overfitting(
    steps: np.ndarray, losses: np.ndarray, wording: Wording
) -> str:
    """Says from which step on the evaluation loss rises, if it does."""
    if len(losses) < 2:
        return ""
    best = int(losses.argmin())
    if best == len(losses) - 1 or losses[-1] < 1.05 * losses[best]:
        return ""
    return wording("overfitting", step=int(steps[best]))


def _facts(record: RunRecord, wording: Wording) -> list[str]:
    facts = []
    log, progress = record.log, record.progress
    timed = [line for line in log if "seconds" in line]
    if timed:
        last = timed[-1]
        seconds = max(last["seconds"], 1e-3)
        facts.append(
            wording(
                "facts",
                steps=f"{last['step']:,}",
                time=_duration(seconds),
                speed=_number(last["step"] / seconds),
                memory=f"{last['peak_memory'] / 2**20:,.0f}",
            )
        )
    elif log:
        facts.append(wording("steps_done", steps=f"{log[-1]['step']:,}"))
    if progress.get("best_step") is not None:
        facts.append(
            wording(
                "best_after",
                step=f"{progress['best_step']:,}",
                metric=wording.name(best_metric_of(record)),
                value=_number(progress["best_value"]),
            )
        )
    if progress.get("stopped_early"):
        facts.append(wording("stopped_early"))
    return facts


def settings_of(record: RunRecord) -> list[tuple[str, str]]:
    """Returns (flag, value) of the training, the commonest first."""
    given = dict(record.provenance.get("training", {}).get("training", {}))
    computing = given.pop("computing", {})
    values = {
        "max_seq_length": record.settings.max_seq_length,
        "do_lower_case": record.settings.do_lower_case,
        **given,
        **computing,
    }
    return [
        (name, str(value))
        for name, value in values.items()
        if value is not None
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _finite(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _number(value: float) -> str:
    return f"{value:.4g}"
