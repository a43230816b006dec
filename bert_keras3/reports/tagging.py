"""What a report shows of texts with entities."""

from __future__ import annotations

import array
import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_keras3.finetuning.tagging import NONE
from bert_keras3.reports.baselines import chosen
from bert_keras3.reports.views import (
    Chart,
    Outcomes,
    Shown,
    ShownText,
    ViewDefaults,
    guid_of,
    overlaid,
)
from bert_keras3.tagging.schemes import Entity

if TYPE_CHECKING:
    from bert_keras3.reports.record import RunRecord
    from bert_keras3.reports.resampling import Metric
    from bert_keras3.reports.wording import Wording

# Tokens of an entity that is looked up.
_LONGEST = 8


class TaggingView(ViewDefaults):
    """See `views.View`."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        """Takes the tags."""

    def outcomes(self, rows: Iterable[Mapping[str, Any]]) -> Outcomes:
        """See `View`; `wrong` is 1 less F1 of the text."""
        numbers, counts = array.array("q"), array.array("q")
        for row in rows:
            expected, predicted = (
                set(map(tuple, row[name])) for name in ("expected", "predicted")
            )
            numbers.append(row["row"])
            counts.extend(
                (len(expected & predicted), len(expected), len(predicted))
            )
        triples = np.array(counts).reshape(-1, 3)
        found, groups = np.unique(triples, axis=0, return_inverse=True)
        in_all = triples[:, 1] + triples[:, 2]
        return Outcomes(
            groups.reshape(-1),
            entity_metrics(found),
            wrong=np.where(
                in_all > 0, 1 - 2 * triples[:, 0] / np.maximum(in_all, 1), 0
            ),
            confidence=np.full(len(numbers), np.nan),
            doubt=None,
            cells=None,
            rows=np.array(numbers),
        )

    def baselines(
        self, record: RunRecord, outcomes: Outcomes
    ) -> dict[str, dict[str, float]]:
        """Entities of the training file, wherever their tokens stand.

        Each has its commonest type; the longest are looked for first, as in
        the baseline of the shared task CoNLL-2003.
        """
        types: dict[tuple[str, ...], collections.Counter[str]] = {}
        for example in record.trained_on():
            for first, behind, kind in example.entities or ():
                if behind - first <= _LONGEST:
                    tokens = example.tokens[first:behind]
                    types.setdefault(tokens, collections.Counter())[kind] += 1
        known = {
            tokens: counts.most_common(1)[0][0]
            for tokens, counts in types.items()
        }
        counts = np.zeros((1, 3), np.int64)
        for _, example in chosen(record.evaluated(), outcomes.rows):
            found = set(_looked_up(example.tokens, known))
            expected = set(example.entities or ())
            counts += (len(found & expected), len(expected), len(found))
        metrics = entity_metrics(counts)
        return {
            "known_words": {
                name: float(metric(np.ones((1, 1)))[0])
                for name, metric in metrics.items()
            }
        }

    def charts(self, outcomes: Outcomes, wording: Wording) -> Sequence[Chart]:
        """Returns no further pictures."""
        return ()

    def shown(self, row: Mapping[str, Any], example: Any) -> Shown:
        """See `View`; the entities are marked in the text."""
        both = [
            [Entity(*one) for one in row[name]]
            for name in ("expected", "predicted")
        ]
        texts: list[ShownText] = []
        named = [", ".join(one.type for one in some) for some in both]
        if example is not None:
            text, starts, ends = _text_of(example.tokens)
            places = [
                [
                    (starts[one.first], ends[one.behind - 1], one.type)
                    for one in some
                ]
                for some in both
            ]
            texts = [ShownText(text, overlaid(*places))]
            named = [
                "; ".join(f"{one.type} {example.text_of(one)}" for one in some)
                for some in both
            ]
        guid = guid_of(row, example)
        return Shown(
            guid, texts, named[0] or "—", named[1] or "—", _pairs(*both)
        )


def entity_metrics(counts: np.ndarray) -> dict[str, Metric]:
    """Returns F1, precision and recall of entities.

    Args:
        counts: int [U, 3], of each group of texts: right ones, expected ones,
            predicted ones.
    """
    right, expected, predicted = counts.T.astype(np.float64)

    def share(above: np.ndarray, below: np.ndarray) -> Metric:
        return lambda drawn: drawn @ above / np.maximum(drawn @ below, 1.0)

    return {
        "f1": share(2 * right, expected + predicted),
        "precision": share(right, predicted),
        "recall": share(right, expected),
    }


def _looked_up(
    tokens: Sequence[str], known: Mapping[tuple[str, ...], str]
) -> Iterable[Entity]:
    place = 0
    while place < len(tokens):
        for length in range(min(_LONGEST, len(tokens) - place), 0, -1):
            kind = known.get(tuple(tokens[place : place + length]))
            if kind is not None:
                yield Entity(place, place + length, kind)
                place += length
                break
        else:
            place += 1


def _text_of(tokens: Sequence[str]) -> tuple[str, list[int], list[int]]:
    """Returns the text, and where each token begins and ends in it."""
    spaced = any(len(token) > 1 and token.isascii() for token in tokens)
    gap = 1 if spaced else 0
    starts, ends, place = [], [], 0
    for token in tokens:
        starts.append(place)
        ends.append(place + len(token))
        place = ends[-1] + gap
    return (" " * gap).join(tokens), starts, ends


def _pairs(
    expected: Sequence[Entity], predicted: Sequence[Entity]
) -> list[tuple[str, str]]:
    """Returns (expected type, predicted type) of entities with equal tokens."""
    types = [
        {one[:2]: one.type for one in both} for both in (expected, predicted)
    ]
    return [
        (types[0].get(tokens, NONE), types[1].get(tokens, NONE))
        for tokens in {**types[0], **types[1]}
    ]
