"""Which evaluated rows a page has room for, and what it has of each."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.reports.views import Outcomes, Shown
from bert_keras3.reports.wording import Wording

MOST_MISTAKES = 200
"""Mistakes in a page, and labels that may be wrong."""
_UNSURE, _OF_A_CELL, _MOST_ROWS = 80, 12, 700
_MOST_CHARACTERS = 500
_MOST_BYTES = 1_200_000


def selected(outcomes: Outcomes) -> dict[str, np.ndarray]:
    """Returns {kind: numbers of examples, the first the most telling}."""
    badness = outcomes.wrong * np.nan_to_num(outcomes.confidence, nan=1.0)
    mistakes = np.flatnonzero(outcomes.wrong > 0)
    order = np.argsort(-badness[mistakes], kind="stable")
    kinds = {"mistake": mistakes[order][:MOST_MISTAKES]}
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


def shown_values(
    shown: Shown, wrong: float, confidence: float, **values: Any
) -> dict[str, Any]:
    """Returns a shown example as JSON values, long texts cut off.

    Args:
        shown: the example.
        wrong: from 0, which is right, to 1.
        confidence: of its prediction; NaN if there is none.
        **values: what else there is of it, but for None.
    """
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
    more = {**values, "pairs": shown.pairs}
    return {
        "id": shown.guid[:80],
        "texts": texts,
        "expected": shown.expected[:_MOST_CHARACTERS],
        "predicted": shown.predicted[:_MOST_CHARACTERS],
        "wrong": round(float(wrong), 4),
        "confidence": (
            round(float(confidence), 4) if math.isfinite(confidence) else None
        ),
        **{name: value for name, value in more.items() if value is not None},
    }


def within_budget(
    rows: Iterable[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """Returns the most telling rows that a page has room for.

    Args:
        rows: each with its `kinds`, {kind: place in it, from 0}; those of the
            first places are kept.
    """
    kept, size = [], 0
    for row in sorted(
        rows, key=lambda row: min(row["kinds"].values(), default=_MOST_ROWS)
    ):
        # Signs such as < take six bytes in a page.
        text = json.dumps(row, ensure_ascii=False)
        size += len(text.encode("utf-8", "surrogatepass"))
        size += 5 * sum(map(text.count, "<>&"))
        if size > _MOST_BYTES:
            break
        kept.append(row)
    return sorted(kept, key=lambda row: row["row"])


def data_of(rows: Sequence[Mapping[str, Any]], t: Wording) -> dict[str, Any]:
    """Returns what the script of a page reads."""
    keys = (
        *("of", "none_found", "mark_right", "mark_missed", "mark_wrong"),
        *("why", "why_label", "why_answer"),
    )
    return {"rows": rows, "words": {key: t(key) for key in keys}}
