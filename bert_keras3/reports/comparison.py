"""Several runs → a page that compares them: the first with each other one.

Rows are compared where two runs were evaluated on the same ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.explaining.page import rendered
from bert_keras3.reports.baselines import chosen
from bert_keras3.reports.figures import best_metric_of, figures_of, outcomes_of
from bert_keras3.reports.record import RunRecord
from bert_keras3.reports.resampling import mcnemar, paired_p_value
from bert_keras3.reports.rows import data_of, shown_values, within_budget
from bert_keras3.reports.views import Outcomes, View
from bert_keras3.reports.wording import Wording
from bert_keras3.safekeeping.errors import UserError

_MOST_CHANGED = 300
# Two scores of an example that differ by less are equal.
_EQUAL = 1e-6
# Below it, chance alone is taken to be no explanation.
_SIGNIFICANT = 0.05


@dataclasses.dataclass(frozen=True)
class Contest:
    """The first run against another one.

    Attributes:
        name: of the other one.
        won: rows that the other one has better.
        lost: rows that it has worse.
        both_right: rows that both have right.
        both_wrong: rows that neither has right.
        p: how often chance alone makes such a difference.
        is_exact: whether rows are right or wrong, which McNemar's test takes.
    """

    name: str
    won: int
    lost: int
    both_right: int
    both_wrong: int
    p: float
    is_exact: bool

    @property
    def is_significant(self) -> bool:
        """Whether chance alone seldom makes such a difference."""
        return self.p < _SIGNIFICANT


def comparison_page(records: Sequence[RunRecord], wording: Wording) -> str:
    """Returns the page that compares runs, below 2 MB.

    Args:
        records: two at least, of one task.
        wording: in the language of the page.

    Raises:
        UserError: they are of several tasks, or a file is damaged.
    """
    first = records[0]
    for record in records[1:]:
        if record.settings.problem != first.settings.problem:
            raise UserError(
                f"{record.folder.path}: is for {record.settings.problem}, and "
                f"{first.folder.path} for {first.settings.problem}; only runs "
                "of one task can be compared"
            )
    names = _names(records)
    found = [outcomes_of(record) for record in records]
    view, baseline = found[0]
    contests: list[Contest | None] = []
    rows: list[Mapping[str, Any]] = []
    for name, record, (_, other) in zip(
        names[1:], records[1:], found[1:], strict=True
    ):
        if view is None or baseline is None or other is None:
            contests.append(None)
            continue
        if not _same_rows(first, record, baseline, other):
            contests.append(None)
            continue
        contests.append(_contest(name, baseline, other))
        if not rows:
            rows = _changed_rows(first, record, view, baseline, other)
    best = best_metric_of(first)
    return rendered(
        "comparison.html",
        data_of(rows, wording),
        package="bert_keras3.reports",
        t=wording,
        records=records,
        names=names,
        figures=[
            {one.name: one for one in figures_of(record, outcomes, {})}
            for record, (_, outcomes) in zip(records, found, strict=True)
        ],
        metrics=sorted(
            first.settings.task.metrics, key=lambda name: name != best
        ),
        contests=contests,
        changed=_changed_settings(records),
        rows=rows,
        kinds=[
            kind
            for kind in ("won", "lost")
            if any(kind in row["kinds"] for row in rows)
        ],
        has_confidence=any(row["confidence"] is not None for row in rows),
        has_marks=any(text[1] for row in rows for text in row["texts"]),
    )


def _names(records: Sequence[RunRecord]) -> list[str]:
    """Returns what to call the runs: their folders, or more of the paths."""
    names = [record.name for record in records]
    if len(set(names)) < len(names):
        names = [str(record.folder.path) for record in records]
    return names


def _same_rows(
    first: RunRecord,
    record: RunRecord,
    one: Outcomes,
    other: Outcomes,
) -> bool:
    """Whether two runs were evaluated on the same rows.

    What was expected in each tells, whatever the files are called.
    """
    if not np.array_equal(one.rows, other.rows):
        return False
    keys = ("label", "labels", "answers", "expected")
    return all(
        all(a.get(key) == b.get(key) for key in keys)
        for a, b in zip(first.predictions(), record.predictions(), strict=True)
    )


def _contest(name: str, one: Outcomes, other: Outcomes) -> Contest:
    gain = one.wrong.astype(np.float64) - other.wrong
    won, lost = int((gain > _EQUAL).sum()), int((gain < -_EQUAL).sum())
    scores = np.concatenate([one.wrong, other.wrong])
    is_exact = bool(np.isin(scores, (0.0, 1.0)).all())
    return Contest(
        name,
        won,
        lost,
        int(((one.wrong == 0) & (other.wrong == 0)).sum()),
        int(((one.wrong > 0) & (other.wrong > 0)).sum()),
        mcnemar(lost, won) if is_exact else paired_p_value(gain),
        is_exact,
    )


def _changed_rows(
    first: RunRecord,
    record: RunRecord,
    view: View,
    one: Outcomes,
    other: Outcomes,
) -> list[Mapping[str, Any]]:
    """Returns the rows that changed most, with both predictions."""
    gain = one.wrong.astype(np.float64) - other.wrong
    changed = np.flatnonzero(np.abs(gain) > _EQUAL)
    order = np.argsort(-np.abs(gain[changed]), kind="stable")
    numbers = changed[order][:_MOST_CHANGED]
    wanted = np.sort(one.rows[numbers])
    try:
        examples = dict(chosen(first.evaluated(), wanted))
    except UserError:
        examples = dict.fromkeys(wanted.tolist())
    lines = [
        {row["row"]: row for row in run.predictions() if row["row"] in examples}
        for run in (first, record)
    ]
    rows = []
    for place, number in enumerate(numbers.tolist()):
        row = int(one.rows[number])
        before, after = (view.shown(line[row], examples[row]) for line in lines)
        rows.append(
            shown_values(
                after,
                other.wrong[number],
                np.nan,
                before=before.predicted,
                row=row,
                kinds={"won" if gain[number] > 0 else "lost": place},
            )
        )
    return within_budget(rows)


def _changed_settings(
    records: Sequence[RunRecord],
) -> list[tuple[str, list[str]]]:
    """Returns (setting, its value in each run) of those that differ."""
    values: list[Mapping[str, str]] = []
    for record in records:
        made = record.provenance.get("training", {})
        files = {
            name: file.get("path", "")
            for name, file in made.get("files", {}).items()
        }
        values.append({**dict(record.given_settings), **files})
    names = dict.fromkeys(name for one in values for name in one)
    return [
        (name, [one.get(name, "") for one in values])
        for name in names
        if len({one.get(name, "") for one in values}) > 1
    ]
