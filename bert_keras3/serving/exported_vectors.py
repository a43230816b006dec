"""Vectors of texts in memory, by a model that was exported for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.runtimes.opening import open_runtime
from bert_keras3.training.concurrency import in_flight
from bert_keras3.vectors.exported import TextVectors

# Texts that are tokenized in one call: 2 MB of ids at 128 tokens a text.
_TEXTS_AT_ONCE = 4096


class ExportedComputer:
    """An exported model; see `encoder.Computer`.

    It pools and normalizes as it was exported.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        pooling: str | None,
        max_seq_length: int | None,
    ) -> None:
        """Loads an export; for the arguments see `serving.Encoder`.

        Raises:
            UserError: it does not make vectors, or was exported with another
                pooling or length.
        """
        self._path = os.fspath(path)
        self._runtime = open_runtime(path)
        description = self._runtime.description
        task = description.task
        if not isinstance(task, TextVectors):
            raise UserError(
                f"{self._path}: was exported to predict ({description.problem})"
                "; export vectors with export_saved_model.py --pooling=mean, "
                "or give the folder that it was exported from"
            )
        self._task = task
        self.width = task.width
        self.normalize = task.normalize
        self.max_seq_length = description.max_seq_length
        self.prompt = ""
        self._check_pooling(pooling)
        if max_seq_length not in (None, self.max_seq_length):
            raise UserError(
                f"max_seq_length={max_seq_length}: {self._path} was exported "
                f"with {self.max_seq_length}; export it anew, or leave it out"
            )

    def compute(
        self,
        texts: Sequence[bytes],
        *,
        pooling: str | None,
        batch_size: int,
        windows: bool,
        advance: Callable[[int], None],
    ) -> np.ndarray:
        """Returns float32 [N, D]; see `serving.Encoder.encode`.

        Raises:
            UserError: the export cannot do what is asked.
        """
        self._check_pooling(pooling)
        if windows:
            raise UserError(
                f"long_text=windows: {self._path} is an export, which cuts "
                "texts itself; give the checkpoint instead"
            )
        vectors = np.zeros((len(texts), self.width), np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[start : start + _TEXTS_AT_ONCE]
            self._compute_by_length(
                some, vectors[start : start + len(some)], batch_size
            )
            advance(len(some))
        return vectors

    def _compute_by_length(
        self, texts: Sequence[bytes], vectors: np.ndarray, batch_size: int
    ) -> None:
        """Writes the vectors of texts, batched by length, into an array."""
        packed = self._runtime.token_ids([(text,) for text in texts])
        lengths = packed["input_mask"].sum(1)
        order = np.argsort(lengths, kind="stable")
        # The longest first, so that parallel batches end together.
        batches = [
            order[start : start + batch_size]
            for start in reversed(range(0, len(order), batch_size))
        ]

        def outputs(chosen: np.ndarray) -> np.ndarray:
            longest = lengths[chosen[-1]]
            ids = {name: ids[chosen, :longest] for name, ids in packed.items()}
            return self._runtime.outputs(ids)[self._task.score_name]

        results = in_flight(outputs, batches, self._runtime.concurrency)
        for chosen, found in zip(batches, results, strict=True):
            vectors[chosen] = found

    def _check_pooling(self, name: str | None) -> None:
        if name not in (None, self._task.pooling):
            raise UserError(
                f"pooling={name}: {self._path} was exported with "
                f"{self._task.pooling}; export it anew, or leave pooling out"
            )
