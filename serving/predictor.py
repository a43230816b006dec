"""Warm answers in Python from an exported model: texts in, predictions out.

Loads a SavedModel once; every call after that costs what the model costs.
What a prediction says is told by `answers`.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Registers the operations of the tokenizer.
import tensorflow_text  # noqa: F401

from safekeeping.errors import UserError
from serving.answers import ANSWERS, AnyPrediction
from serving.saved_model import (
    IDS,
    PACKED,
    STRINGS,
    TEXT_INPUTS,
    read_description,
)
from serving.versions import latest_version

Text = str | bytes

# Texts whose ids are made in one call: 1 MB of ids at 128 tokens a text.
_PACKED_AT_ONCE = 2048


class Predictor:
    """Answers from an exported classifier, kept in memory.

    Several threads may use one predictor at a time.

    Attributes:
        description: the labels, the maximum length, the case and so on.
    """

    def __init__(
        self, export_dir: str | os.PathLike[str], batch_size: int = 32
    ) -> None:
        """Loads a model and warms it up.

        Args:
            export_dir: as given to `export`, for the highest version; or one
                numbered folder in it.
            batch_size: the most texts that are computed together.

        Raises:
            UserError: there is no SavedModel, or it is damaged or not one of
                this program's; or `batch_size` is not positive.
        """
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: must be at least 1")
        self._batch_size = batch_size
        folder = pathlib.Path(export_dir)
        if not tf.saved_model.contains_saved_model(os.fspath(folder)):
            folder = latest_version(folder)
        self._loaded = _load(folder)  # the signatures live as long as it does
        self.description = read_description(self._loaded)
        self._names = TEXT_INPUTS[self.description.takes_pairs]
        self._signature = self._loaded.signatures[STRINGS]
        self._read = ANSWERS[self.description.problem].read
        # The first calls of a graph are slow.
        for _ in range(2):
            self._answer(np.full((1, len(self._names)), b"", object))

    def predict(
        self, texts: Sequence[Text | tuple[Text, Text]]
    ) -> list[AnyPrediction]:
        """Answers texts, or pairs of texts.

        Texts of similarly many tokens are computed together; the answers do
        not depend on what a text is computed together with. Of bytes and
        strings alike, what is not valid UTF-8 is left out.

        Args:
            texts: N strings, or (text_a, text_b) for a model of pairs; none
                at all gives no answer.

        Returns:
            N answers in the order of the texts: `Prediction`,
            `LabelSetPrediction` or `ValuePrediction`, by the problem.

        Raises:
            UserError: an item is not what the model takes.
        """
        if isinstance(texts, (str, bytes)):
            raise UserError(
                "predict takes a list of texts and was given one text; put "
                "it into a list"
            )
        rows = np.empty((len(texts), len(self._names)), object)
        for number, item in enumerate(texts):
            rows[number] = self._row(number, item)
        if len(rows) <= self._batch_size:
            return self._answer(rows) if len(rows) else []
        return self._answer_by_length(rows)

    def _row(self, number: int, item: Any) -> tuple[bytes, ...]:
        """Returns an item's texts as UTF-8."""
        texts = item if self.description.takes_pairs else (item,)
        if (
            not isinstance(texts, (tuple, list))
            or len(texts) != len(self._names)
            or not all(isinstance(text, (str, bytes)) for text in texts)
        ):
            wanted = {1: "a string", 2: "a pair of strings"}[len(self._names)]
            raise UserError(
                f"text number {number} (from 0) must be {wanted}, as the "
                f"model was trained, and is {_shown(item)}"
            )
        return tuple(
            text if isinstance(text, bytes) else text.encode("utf-8", "ignore")
            for text in texts
        )

    def _answer(self, rows: np.ndarray) -> list[AnyPrediction]:
        """Computes one batch: bytes [B, 1 or 2] → B answers."""
        return self._told(self._signature(**self._texts(rows)))

    def _answer_by_length(self, rows: np.ndarray) -> list[AnyPrediction]:
        """Makes all ids first, and batches of those of similar length."""
        answers: list[Any] = [None] * len(rows)
        for first in range(0, len(rows), _PACKED_AT_ONCE):
            packed = {
                name: tensor.numpy()
                for name, tensor in self._loaded.signatures[PACKED](
                    **self._texts(rows[first : first + _PACKED_AT_ONCE])
                ).items()
            }
            lengths = packed["input_mask"].sum(1)
            order = np.argsort(lengths, kind="stable")
            for start in range(0, len(order), self._batch_size):
                chosen = order[start : start + self._batch_size]
                longest = lengths[chosen[-1]]
                batch = {
                    name: tf.constant(ids[chosen, :longest])
                    for name, ids in packed.items()
                }
                for number, answer in zip(
                    chosen,
                    self._told(self._loaded.signatures[IDS](**batch)),
                    strict=True,
                ):
                    answers[first + number] = answer
        return answers

    def _texts(self, rows: np.ndarray) -> dict[str, tf.Tensor]:
        return {
            name: tf.constant(list(rows[:, column]), tf.string)
            for column, name in enumerate(self._names)
        }

    def _told(self, outputs: Mapping[str, tf.Tensor]) -> list[AnyPrediction]:
        arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
        return self._read(arrays, self.description.labels)


def _load(folder: pathlib.Path) -> Any:
    try:
        loaded = tf.saved_model.load(os.fspath(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"{folder}: the SavedModel cannot be loaded: {error}; export it "
            "again"
        ) from error
    missing = [
        name for name in (STRINGS, IDS, PACKED) if name not in loaded.signatures
    ]
    if missing:
        raise UserError(
            f"{folder}: the SavedModel has no signature "
            f"{' and no '.join(missing)}; it was not written by this "
            "version's export_saved_model.py. Export the model again."
        )
    return loaded


def _shown(item: Any) -> str:
    """Returns a value for a message, cut if it is long."""
    shown = f"{item!r}"
    return f"{type(item).__name__} {shown[:60]}{'…' * (len(shown) > 60)}"
