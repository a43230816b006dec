"""Texts → entities: what an exported tagger answers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs.feature_store import Column, FeatureStore
from bert_keras3.inputs.tagged_text import Found
from bert_keras3.tagging.decoding import decode
from bert_keras3.tagging.schemes import TagSet, entities_of
from bert_keras3.tagging.windows import (
    WINDOW_COLUMNS,
    TrustedPieces,
    WindowMaker,
)
from bert_keras3.tagging.words import words_of


@dataclasses.dataclass(frozen=True)
class EntityPrediction:
    """An entity in a text.

    Attributes:
        text: its own.
        start: number of its first character, from 0.
        end: the one behind its last.
        type: such as PER.
        score: mean probability of its tokens' tags, from 0 to 1.
    """

    text: str
    start: int
    end: int
    type: str
    score: float


def found_entities(
    logits: np.ndarray, offsets: np.ndarray, tags: TagSet, decoder: str
) -> Iterator[list[Found]]:
    """Yields the entities of each text, by tokens.

    The score of an entity is the mean probability of its tokens' tags.

    Args:
        logits: float [T, C] of the tokens of all texts.
        offsets: int [N + 1], where each text's tokens begin.
        tags: the C tags.
        decoder: see `decoding.decode`.
    """
    ids = decode(logits, offsets, tags, decoder)
    # Of a million tokens only the probability of one tag is kept.
    chosen = np.take_along_axis(logits, ids[:, None], 1)[:, 0]
    greatest = logits.max(1, initial=-np.inf)
    total = np.exp(logits - greatest[:, None]).sum(1)
    sums = np.zeros(len(ids) + 1)
    np.cumsum(np.exp(chosen - greatest) / total, out=sums[1:])
    entities = entities_of(tags.roles[ids], tags.type_ids[ids], offsets)
    first, behind, types = entities.T
    scores = (sums[behind] - sums[first]) / np.maximum(behind - first, 1)
    bounds = np.searchsorted(first, offsets)
    rows = zip(
        first.tolist(),
        behind.tolist(),
        types.tolist(),
        np.minimum(scores, 1.0).tolist(),
        strict=True,
    )
    for start, number in zip(
        offsets[:-1].tolist(), np.diff(bounds).tolist(), strict=True
    ):
        yield [
            Found(a - start, b - start, tags.types[kind], score)
            for a, b, kind, score in itertools.islice(rows, number)
        ]


class Tagger:
    """Finds the entities of texts, a `finetuning.task.Answering`."""

    columns: Mapping[str, Column] = WINDOW_COLUMNS

    def __init__(
        self, windows: WindowMaker, tags: TagSet, decoder: str, split: str
    ) -> None:
        """Prepares.

        Args:
            windows: makes the rows of a text.
            tags: the C tags of the model.
            decoder: see `decoding.decode`.
            split: see `words.words_of`.
        """
        self._windows = windows
        self._tags = tags
        self._decoder = decoder
        self._split = split

    def item(self, given: Any) -> str:
        """Returns a text, given as a string or UTF-8.

        Raises:
            ValueError: it is neither.
        """
        if isinstance(given, bytes):
            return given.decode("utf-8", "ignore")
        if not isinstance(given, str):
            raise ValueError("it must be a string")
        return given

    def rows(self, item: str) -> Iterator[Mapping[str, Any]]:
        """Yields the windows of a text; none if it has no token."""
        words = words_of(item, self._split).tolist()
        ids, first = self._windows.pieces([item[a:b] for a, b in words])
        return self._windows.rows(ids, first)

    def answers(
        self,
        items: Sequence[str],
        store: FeatureStore,
        outputs: Mapping[str, np.ndarray],
    ) -> list[tuple[EntityPrediction, ...]]:
        """Returns the entities of each text, in order."""
        pieces = TrustedPieces.of(
            store, np.arange(len(store)), np.arange(len(items))
        )
        found = found_entities(
            outputs["logits"][pieces.places],
            pieces.offsets,
            self._tags,
            self._decoder,
        )
        answers = []
        for text, entities in zip(items, found, strict=True):
            words = words_of(text, self._split).tolist()
            answers.append(
                tuple(
                    EntityPrediction(
                        text[words[a][0] : words[b - 1][1]],
                        words[a][0],
                        words[b - 1][1],
                        kind,
                        score,
                    )
                    for a, b, kind, score in entities
                )
            )
        return answers
