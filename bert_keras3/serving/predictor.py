"""Predicts in Python with an exported model, which is loaded once.

predictor = Predictor("exported")
predictor.predict(["A fine film."])  # [Prediction(label="positive", …)]
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.runtimes.opening import open_runtime
from bert_keras3.serving.runtimes.runtime import Row
from bert_keras3.training.concurrency import in_flight

Text = str | bytes

# Texts that are tokenized in one call: 1 MB of ids at 128 tokens a text.
_PACKED_AT_ONCE = 2048


class Predictor:
    """An exported classifier in memory.

    Several threads may use one predictor at a time.

    Attributes:
        description: labels, maximum length, case and so on.
    """

    def __init__(
        self, export_dir: str | os.PathLike[str], batch_size: int = 32
    ) -> None:
        """Loads a model and warms it up.

        Args:
            export_dir: as given to `export`, for the highest version; or one
                numbered folder in it.
            batch_size: maximum number of texts in a batch.

        Raises:
            UserError: there is no model, or it is damaged or not one of this
                program's; or its runtime is not installed; or `batch_size` is
                not positive.
        """
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: must be at least 1")
        self._batch_size = batch_size
        self._runtime = open_runtime(export_dir)
        self.description = self._runtime.description
        self._num_texts = 2 if self.description.takes_pairs else 1
        self._task = self.description.task
        # The first calls are slow.
        for _ in range(2):
            self._runtime.scores_of_texts([(b"",) * self._num_texts])

    def predict(self, texts: Sequence[Text | tuple[Text, Text]]) -> list[Any]:
        """Predicts for texts, or pairs of texts.

        Texts of similar length are batched. A prediction does not depend on
        the other texts in its batch, except for LiteRT in int8, where
        `batch_size=1` avoids that. In strings and bytes alike, what is not
        valid UTF-8 is dropped.

        Args:
            texts: N strings, or N (text_a, text_b) for a model of pairs; N
                may be 0.

        Returns:
            N predictions in the order of the texts: `Prediction`,
            `LabelSetPrediction` or `ValuePrediction`, by the task.

        Raises:
            UserError: an item is not what the model takes.
        """
        if isinstance(texts, (str, bytes)):
            raise UserError(
                "predict takes a list of texts and was given one text; put "
                "it into a list"
            )
        rows = [self._row(number, item) for number, item in enumerate(texts)]
        if not rows:
            return []
        if len(rows) <= self._batch_size:
            return self._task.predictions(self._runtime.scores_of_texts(rows))
        predictions: list[Any] = []
        for first in range(0, len(rows), _PACKED_AT_ONCE):
            predictions += self._predict_by_length(
                rows[first : first + _PACKED_AT_ONCE]
            )
        return predictions

    def _row(self, number: int, item: Any) -> Row:
        """Returns an item's texts as UTF-8."""
        texts = item if self.description.takes_pairs else (item,)
        if (
            not isinstance(texts, (tuple, list))
            or len(texts) != self._num_texts
            or not all(isinstance(text, (str, bytes)) for text in texts)
        ):
            wanted = {1: "a string", 2: "a pair of strings"}[self._num_texts]
            raise UserError(
                f"text number {number} (from 0) must be {wanted}, as the "
                f"model was trained, and is {_shown(item)}"
            )
        return tuple(
            text if isinstance(text, bytes) else text.encode("utf-8", "ignore")
            for text in texts
        )

    def _predict_by_length(self, rows: Sequence[Row]) -> list[Any]:
        """Tokenizes all rows, then batches those of similar length."""
        predictions: list[Any] = [None] * len(rows)
        packed = self._runtime.token_ids(rows)
        lengths = packed["input_mask"].sum(1)
        order = np.argsort(lengths, kind="stable")
        # The longest first, so that parallel batches end together.
        batches = [
            order[start : start + self._batch_size]
            for start in reversed(range(0, len(order), self._batch_size))
        ]

        def scores(chosen: np.ndarray) -> np.ndarray:
            longest = lengths[chosen[-1]]
            return self._runtime.scores(
                {name: ids[chosen, :longest] for name, ids in packed.items()}
            )

        results = in_flight(scores, batches, self._runtime.concurrency)
        for chosen, found in zip(batches, results, strict=True):
            for number, prediction in zip(
                chosen.tolist(), self._task.predictions(found), strict=True
            ):
                predictions[number] = prediction
        return predictions


def _shown(item: Any) -> str:
    """Returns a value for a message, cut if it is long."""
    shown = f"{item!r}"
    return f"{type(item).__name__} {shown[:60]}{'…' * (len(shown) > 60)}"
