"""What a report shows of examples whose right choice is looked for."""

from __future__ import annotations

import array
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.reports.charts import reliability_chart
from bert_keras3.reports.resampling import mean_of
from bert_keras3.reports.views import (
    MISSED,
    RIGHT,
    WRONG,
    Chart,
    Mark,
    Outcomes,
    Shown,
    ShownText,
    ViewDefaults,
    guid_of,
)

if TYPE_CHECKING:
    from bert_keras3.reports.record import RunRecord
    from bert_keras3.reports.wording import Wording


class ChoiceView(ViewDefaults):
    """See `views.View`."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        """Takes what the task calls its only output."""
        self._num_choices = np.zeros(0)

    def outcomes(self, rows: Iterable[Mapping[str, Any]]) -> Outcomes:
        """See `View`."""
        numbers, is_wrong, sizes = (array.array("q") for _ in range(3))
        confidence, margin = array.array("f"), array.array("f")
        for row in rows:
            best = sorted(row["probabilities"], reverse=True)
            numbers.append(row["row"])
            is_wrong.append(row["label"] != row["predicted"])
            sizes.append(len(best))
            confidence.append(best[0])
            margin.append(best[0] - best[1])
        self._num_choices = np.array(sizes)
        groups = np.array(is_wrong)
        return Outcomes(
            groups,
            {"accuracy": mean_of(np.array([1.0, 0.0])[: groups.max() + 1])},
            wrong=groups.astype(np.float32),
            confidence=np.array(confidence),
            doubt=-np.array(margin),
            cells=None,
            rows=np.array(numbers),
        )

    def baselines(
        self, record: RunRecord, outcomes: Outcomes
    ) -> dict[str, dict[str, float]]:
        """What is right by chance."""
        accuracy = float((1.0 / self._num_choices).mean())
        return {"by_chance": {"accuracy": accuracy}}

    def charts(self, outcomes: Outcomes, wording: Wording) -> Sequence[Chart]:
        """How often a prediction is right, by how sure it is."""
        return [reliability(outcomes, wording, "accuracy")]

    def shown(self, row: Mapping[str, Any], example: Any) -> Shown:
        """See `View`; the choices are texts with a letter."""
        texts: list[ShownText] = []
        if example is not None:
            before = (example.context, example.question)
            texts = [ShownText(text) for text in before if text]
            for place, choice in enumerate(example.choices):
                text = f"{_letter(place)}. {choice}"
                kind = _kind(place, row["label"], row["predicted"])
                marks = [Mark(0, len(text), kind)] if kind else []
                texts.append(ShownText(text, marks))
        return Shown(
            guid_of(row, example),
            texts,
            _letter(row["label"]),
            _letter(row["predicted"]),
        )


def reliability(outcomes: Outcomes, wording: Wording, metric: str) -> Chart:
    """Returns how right predictions are, by how sure they are."""
    svg = reliability_chart(
        outcomes.confidence,
        1.0 - outcomes.wrong,
        x_title=wording("confidence"),
        y_title=wording(metric),
    )
    return Chart(wording("reliability"), svg, wording("reliability_note"))


def _letter(place: int) -> str:
    letters = string.ascii_uppercase
    return letters[place] if place < len(letters) else str(place + 1)


def _kind(place: int, right: int, predicted: int) -> str:
    if place == right:
        return RIGHT if place == predicted else MISSED
    return WRONG if place == predicted else ""
