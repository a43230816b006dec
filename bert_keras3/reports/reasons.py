"""Which tokens and columns made the predictions that a report shows.

Gradient × input is computed, which takes one forward and one backward pass a
row: integrated gradients, which `explain.py` computes, takes some hundred.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_keras3.explaining.explainer import Explainer, Explanation
from bert_keras3.reports.record import RunRecord

_METHOD = "gradient_x_input"
# Of all texts together; a large model reads some thousand a second.
_MOST_CHARACTERS = 100_000
# Answers of a text, such as entities.
_MOST_ANSWERS = 3
# Of longer texts the stretches around the tokens that gave most are shown.
_MOST_TOKENS, _AROUND = 120, 4


def reasons(
    record: RunRecord, examples: Mapping[int, Any]
) -> dict[int, list[dict[str, Any]]]:
    """Explains predictions, the first ones if the texts are long.

    Args:
        record: of a finished run.
        examples: {row: example}, the most telling first.

    Returns:
        {row: an element for each of its answers}, with its label, if the task
        has several, as `of`; `tokens`, [token, part from −1 to 1, 1 if the
        answer is about it]; and `columns`, [name and value, part].

    Raises:
        UserError: the model is damaged.
    """
    room = _MOST_CHARACTERS
    chosen: dict[int, Any] = {}
    for row, example in examples.items():
        room -= sum(map(len, example.texts))
        if room < 0 and chosen:
            break
        chosen[row] = example
    found = Explainer(record.folder.path).explain_examples(
        list(chosen.values()), _METHOD
    )
    has_labels = len(record.settings.labels) > 1
    return {
        row: [_values(one, has_labels) for one in answers[:_MOST_ANSWERS]]
        for row, answers in zip(chosen, found, strict=True)
        if answers
    }


def _values(one: Explanation, has_labels: bool) -> dict[str, Any]:
    parts = np.array((*one.scores, *one.column_scores))
    parts = np.round(parts / (np.abs(parts).max() or 1.0), 2)
    of_tokens, of_columns = np.split(parts, [len(one.tokens)])
    tokens: list[list[Any]] = []
    before = -1
    for place in _excerpt(of_tokens, one.places).tolist():
        if place > before + 1:
            tokens.append(["…", 0, 0])
        tokens.append(
            [one.tokens[place], of_tokens[place], int(place in one.places)]
        )
        before = place
    if before < len(one.tokens) - 1:
        tokens.append(["…", 0, 0])
    columns = [
        [f"{name}: {value or '—'}", part]
        for (name, value), part in zip(
            one.columns, of_columns.tolist(), strict=True
        )
    ]
    return {
        "tokens": tokens,
        **({"of": one.label} if has_labels else {}),
        **({"columns": columns} if columns else {}),
    }


def _excerpt(parts: np.ndarray, about: tuple[int, ...]) -> np.ndarray:
    """Returns the places of the tokens to show, in order."""
    if len(parts) <= _MOST_TOKENS:
        return np.arange(len(parts))
    is_shown = np.zeros(len(parts), bool)
    for place in (*about, *np.argsort(-np.abs(parts)).tolist()):
        if is_shown.sum() >= _MOST_TOKENS:
            break
        is_shown[max(0, place - _AROUND) : place + _AROUND + 1] = True
    return np.flatnonzero(is_shown)
