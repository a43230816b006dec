"""Tokenized examples on disk, mapped into memory: any number, any order.

A million rows take no more memory than a thousand. Which rows make a batch is
decided in `batches`; what a row's text was stays in its file.
"""

from __future__ import annotations

import array
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from tokenization.packing import Packed, pad

_IDS_FILE = "input_ids.int32"


@dataclasses.dataclass(frozen=True)
class TokenStore:
    """Inputs of the model, one after the other.

    Attributes:
        input_ids: int32 [all tokens], mapped from a file.
        offsets: int64 [N + 1]; row i is input_ids[offsets[i]:offsets[i + 1]].
        first_lengths: int32 [N]; how many of a row's ids are in segment 0.
        length_step: batches are padded to a multiple of this, though not
            beyond the longest row, so that they have few different shapes.
    """

    input_ids: np.ndarray
    offsets: np.ndarray
    first_lengths: np.ndarray
    length_step: int = 1

    def __len__(self) -> int:
        """Returns the number of rows, N."""
        return len(self.first_lengths)

    @property
    def lengths(self) -> np.ndarray:
        """Number of ids of each row, [CLS] and [SEP] included, [N]."""
        return np.diff(self.offsets)

    @functools.cached_property
    def _longest(self) -> int:
        return int(self.lengths.max(initial=0))

    def share_of_padding(self, length: int) -> float:
        """Returns what part of all positions is none of an input's ids.

        Args:
            length: that every row is padded to.
        """
        return 1.0 - len(self.input_ids) / max(1, length * len(self))

    def packed(self, row: int) -> Packed:
        """Returns one row."""
        ids = self.input_ids[self.offsets[row] : self.offsets[row + 1]]
        segment_ids = np.zeros(len(ids), np.int32)
        segment_ids[self.first_lengths[row] :] = 1
        return Packed(ids, segment_ids, 0)  # type: ignore[arg-type]

    def padded(self, rows: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Returns some rows as a batch, padded to their longest or a step.

        Args:
            rows: B numbers of rows.

        Returns:
            `input_ids`, `input_mask` and `segment_ids`, int32 [B, S].
        """
        batch = [self.packed(int(row)) for row in rows]
        longest = max((len(packed.input_ids) for packed in batch), default=0)
        return pad(batch, int(self.padded_lengths(np.array(longest))))

    def padded_lengths(self, lengths: np.ndarray) -> np.ndarray:
        """Returns the lengths of batches whose longest rows are so long."""
        steps = -(-lengths // self.length_step)
        return np.minimum(steps * self.length_step, self._longest)


def write_token_store(
    folder: str | os.PathLike[str], examples: Iterable[Packed]
) -> TokenStore:
    """Writes inputs as they come and maps them.

    Args:
        folder: an existing folder, for the file of ids; the store is good as
            long as that file is there.
        examples: the inputs, N in all; only one is in memory at a time.

    Returns:
        The store.

    Raises:
        OSError: the disk is full.
    """
    path = pathlib.Path(folder) / _IDS_FILE
    offsets, first_lengths = array.array("q", [0]), array.array("i")
    with open(path, "wb") as file:
        for packed in examples:
            file.write(np.asarray(packed.input_ids, np.int32).tobytes())
            offsets.append(offsets[-1] + len(packed.input_ids))
            segments = packed.segment_ids
            # Segment 1 is one run at the end, if it is there at all.
            first_lengths.append(len(segments) - sum(segments))
    return TokenStore(
        np.memmap(path, np.int32, "r")
        if offsets[-1]
        else np.zeros(0, np.int32),
        np.frombuffer(offsets, np.int64),
        np.frombuffer(first_lengths, np.int32),
    )
