"""Texts → vectors in Python, with a model that is loaded once.

encoder = Encoder("all-MiniLM-L6-v2")  # any checkpoint, or an export
encoder.encode(["A fine film.", "A good movie."])  # float32 [2, 384]
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.exported_vectors import ExportedComputer
from bert_keras3.serving.runtimes.opening import is_exported
from bert_keras3.vectors.search import nearest, normalized, similarity
from bert_keras3.vectors.whitening import Whitening

Text = str | bytes
# Texts, or their vectors [N, D].
Texts = Sequence[Text] | np.ndarray
Advance = Callable[[int], None]

TRUNCATE = "truncate"
WINDOWS = "windows"
LONG_TEXTS = (TRUNCATE, WINDOWS)


class Hit(NamedTuple):
    """A text that was found."""

    number: int
    """Its place in the corpus, from 0."""
    score: float
    """The cosine."""


class Computer(Protocol):
    """Computes vectors that are not normalized."""

    width: int
    normalize: bool
    max_seq_length: int
    prompt: str

    def compute(
        self,
        texts: Sequence[bytes],
        *,
        pooling: str | None,
        batch_size: int,
        windows: bool,
        advance: Advance,
    ) -> np.ndarray:
        """Returns float32 [N, D]."""


class Encoder:
    """A model in memory that makes vectors of texts.

    Several threads may use one encoder at a time.

    Attributes:
        width: D, the components of a vector.
        normalize: whether vectors are divided by their length by default.
        max_seq_length: most tokens of an input, [CLS] and [SEP] included.
        prompt: text that is put before every input by default.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        max_seq_length: int | None = None,
        batch_size: int = 32,
        vocab_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool | None = None,
    ) -> None:
        """Loads a model and warms it up.

        Args:
            path: a checkpoint of any format, the output folder of a training,
                or what `export_saved_model.py --pooling=…` wrote.
            pooling: `cls`, `mean`, `max`, `last4` or `first_last`; None for
                that of a sentence-transformers folder, else `mean`.
            normalize: whether vectors are divided by their Euclidean length;
                None for what such a folder says, else not.
            max_seq_length: most tokens of an input; None for what such a
                folder says, else the positions of the model.
            batch_size: most texts in a batch.
            vocab_file: instead of the vocabulary beside the checkpoint.
            do_lower_case: instead of what the files beside it say.

        Raises:
            UserError: there is no model, it is damaged, or it has no
                vocabulary; or an argument is out of its range, or differs
                from what was exported.
        """
        _check_batch_size(batch_size)
        self._batch_size = batch_size
        self._computer: Computer
        if is_exported(path):
            self._computer = ExportedComputer(path, pooling, max_seq_length)
        else:
            # Imports Keras.
            from bert_keras3.vectors.opened import OpenedComputer

            self._computer = OpenedComputer(
                path,
                pooling,
                max_seq_length,
                vocab_file=vocab_file,
                do_lower_case=do_lower_case,
            )
        self.width = self._computer.width
        self.normalize = self._computer.normalize
        if normalize is not None:
            self.normalize = normalize
        self.max_seq_length = self._computer.max_seq_length
        self.prompt = self._computer.prompt
        # The first calls are slow.
        for _ in range(2):
            self.encode([""])

    def encode(
        self,
        texts: Sequence[Text],
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        batch_size: int | None = None,
        long_text: str = TRUNCATE,
        prompt: str | None = None,
        whiten: Whitening | None = None,
        progress: bool | Advance = False,
    ) -> np.ndarray:
        """Computes the vectors of texts.

        Texts of similar length are batched; a vector does not depend on the
        other texts in its batch. In strings and bytes alike, what is not valid
        UTF-8 is dropped.

        Args:
            texts: N texts; N may be 0.
            pooling: as for the class, for this call.
            normalize: likewise.
            batch_size: likewise.
            long_text: of a text of more tokens than `max_seq_length`:
                "truncate" drops its end; "windows" cuts it into pieces and
                averages their vectors, each weighted by its tokens.
            prompt: put before each text, instead of the model's own; "" for
                none.
            whiten: applied to the vectors, before they are normalized.
            progress: True for a bar on standard error, or a function that is
                called with a number of texts each time so many have begun.

        Returns:
            Float32 [N, D] in the order of the texts.

        Raises:
            UserError: a text is neither a string nor bytes, or an argument is
                none of those allowed.
        """
        size = self._batch_size if batch_size is None else batch_size
        _check_batch_size(size)
        if long_text not in LONG_TEXTS:
            raise UserError(
                f"long_text={long_text}: give {' or '.join(LONG_TEXTS)}"
            )
        before = (self.prompt if prompt is None else prompt).encode()
        rows = [before + row for row in _as_bytes(texts)]
        with _Progress(progress, len(rows)) as advance:
            vectors = self._computer.compute(
                rows,
                pooling=pooling,
                batch_size=size,
                windows=long_text == WINDOWS,
                advance=advance,
            )
        if whiten is not None:
            vectors = whiten(vectors)
        is_wanted = self.normalize if normalize is None else normalize
        return normalized(vectors) if is_wanted else vectors

    def fit_whitening(
        self,
        texts: Sequence[Text],
        components: int | None = None,
        *,
        pooling: str | None = None,
    ) -> Whitening:
        """Fits a whitening on texts, for `encode(whiten=…)`.

        Args:
            texts: some thousands, like those that are compared later.
            components: as for `Whitening.fit`.
            pooling: the same as for `encode` later.

        Raises:
            UserError: there are fewer than two texts, or all are equal.
        """
        vectors = self.encode(texts, pooling=pooling, normalize=False)
        return Whitening.fit(vectors, components)

    def similarity(self, a: Texts, b: Texts) -> np.ndarray:
        """Returns the cosine of each text with each other.

        Args:
            a: A texts, or vectors [A, D].
            b: B texts, or vectors [B, D].

        Returns:
            Float32 [A, B].
        """
        return similarity(self._vectors(a), self._vectors(b))

    def search(
        self, query: Text | Texts, corpus: Texts, k: int = 10
    ) -> list[Hit] | list[list[Hit]]:
        """Finds the texts of a corpus that are most similar to a query.

        Args:
            query: a text, or Q texts or vectors [Q, D].
            corpus: N texts, or vectors [N, D], which spares computing them.
            k: how many are found.

        Returns:
            The `min(k, N)` best with their cosines, best first; for several
            queries a list for each.

        Raises:
            UserError: `k` is less than 1.
        """
        if k < 1:
            raise UserError(f"k={k}: give at least 1")
        is_one = isinstance(query, (str, bytes))
        queries = [query] if isinstance(query, (str, bytes)) else query
        numbers, scores = nearest(
            self._vectors(queries), self._vectors(corpus), k
        )
        hits = [
            [Hit(*hit) for hit in zip(*row, strict=True)]
            for row in zip(numbers.tolist(), scores.tolist(), strict=True)
        ]
        return hits[0] if is_one else hits

    def _vectors(self, texts: Texts) -> np.ndarray:
        if isinstance(texts, np.ndarray):
            return texts
        return self.encode(texts)


@dataclasses.dataclass
class _Progress:
    """A bar, a function of the caller's, or nothing."""

    wanted: bool | Advance
    total: int

    def __enter__(self) -> Advance:
        self._bar = None
        if callable(self.wanted):
            return self.wanted
        if not self.wanted:
            return lambda number: None
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True))
        task = self._bar.add_task("texts", total=self.total)
        self._bar.start()
        bar = self._bar
        return lambda number: bar.advance(task, number)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _as_bytes(texts: Sequence[Text]) -> list[bytes]:
    if isinstance(texts, (str, bytes)):
        raise UserError(
            "encode takes a list of texts and was given one text; put it into "
            "a list"
        )
    rows = []
    for number, text in enumerate(texts):
        if isinstance(text, str):
            text = text.encode("utf-8", "ignore")
        if not isinstance(text, bytes):
            raise UserError(
                f"text number {number} (from 0) must be a string and is "
                f"{type(text).__name__} {text!r:.60}"
            )
        rows.append(text)
    return rows


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size}: must be at least 1")
