"""Tokens of a text → windows: rows that fit the model.

    pieces        0 1 2 3 4 5 6 7     stretches of 4, two pieces shared
    windows       0 1 2 3
                      2 3 4 5
                          4 5 6 7
    trusted in    0 0 0 1 1 2 2 2

A token is several pieces, and its first piece decides its tag. A piece is
trusted in one window alone, away from that window's edges: what two windows
share is divided in its middle. So no token is lost, however long the text,
and none is decided twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs.feature_store import (
    INPUT_COLUMNS,
    Column,
    FeatureStore,
    ranges,
)
from bert_keras3.safekeeping.errors import UserError
from tokenization.packing import NUM_SPECIAL_SINGLE
from tokenization.tokenizers import Tokenizer

NO_TAG = -1
"""The tag of pieces that are not trusted, of [CLS], [SEP] and padding."""

IS_TRUSTED = "is_trusted"
TAGS = "tags"

WINDOW_COLUMNS: Mapping[str, Column] = {
    **INPUT_COLUMNS,
    IS_TRUSTED: Column("int32", per_token=True, stored="uint8"),
}
"""The model's inputs, and 1 at each piece that decides a token's tag: in the
order of rows, these are the example's tokens."""
TAG_COLUMN = Column("int32", per_token=True, padding=NO_TAG)


@dataclasses.dataclass(frozen=True)
class WindowMaker:
    """Makes the windows of texts.

    Attributes:
        tokenizer: token → ids of its pieces.
        max_seq_length: the most pieces of a row, [CLS] and [SEP] included.
        overlap: how many pieces two windows share.

    Raises:
        UserError: `overlap` leaves no room for anything new.
    """

    tokenizer: Tokenizer
    max_seq_length: int
    overlap: int

    def __post_init__(self) -> None:
        """Checks the values."""
        if not 0 <= self.overlap < self.room:
            raise UserError(
                f"--window_overlap={self.overlap}: windows of "
                f"--max_seq_length={self.max_seq_length} hold {self.room} "
                "tokens of a text; give at least 0 and less than that"
            )

    @property
    def room(self) -> int:
        """The most pieces of a text in a window."""
        return self.max_seq_length - NUM_SPECIAL_SINGLE

    def pieces(self, tokens: Sequence[str]) -> tuple[list[int], np.ndarray]:
        """Returns ids of the pieces, and where each token's first one is.

        A token of which the tokenizer leaves nothing, such as a control
        character, is one [UNK], so that it has a tag like every other.
        """
        encode = self.tokenizer.encode
        unknown = [self.tokenizer.vocab[self.tokenizer.special_tokens[0]]]
        ids: list[int] = []
        first = np.empty(len(tokens), np.int64)
        for number, token in enumerate(tokens):
            first[number] = len(ids)
            ids += encode(token) or unknown
        return ids, first

    def rows(
        self,
        ids: Sequence[int],
        first: np.ndarray,
        tags: np.ndarray | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yields the windows of a text; none if it has no token.

        Args:
            ids: of its pieces.
            first: int [T], number of each token's first piece.
            tags: int [T], of the tokens, for the column `TAGS`; None: it has
                none.

        Yields:
            {column: values} of `WINDOW_COLUMNS`, and perhaps `TAGS`.
        """
        vocab = self.tokenizer.vocab
        cls_id, sep_id = vocab["[CLS]"], vocab["[SEP]"]
        bounds = window_bounds(len(ids), self.room, self.overlap)
        for start, end, trusted_from, trusted_to in bounds.tolist():
            tokens = slice(*np.searchsorted(first, [trusted_from, trusted_to]))
            places = first[tokens] - start + 1
            if not len(places):
                continue
            input_ids = [cls_id, *ids[start:end], sep_id]
            is_trusted = np.zeros(len(input_ids), np.uint8)
            is_trusted[places] = 1
            row: dict[str, Any] = {
                "input_ids": input_ids,
                "segment_ids": np.zeros(len(input_ids), np.uint8),
                IS_TRUSTED: is_trusted,
            }
            if tags is not None:
                row[TAGS] = np.full(len(input_ids), NO_TAG, np.int32)
                row[TAGS][places] = tags[tokens]
            yield row


@dataclasses.dataclass(frozen=True)
class TrustedPieces:
    """The pieces that decide the tags of some examples' tokens.

    Attributes:
        places: int [T], among the pieces of the examples' rows.
        in_store: int [T], among all pieces of the store.
        offsets: int [E + 1], where each example's tokens begin.
    """

    places: np.ndarray
    in_store: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(
        cls, store: FeatureStore, rows: np.ndarray, numbers: np.ndarray
    ) -> TrustedPieces:
        """Finds them.

        Args:
            store: of rows with the column `IS_TRUSTED`.
            rows: int [R], those of the examples, in order.
            numbers: int [E], of the examples.
        """
        lengths = store.lengths[rows]
        pieces = ranges(store.offsets[rows], lengths)
        places = np.flatnonzero(store.arrays[IS_TRUSTED][pieces])
        of_token = np.repeat(store.examples[rows], lengths)[places]
        starts = np.searchsorted(of_token, numbers)
        offsets = np.append(starts, len(of_token))
        return cls(places, pieces[places], offsets)


def window_bounds(num_pieces: int, room: int, overlap: int) -> np.ndarray:
    """Returns where windows start and end, and what they are trusted for.

    Args:
        num_pieces: of the text.
        room: the most of them in a window.
        overlap: how many two windows share; the last one may share more.

    Returns:
        int64 [W, 4]: first piece and the one behind the last, in the window
        and trusted. The trusted stretches follow each other without a gap.
    """
    if not num_pieces:
        return np.zeros((0, 4), np.int64)
    start = np.arange(0, max(1, num_pieces - overlap), room - overlap)
    # The last window is moved to the left until it is full.
    start[-1] = max(0, min(start[-1], num_pieces - room))
    end = np.minimum(start + room, num_pieces)
    # In the middle of what a window shares with the one before.
    middle = (start[1:] + end[:-1]) // 2
    trusted_from = np.concatenate([[0], middle])
    trusted_to = np.concatenate([middle, [num_pieces]])
    return np.stack([start, end, trusted_from, trusted_to], axis=1)
