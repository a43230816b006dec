"""What a report shows of questions that spans of texts answer."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.reports.choice import reliability
from bert_keras3.reports.resampling import mean_of
from bert_keras3.reports.views import (
    Chart,
    Outcomes,
    Shown,
    ShownText,
    ViewDefaults,
    overlaid,
)

if TYPE_CHECKING:
    from bert_keras3.reports.record import RunRecord
    from bert_keras3.reports.wording import Wording

_NO_ANSWER = "—"


class SpanView(ViewDefaults):
    """See `views.View`."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        """Takes no labels."""
        self._num_impossible = 0

    def outcomes(self, rows: Iterable[Mapping[str, Any]]) -> Outcomes:
        """See `View`; `wrong` is 1 less F1."""
        numbers = array.array("q")
        exact, f1, confidence = (array.array("f") for _ in range(3))
        for row in rows:
            numbers.append(row["row"])
            exact.append(row["exact"])
            f1.append(row["f1"])
            confidence.append(row["probability"])
            self._num_impossible += not row["answers"]
        scores = np.stack([exact, f1], -1)
        found, groups = np.unique(scores, axis=0, return_inverse=True)
        sure = np.array(confidence)
        return Outcomes(
            groups.reshape(-1),
            {
                "f1": mean_of(100.0 * found[:, 1]),
                "exact_match": mean_of(100.0 * found[:, 0]),
            },
            wrong=1.0 - scores[:, 1],
            confidence=sure,
            doubt=-sure,
            cells=None,
            rows=np.array(numbers),
        )

    def baselines(
        self, record: RunRecord, outcomes: Outcomes
    ) -> dict[str, dict[str, float]]:
        """What is right if nothing is ever answered, where that may be."""
        if not self._num_impossible:
            return {}
        share = 100.0 * self._num_impossible / len(outcomes)
        return {"no_answer": {"f1": share, "exact_match": share}}

    def charts(self, outcomes: Outcomes, wording: Wording) -> Sequence[Chart]:
        """How good an answer is, by how sure it is."""
        return [reliability(outcomes, wording, "f1")]

    def shown(self, row: Mapping[str, Any], example: Any) -> Shown:
        """See `View`; the answers are marked in the context."""
        texts: list[ShownText] = []
        if example is not None:
            start, end = row["start"], row["end"]
            answers = example.answers
            expected = [
                (first, first + len(text), "")
                for text, first in answers
                if first >= 0
            ]
            found = []
            if row["predicted"] and start >= 0:
                found = [(start, end, "")]
            # Of several right answers the one that was found, if any.
            expected = [one for one in expected if one in found] or expected[:1]
            texts = [
                ShownText(example.question),
                ShownText(example.context, overlaid(expected, found)),
            ]
        return Shown(
            str(row["row"]),
            texts,
            " / ".join(row["answers"][:4]) or _NO_ANSWER,
            row["predicted"] or _NO_ANSWER,
        )
