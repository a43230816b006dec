"""How much each part of an input gives to one number that a model computes.

    score(input) − score(input of absent parts) = sum of the attributions

A part is a token, wherever it stands in the rows of the input, or a column
beside the text. An absent part is one that says nothing: [MASK] in the place of
a token, a mean in the place of a column. Three methods, the first of which is
exact in the sum:

    integrated_gradients  the gradient along the way from absent to present
    gradient_x_input      the gradient at the end of the way alone: fast
    leave_one_out         the score without one part at a time: plain
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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
# Rows that are computed at once, if an input has no more.
_AT_ONCE = 16
# Differences of scores below this are rounding.
_ROUNDING = 1e-4

# Named outputs of B inputs, [B·W, …], → the score of each, [B].
Score = Callable[[Mapping[str, Tensor]], Tensor]


class Beside(NamedTuple):
    """An input of the model beside the tokens, the same in all rows.

    Attributes:
        present: float32 [M, …].
        absent: the same, of columns that say nothing.
        columns: int [M], from 0, the column of each value.
    """

    present: np.ndarray
    absent: np.ndarray
    columns: np.ndarray


@dataclasses.dataclass(frozen=True)
class Attribution:
    """What each part gives.

    Attributes:
        scores: float64 [P], of the tokens, and of the columns behind them; 0
            for parts that cannot be absent.
        value: the score of the input.
        absent_value: the score where all parts are absent that can be.
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


class AttributedInput:
    """W rows of a model, whose P parts may be present, absent or between.

    Attributes:
        num_tokens: how many of the parts are tokens.
    """

    def __init__(
        self,
        model: BertWithHeads,
        rows: Sequence[Mapping[str, Any]],
        places: Sequence[np.ndarray],
        kept: Sequence[int],
        absent_id: int,
        beside: Mapping[str, Beside],
    ) -> None:
        """Pads the rows.

        Args:
            model: computes named outputs.
            rows: W of them, `input_ids` and `segment_ids` of each.
            places: which token of the input stands at each place of each row,
                from 0; the same one may stand in several rows.
            kept: ids of tokens that cannot be absent.
            absent_id: the token that says nothing.
            beside: the further inputs of the model, by name.
        """
        self._model = model
        self._ids = _padded([row["input_ids"] for row in rows], 0)
        self._segments = _padded([row["segment_ids"] for row in rows], 0)
        self._mask = _padded([np.ones(len(one)) for one in places], 0)
        # [W, S]: behind the last part stands padding.
        self._parts = _padded(places, -1)
        self.num_tokens = int(self._parts.max()) + 1
        self._beside = {
            name: one._replace(columns=one.columns + self.num_tokens)
            for name, one in beside.items()
        }
        self._num_parts = self.num_tokens + len(
            {column for one in beside.values() for column in one.columns}
        )
        self._parts[self._mask == 0] = self._num_parts
        can_be = (self._mask == 1) & ~np.isin(self._ids, kept)
        # [P + 1]: columns, and the tokens that are read.
        self._can = np.arange(self._num_parts + 1) >= self.num_tokens
        self._can[self._parts[can_be]] = True
        self._can[-1] = False
        self._absent_ids = np.where(can_be, absent_id, self._ids)

    def outputs(self) -> dict[str, np.ndarray]:
        """Returns the model's outputs for the rows, each [W, …]."""
        outputs = self._without(np.zeros((1, len(self._can)), bool))
        return {name: np.asarray(value) for name, value in outputs.items()}

    def attribute(self, score: Score, method: str) -> Attribution:
        """Computes what each part gives to a score.

        Args:
            score: of the outputs.
            method: one of `METHODS`.
        """
        return METHODS[method](self, score)

    def _computed(
        self, ids: np.ndarray, beside: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Ids [B, W, S] and further inputs [B, M, …] → named outputs."""
        count, rows, length = ids.shape
        inputs = {
            "input_ids": tf.constant(ids.reshape(-1, length)),
            "segment_ids": tf.tile(self._segments, (count, 1)),
            **{
                name: tf.repeat(values, rows, axis=0)
                for name, values in beside.items()
            },
        }
        if not self._mask.all():
            inputs["input_mask"] = tf.tile(self._mask, (count, 1))
        outputs: Mapping[str, Any] = self._model(inputs, training=False)
        return outputs

    def _without(self, absent: np.ndarray) -> Mapping[str, Any]:
        """Computes the outputs without some parts, bool [B, P + 1]."""
        beside = {
            name: tf.constant(
                np.where(
                    absent[:, one.columns].reshape(
                        len(absent), -1, *(1,) * (one.present.ndim - 1)
                    ),
                    one.absent,
                    one.present,
                )
            )
            for name, one in self._beside.items()
        }
        ids = np.where(absent[:, self._parts], self._absent_ids, self._ids)
        return self._computed(ids, beside)

    def _scores_without(self, score: Score, absent: np.ndarray) -> np.ndarray:
        """Parts that are absent, bool [B, P + 1] → scores, float64 [B]."""
        step = self._at_once
        return np.concatenate(
            [
                np.asarray(score(self._without(absent[k : k + step])))
                for k in range(0, len(absent), step)
            ]
        ).astype(np.float64)

    @property
    def _at_once(self) -> int:
        return max(1, _AT_ONCE // len(self._ids))

    def _ends(self, score: Score) -> tuple[float, float]:
        """Returns the scores of the input and of its absence."""
        ends = np.stack([np.zeros_like(self._can), self._can])
        value, absent = self._scores_without(score, ends).tolist()
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
        """Takes the gradient at the input itself for that of the whole way."""
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
            The scores, float64 [K], and what each part gives to their slope,
            float64 [K, P].
        """
        words = self._model.bert.word_embeddings(
            tf.constant(np.concatenate([self._ids, self._absent_ids]))
        )
        ends = {
            # [W, S, E]
            _WORDS: tf.split(words, 2),
            # [M] or [M, width]
            **{
                name: (tf.constant(one.present), tf.constant(one.absent))
                for name, one in self._beside.items()
            },
        }
        found = [
            self._slopes(score, ends, points[k : k + self._at_once])
            for k in range(0, len(points), self._at_once)
        ]
        scores, slopes = zip(*found, strict=True)
        return np.concatenate(scores), np.concatenate(slopes)

    def _slopes(
        self,
        score: Score,
        ends: Mapping[str, Sequence[Tensor]],
        points: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `_along`, of points that are computed at once."""
        vectors = {}
        for name, (present, absent) in ends.items():
            shape = (-1, *(1,) * len(present.shape))
            shares = tf.constant(points.reshape(shape), present.dtype)
            # [K, …]
            vectors[name] = absent + shares * (present - absent)
        count = len(points)
        is_real = np.repeat(self._mask[None] == 1, count, axis=0)

        def changed(looked_up: Tensor) -> Tensor:
            # [K, W, S, E] -> [R, E] -> [K·W, S, E], or without padding
            # [1, R, E]
            real = tf.boolean_mask(vectors[_WORDS], is_real)
            return tf.reshape(real, tf.shape(looked_up))

        with tf.GradientTape() as tape:
            tape.watch(vectors)
            beside = {name: vectors[name] for name in self._beside}
            with changed_word_vectors(changed):
                ids = np.repeat(self._ids[None], count, axis=0)
                scores = score(self._computed(ids, beside))
        slopes = np.zeros((count, self._num_parts + 1))
        for name, gradient in tape.gradient(scores, vectors).items():
            present, absent = (
                np.asarray(one, np.float64) for one in ends[name]
            )
            parts = self._parts
            if name in self._beside:
                parts = self._beside[name].columns
            # [K, …] -> [K, W·S] or [K, M]
            values = np.asarray(gradient, np.float64) * (present - absent)
            values = values.reshape(count, parts.size, -1).sum(-1)
            np.add.at(slopes.T, parts.reshape(-1), values.T)
        return np.asarray(scores, np.float64), slopes[:, :-1]

    def leave_one_out(self, score: Score) -> Attribution:
        """Computes the score without each part, wherever it stands.

        The scores need not sum to anything: of two words that say the same,
        neither is missed.
        """
        parts = np.flatnonzero(self._can)
        value, absent = self._ends(score)
        without = self._scores_without(score, np.eye(len(self._can))[parts] > 0)
        scores = np.zeros(self._num_parts)
        scores[parts] = value - without
        return Attribution(scores, value, absent)


_WORDS = "words"


def _padded(rows: Sequence[Any], padding: int) -> np.ndarray:
    """Returns rows of one length, int32 [W, S]."""
    padded = np.full((len(rows), max(map(len, rows))), padding, np.int32)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded


@dataclasses.dataclass(frozen=True)
class _Stretch:
    """A part of the way from absent to present."""

    start: float
    end: float
    parts: np.ndarray
    """What each part gives there, [P]."""
    change: float
    """By how much the score changes."""

    @property
    def error(self) -> float:
        return abs(float(self.parts.sum()) - self.change)


METHODS: Mapping[str, Callable[[AttributedInput, Score], Attribution]] = {
    INTEGRATED_GRADIENTS: AttributedInput.integrated_gradients,
    GRADIENT_X_INPUT: AttributedInput.gradient_x_input,
    LEAVE_ONE_OUT: AttributedInput.leave_one_out,
}
