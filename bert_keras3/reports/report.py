"""One run → its report, a page for a browser.

    the folder ─▶ RunRecord ─▶ the view of the task ─▶ figures and rows
      ─▶ templates/report.html

A part of the report whose files are missing is left out, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.explaining.page import rendered
from bert_keras3.reports import course, soundness
from bert_keras3.reports.baselines import chosen
from bert_keras3.reports.figures import (
    Confusion,
    Figure,
    figures_of,
    outcomes_of,
)
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.rows import (
    MOST_MISTAKES,
    data_of,
    selected,
    shown_values,
    within_budget,
)
from bert_keras3.reports.views import Chart, Outcomes, View
from bert_keras3.reports.wording import Wording
from bert_keras3.safekeeping.errors import UserError

_PACKAGE = "bert_keras3.reports"
# Rows of a table.
_MOST_IN_A_TABLE = 300
# Labels with fewer training examples are said to be rare.
_RARE = 10
# Of a label that may be wrong, the model gives another one at least this.
_SURE = 0.9


def report_page(
    record: RunRecord,
    wording: Wording,
    num_reasons: int = 0,
    others: Sequence[tuple[str, str]] = (),
) -> str:
    """Returns the page of a run, below 2 MB.

    Args:
        record: of the run.
        wording: in the language of the page.
        num_reasons: for how many mistakes, and as many least sure
            predictions, the tokens that made them are looked for.
        others: (name, path) of the pages on the run's other evaluations.

    Raises:
        UserError: a file of the run is damaged.
    """
    made = _Report(record, wording, num_reasons)
    return rendered(
        "report.html",
        data_of(made.rows, wording),
        package=_PACKAGE,
        t=wording,
        record=record,
        others=others,
        made=made,
        headline=next(iter(made.figures), None),
        last_evaluation=course.last_evaluation(record, wording),
        num_evaluated=record.results.get("examples"),
        per_label=list(record.results.get("per_label", {}).items())[
            :_MOST_IN_A_TABLE
        ],
        confusion=Confusion.of(record),
        has_confidence=any(row["confidence"] is not None for row in made.rows),
        has_marks=any(text[1] for row in made.rows for text in row["texts"]),
        counts=soundness.counts_of(record.data_report),
        rare=soundness.rare_labels(record, _RARE),
        rare_below=_RARE,
        label_counts=soundness.label_counts(record)[:_MOST_IN_A_TABLE],
        curves=course.curves(record, wording),
        facts=course.facts(record, wording),
    )


class _Report:
    """The parts of a report that need the evaluated examples.

    Attributes:
        texts_error: why texts are missing; may be empty.
        outcomes: of the examples; None if their predictions were not kept.
        baselines: {baseline: {metric: value}}.
        findings: rows of the files that are odd; None if they are gone.
        figures: the metrics.
        kinds: of the rows.
        num_suspects: how many labels may be wrong.
        rows: of the page, as its script reads them.
    """

    def __init__(
        self, record: RunRecord, wording: Wording, num_reasons: int
    ) -> None:
        self._record, self._t = record, wording
        self._num_reasons = num_reasons
        self.texts_error = ""
        self._view: View | None
        self.outcomes: Outcomes | None
        self._view, self.outcomes = outcomes_of(record)
        self.baselines: Mapping[str, Mapping[str, float]] = {}
        self.findings: soundness.Findings | None = None
        try:
            if self._view is not None and self.outcomes is not None:
                self.baselines = self._view.baselines(record, self.outcomes)
            self.findings = soundness.find(record)
        except UserError as error:
            self.texts_error = str(error)
        self.figures: Sequence[Figure] = figures_of(
            record, self.outcomes, self.baselines
        )
        self.kinds: list[str] = []
        self.num_suspects = 0
        self.rows = self._rows()

    @property
    def charts(self) -> Sequence[Chart]:
        """Further pictures of the evaluation."""
        if self._view is None or self.outcomes is None:
            return ()
        return self._view.charts(self.outcomes, self._t)

    def _rows(self) -> list[Mapping[str, Any]]:
        if self._view is None or self.outcomes is None:
            return []
        found = selected(self.outcomes)
        suspects = self._view.suspects(self.outcomes, _SURE)
        self.num_suspects = len(suspects)
        found["suspect"] = suspects[:MOST_MISTAKES]
        shown = ("mistake", "unsure", "suspect")
        self.kinds = [kind for kind in shown if len(found.get(kind, ()))]
        numbers = np.unique(np.concatenate(list(found.values())))
        examples = self._examples(self.outcomes.rows[numbers])
        lines = {
            row["row"]: row
            for row in self._record.predictions()
            if row["row"] in examples
        }
        why = self._reasons(found, examples)
        places = {
            kind: {number: place for place, number in enumerate(some.tolist())}
            for kind, some in found.items()
        }
        rows = []
        for number in numbers.tolist():
            row = int(self.outcomes.rows[number])
            rows.append(
                shown_values(
                    self._view.shown(lines[row], examples[row]),
                    self.outcomes.wrong[number],
                    self.outcomes.confidence[number],
                    why=why.get(row),
                    row=row,
                    kinds={
                        kind: some[number]
                        for kind, some in places.items()
                        if number in some
                    },
                )
            )
        return within_budget(rows)

    def _reasons(
        self, found: Mapping[str, np.ndarray], examples: Mapping[int, Any]
    ) -> Mapping[int, Any]:
        """Returns which tokens made the most telling predictions."""
        assert self.outcomes is not None
        wanted = [
            int(self.outcomes.rows[number])
            for kind in ("mistake", "unsure")
            for number in found.get(kind, ())[: self._num_reasons]
        ]
        texts = {row: examples[row] for row in wanted if examples[row]}
        # A training that goes on, or was killed, may have no weights yet.
        if not (texts and self._record.folder.holds_a_model):
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
