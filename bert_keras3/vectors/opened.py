"""Vectors of texts in memory, by a checkpoint that was opened for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.concurrency import suitable_concurrency
from bert_keras3.training.devices import has_gpu
from bert_keras3.vectors.pooling import Pooling
from bert_keras3.vectors.text_computer import Row, TextComputer
from tokenization.packing import (
    NUM_SPECIAL_SINGLE,
    check_max_seq_length,
)

# Inputs that are tokenized and sorted by length together.
_ROWS_AT_ONCE = 1 << 14

# Token ids of a piece of a text.
_Piece = Sequence[int]


class OpenedComputer:
    """A checkpoint's encoder; see `serving.encoder.Computer`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        pooling: str | None,
        max_seq_length: int | None,
        *,
        vocab_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool | None = None,
    ) -> None:
        """Loads a checkpoint; for the arguments see `serving.Encoder`."""
        checkpoint = checkpointing.open(
            path, vocab_file=vocab_file, do_lower_case=do_lower_case
        )
        self._num_layers = checkpoint.config.num_hidden_layers
        stored = checkpoint.sentence_pooling
        self.prompt = "" if stored is None else stored.prompt
        self._pooling = default_pooling(checkpoint, pooling)
        self.normalize = stored is not None and stored.normalize
        self.width = self._pooling.width(checkpoint.config.hidden_size)
        self._computer = TextComputer(
            checkpoint, concurrency=1 if has_gpu() else suitable_concurrency()
        )
        self.max_seq_length = default_length(checkpoint, max_seq_length)
        # Checks it.
        self._computer.encoder(self.max_seq_length)

    def compute(
        self,
        texts: Sequence[bytes],
        *,
        pooling: str | None,
        batch_size: int,
        windows: bool,
        advance: Callable[[int], None],
    ) -> np.ndarray:
        """Returns float32 [N, D]; see `serving.Encoder.encode`."""
        how = self._pooling
        if pooling is not None:
            how = Pooling.named(pooling, self._num_layers)
            how = how.checked(self._num_layers)
        width = how.width(self._computer.bert.config.hidden_size)
        vectors = np.zeros((len(texts), width), np.float32)
        weights = np.zeros((len(texts), 1), np.float32)
        for numbers, pieces in self._blocks(texts, windows):
            rows = [self._row(piece) for piece in pieces]
            # A text counts with its first piece.
            first = np.diff(numbers, prepend=-1) > 0
            found = self._computer.vectors(
                rows, how, batch_size, _counting(first, advance)
            )
            # An empty text has a vector, too.
            weight = np.array([[max(1, len(piece))] for piece in pieces])
            np.add.at(vectors, numbers, found * weight)
            np.add.at(weights, numbers, weight)
        return vectors / np.maximum(weights, 1)

    def _blocks(
        self, texts: Sequence[bytes], windows: bool
    ) -> Iterator[tuple[list[int], list[_Piece]]]:
        """Yields numbers of texts, and a piece of each."""
        room = self.max_seq_length - NUM_SPECIAL_SINGLE
        numbers: list[int] = []
        pieces: list[_Piece] = []
        for number, text in enumerate(texts):
            ids = self._computer.tokenizer.encode(text)
            last = max(1, len(ids)) if windows else 1
            for start in range(0, last, room):
                numbers.append(number)
                pieces.append(ids[start : start + room])
            if len(pieces) >= _ROWS_AT_ONCE:
                yield numbers, pieces
                numbers, pieces = [], []
        if pieces:
            yield numbers, pieces

    def _row(self, piece: _Piece) -> Row:
        vocab = self._computer.tokenizer.vocab
        ids = [vocab["[CLS]"], *piece, vocab["[SEP]"]]
        return {"input_ids": ids, "segment_ids": [0] * len(ids)}


def _counting(
    first: np.ndarray, advance: Callable[[int], None]
) -> Callable[[np.ndarray], None]:
    return lambda batch: advance(int(first[batch].sum()))


def default_pooling(checkpoint: Checkpoint, name: str | None) -> Pooling:
    """Returns a pooling that is not normalized, checked.

    Args:
        checkpoint: of the model.
        name: a key of `POOLINGS`; None for what the folder says, or `mean`.

    Raises:
        UserError: there is none of that name.
    """
    num_layers = checkpoint.config.num_hidden_layers
    stored = checkpoint.sentence_pooling
    if name is None and stored is not None:
        return Pooling(stored.modes).checked(num_layers)
    return Pooling.named(name or "mean", num_layers).checked(num_layers)


def default_length(checkpoint: Checkpoint, given: int | None) -> int:
    """Returns the most tokens of an input.

    Args:
        checkpoint: of the model.
        given: None for what a sentence-transformers folder says, but no more
            than the model has positions.

    Raises:
        UserError: there is no room for a text.
    """
    longest = checkpoint.config.max_position_embeddings
    if given is None:
        stored = checkpoint.sentence_pooling
        given = longest
        if stored is not None and stored.max_seq_length is not None:
            given = min(longest, stored.max_seq_length)
    if given > longest:
        raise UserError(
            f"max_seq_length={given}: the model has positions for {longest} "
            "tokens (`max_position_embeddings`); give at most that"
        )
    check_max_seq_length(given, pair=False)
    return given
