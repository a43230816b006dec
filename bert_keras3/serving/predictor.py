"""Predicts in Python with an exported model, which is loaded once.

predictor = Predictor("exported")
predictor.predict(["A fine film."])  # [Prediction(label="positive", …)]

Tasks over one text, or a pair, have one row for each; the runtime tokenizes.
Other tasks make rows of their own (`finetuning.task.RowTask`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from bert_keras3.finetuning.encoded_examples import Outputs
from bert_keras3.finetuning.exported_tasks import Answering, RowTask, TextTask
from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.feature_store import (
    INPUT_MASK,
    FeatureStore,
    ranges,
    store_in_memory,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.description import (
    exported_inputs,
    exported_shapes,
    nothing_for,
)
from bert_keras3.serving.runtimes.opening import open_runtime
from bert_keras3.serving.runtimes.runtime import Row
from bert_keras3.training.concurrency import in_flight

Text = str | bytes

# Texts that are tokenized in one call: 1 MB of ids at 128 tokens a text.
_PACKED_AT_ONCE = 2048
# Inputs of a task that makes rows itself, and which are answered at once.
_ITEMS_AT_ONCE = 256


class Predictor:
    """An exported model in memory.

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
        task = self.description.task
        self._answering: Answering | None = None
        if task.own_rows:
            self._answering = cast(RowTask, task).answering(
                self._runtime.tokenizer, self.description.max_seq_length
            )
            self._runtime.outputs(nothing_for(task))
            return
        self._task = cast(TextTask, task)
        # The first calls are slow.
        for _ in range(2):
            self._runtime.outputs_of_texts([(b"",) * self._num_texts])

    def predict(self, texts: Sequence[Any]) -> list[Any]:
        """Predicts for texts, pairs of texts, or what else the task takes.

        Texts of similar length are batched. A prediction does not depend on
        the other texts in its batch, except for LiteRT in int8, where
        `batch_size=1` avoids that. In strings and bytes alike, what is not
        valid UTF-8 is dropped.

        Args:
            texts: N strings, or N (text_a, text_b) for a model of pairs, or
                N (question, context) for one of answers, N (context, choices)
                or (context, question, choices) for one of choices; N may be 0.

        Returns:
            N predictions in the order of the texts: `Prediction`,
            `LabelSetPrediction`, `ValuePrediction` and so on, by the task.

        Raises:
            UserError: an item is not what the model takes.
        """
        if isinstance(texts, (str, bytes)):
            raise UserError(
                "predict takes a list of texts and was given one text; put "
                "it into a list"
            )
        if self._answering is not None:
            return self._answer(self._answering, texts)
        rows = [self._row(number, item) for number, item in enumerate(texts)]
        if not rows:
            return []
        if len(rows) <= self._batch_size:
            outputs = self._runtime.outputs_of_texts(rows)
            return self._task.predictions(outputs[self._task.score_name])
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
            outputs = self._runtime.outputs(
                {name: ids[chosen, :longest] for name, ids in packed.items()}
            )
            return outputs[self._task.score_name]

        results = in_flight(scores, batches, self._runtime.concurrency)
        for chosen, found in zip(batches, results, strict=True):
            for number, prediction in zip(
                chosen.tolist(), self._task.predictions(found), strict=True
            ):
                predictions[number] = prediction
        return predictions

    def _answer(self, answering: Answering, given: Sequence[Any]) -> list[Any]:
        """Answers the inputs of a task that makes rows itself."""
        items = []
        for number, one in enumerate(given):
            try:
                items.append(answering.item(one))
            except ValueError as error:
                raise UserError(
                    f"input number {number} (from 0): {error}; it is "
                    f"{_shown(one)}"
                ) from error
        answers: list[Any] = []
        for first in range(0, len(items), _ITEMS_AT_ONCE):
            some = items[first : first + _ITEMS_AT_ONCE]
            store = store_in_memory(
                (
                    (number, row)
                    for number, item in enumerate(some)
                    for row in answering.rows(item)
                ),
                answering.columns,
            )
            outputs = self._outputs_of(store)
            answers += answering.answers(some, store, outputs)
        return answers

    def _outputs_of(self, store: FeatureStore) -> Outputs:
        """Computes the outputs of all rows, by length; per token, flat."""
        task = self.description.task
        lengths, rows = store.lengths, np.arange(len(store))
        limit = BatchLimit(self._batch_size)
        names = tuple(exported_inputs(task))
        batches = list(batches_by_length(store, rows, limit, names))
        computed = in_flight(
            lambda batch: self._runtime.outputs(
                {name: batch[1][name] for name in names}
            ),
            batches,
            self._runtime.concurrency,
        )
        outputs = {}
        for name, shape in exported_shapes(task, 1, 1).items():
            per_token = name in task.per_token
            count = int(store.offsets[-1]) if per_token else len(store)
            shape = (count, *shape[1 + per_token :])
            outputs[name] = np.zeros(shape, np.float32)
        for (chosen, batch), found in zip(batches, computed, strict=True):
            for name, values in outputs.items():
                if name in task.per_token:
                    tokens = ranges(store.offsets[chosen], lengths[chosen])
                    values[tokens] = found[name][batch[INPUT_MASK] == 1]
                else:
                    values[chosen] = found[name]
        return outputs


def _shown(item: Any) -> str:
    """Returns a value for a message, cut if it is long."""
    shown = f"{item!r}"
    return f"{type(item).__name__} {shown[:60]}{'…' * (len(shown) > 60)}"
