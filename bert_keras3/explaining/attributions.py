"""How much each token of an input gives to one number that a model computes.

    score(row) − score(row of absent tokens) = sum of the attributions

An absent token is one that says nothing: [MASK] in the place of every token but
[CLS] and [SEP]. Three methods, the first of which is exact in the sum:

    integrated_gradients  the gradient along the way from absent to present
    gradient_x_input      the gradient at the end of the way alone: fast
    leave_one_out         the score without one token at a time: plain
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from modeling import BertWithHeads
from modeling.embeddings import changed_word_vectors
from modeling.shapes import Tensor

INTEGRATED_GRADIENTS = "integrated_gradients"
GRADIENT_X_INPUT = "gradient_x_input"
LEAVE_ONE_OUT = "leave_one_out"

TOLERANCE = 0.01
"""How far the attributions' sum may be from the difference of the scores, as a
part of it, before more points are taken."""
# Points on a stretch of the way, from 0 to 1, and their weights.
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(14)
_POINTS, _WEIGHTS = (_POINTS + 1) / 2, _WEIGHTS / 2
# The most points in all.
_MOST_STEPS = 1000
# Rows that are computed at once.
_AT_ONCE = 16
# Differences of scores below this are rounding.
_ROUNDING = 1e-4

# Named outputs of B rows → the score of each, [B].
Score = Callable[[Mapping[str, Tensor]], Tensor]


@dataclasses.dataclass(frozen=True)
class Attribution:
    """The part of each token.

    Attributes:
        scores: float64 [S]; 0 for tokens that cannot be absent.
        value: the score of the row.
        absent_value: the score where all tokens are absent that can be.
        num_steps: points at which gradients were taken; 0 for leave-one-out.
    """

    scores: np.ndarray
    value: float
    absent_value: float
    num_steps: int = 0

    @property
    def error(self) -> float:
        """What the sum of the scores lacks, as a part of the difference."""
        wanted = self.value - self.absent_value
        return abs(float(self.scores.sum()) - wanted) / max(
            abs(wanted), _ROUNDING
        )


class AttributedRow:
    """One row of a model, whose tokens may be present, absent or between."""

    def __init__(
        self,
        model: BertWithHeads,
        row: Mapping[str, Sequence[int]],
        can_be_absent: Sequence[bool],
        absent_id: int,
    ) -> None:
        """Looks up the word vectors.

        Args:
            model: computes named outputs.
            row: `input_ids` and `segment_ids`, one value per token.
            can_be_absent: for each token.
            absent_id: the token that says nothing.
        """
        self._model = model
        self._ids = np.array(row["input_ids"], np.int32)
        self._segments = np.array(row["segment_ids"], np.int32)
        self._can = np.array(can_be_absent, bool)
        self._absent_ids = np.where(self._can, absent_id, self._ids)

    def outputs(self) -> dict[str, np.ndarray]:
        """Returns the model's outputs for the row, each [1, …]."""
        outputs = self._computed(self._ids[None])
        return {name: np.asarray(value) for name, value in outputs.items()}

    def attribute(self, score: Score, method: str) -> Attribution:
        """Computes the part of each token in a score.

        Args:
            score: of the outputs.
            method: one of `METHODS`.
        """
        return METHODS[method](self, score)

    def _computed(self, ids: np.ndarray) -> Mapping[str, Any]:
        """Ids [B, S] → named outputs."""
        inputs = {
            "input_ids": tf.constant(ids),
            "segment_ids": tf.constant(
                np.broadcast_to(self._segments, ids.shape)
            ),
        }
        outputs: Mapping[str, Any] = self._model(inputs, training=False)
        return outputs

    def _scores_of(self, score: Score, ids: np.ndarray) -> np.ndarray:
        """Ids [B, S] → scores, float64 [B]."""
        return np.concatenate(
            [
                np.asarray(score(self._computed(ids[k : k + _AT_ONCE])))
                for k in range(0, len(ids), _AT_ONCE)
            ]
        ).astype(np.float64)

    def _ends(self, score: Score) -> tuple[float, float]:
        """Returns the scores of the row and of its absence."""
        value, absent = self._scores_of(
            score, np.stack([self._ids, self._absent_ids])
        ).tolist()
        return value, absent

    def integrated_gradients(self, score: Score) -> Attribution:
        """Integrates gradients along the way, finer where the score is steep.

        Sundararajan et al. 2017, by Gauss–Legendre quadrature. By the sum it
        must have, every stretch of the way shows its own error; the worst is
        cut in two until the error of all is small enough.
        """
        value, absent = self._ends(score)
        stretches = [self._stretch(score, 0.0, 1.0)]
        while True:
            found = Attribution(
                np.sum([one.parts for one in stretches], axis=0),
                value,
                absent,
                len(stretches) * len(_POINTS),
            )
            if found.error <= TOLERANCE or found.num_steps >= _MOST_STEPS:
                return found
            worst = max(stretches, key=lambda one: one.error)
            stretches.remove(worst)
            middle = (worst.start + worst.end) / 2
            stretches.append(self._stretch(score, worst.start, middle))
            stretches.append(self._stretch(score, middle, worst.end))

    def _stretch(self, score: Score, start: float, end: float) -> _Stretch:
        length = end - start
        points = np.array([start, *(start + length * _POINTS), end])
        weights = np.array([0.0, *(length * _WEIGHTS), 0.0])
        scores, parts = self._along(score, points)
        return _Stretch(
            start, end, weights @ parts, float(scores[-1] - scores[0])
        )

    def gradient_x_input(self, score: Score) -> Attribution:
        """Takes the gradient at the row itself for that of the whole way."""
        _, (parts,) = self._along(score, np.ones(1))
        return Attribution(parts, *self._ends(score), num_steps=1)

    def _along(
        self, score: Score, points: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes scores and their gradients along the way.

        Args:
            score: of the outputs.
            points: K places on the way, from 0 (absent) to 1 (present).

        Returns:
            The scores, float64 [K], and what each of the S tokens gives to
            their slope, float64 [K, S].
        """
        present, absent = self._model.bert.word_embeddings(
            tf.constant(np.stack([self._ids, self._absent_ids]))
        )
        # [S, E]
        way = present - absent
        # [K, S, E]
        vectors = absent + tf.constant(points[:, None, None], way.dtype) * way
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            with changed_word_vectors(lambda looked_up: vectors):
                ids = np.repeat(self._ids[None], len(points), axis=0)
                scores = score(self._computed(ids))
        gradients = np.asarray(tape.gradient(scores, vectors), np.float64)
        slopes = (gradients * np.asarray(way, np.float64)).sum(-1)
        return np.asarray(scores, np.float64), slopes

    def leave_one_out(self, score: Score) -> Attribution:
        """Computes the score without each token, which [MASK] stands for.

        The parts need not sum to anything: of two words that say the same,
        neither is missed.
        """
        places = np.flatnonzero(self._can)
        without = np.repeat(self._ids[None], len(places), axis=0)
        without[np.arange(len(places)), places] = self._absent_ids[places]
        value, absent = self._ends(score)
        scores = np.zeros(len(self._ids))
        scores[places] = value - self._scores_of(score, without)
        return Attribution(scores, value, absent)


@dataclasses.dataclass(frozen=True)
class _Stretch:
    """A part of the way from absent to present."""

    start: float
    end: float
    parts: np.ndarray
    """What each token gives there, [S]."""
    change: float
    """By how much the score changes."""

    @property
    def error(self) -> float:
        return abs(float(self.parts.sum()) - self.change)


METHODS: Mapping[str, Callable[[AttributedRow, Score], Attribution]] = {
    INTEGRATED_GRADIENTS: AttributedRow.integrated_gradients,
    GRADIENT_X_INPUT: AttributedRow.gradient_x_input,
    LEAVE_ONE_OUT: AttributedRow.leave_one_out,
}
