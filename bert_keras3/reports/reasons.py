"""Which tokens made the predictions that a report shows.

Gradient × input is computed, which takes one forward and one backward pass a
text: integrated gradients, which `explain.py` computes, takes some hundred.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_keras3.explaining.explainer import Explainer
from bert_keras3.reports.record import RunRecord
from bert_keras3.safekeeping.errors import UserError

_METHOD = "gradient_x_input"
# Longer texts are shown without their tokens.
_MOST_TOKENS = 200


def reasons(
    record: RunRecord, examples: Mapping[int, Any]
) -> dict[int, list[list[Any]]]:
    """Returns {row: [token, its part from −1 to 1] for each token}.

    Args:
        record: of a finished run.
        examples: {row: example with one text or two}.

    Returns:
        Nothing, if the model reads more than texts, or windows of them.
    """
    try:
        explainer = Explainer(record.folder.path)
        found = explainer.explain(
            [_item(example) for example in examples.values()], _METHOD
        )
    except UserError:
        return {}
    reasons = {}
    for row, explanations in zip(examples, found, strict=True):
        if not explanations or len(explanations[0].tokens) > _MOST_TOKENS:
            continue
        one = explanations[0]
        scores = np.array(one.scores)
        scores = scores / (np.abs(scores).max() or 1.0)
        reasons[row] = [
            [token, round(score, 2)]
            for token, score in zip(one.tokens, scores.tolist(), strict=True)
        ]
    return reasons


def _item(example: Any) -> Any:
    return example.texts[0] if len(example.texts) == 1 else example.texts
