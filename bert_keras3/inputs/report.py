"""Counts a data set's duplicate, empty, long and truncated texts.

Of the texts "a", "b" and "a " with the labels 0, 1 and 1 one is a duplicate,
and its label a conflict.
"""

from __future__ import annotations

import array
import collections
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from bert_keras3.inputs.examples import plain_number

_LINES_KEPT = 10
# Texts with unknown tokens in which these are looked for, which takes about a
# millisecond each, and how many of them a report names.
_UNKNOWN_LOOKED_AT = 1000
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class DataReport:
    """The counts of one file.

    Attributes:
        num_rows: number of examples.
        num_empty: examples with an empty or blank text.
        empty_lines: the lines where the first ten of those start.
        num_duplicates: examples whose text or pair has been seen before.
        num_conflicts: how often a text seen before has a new label.
        mean_length: mean number of characters of an example's texts.
        longest: number of characters of the longest example.
        longest_line: the line where it starts.
        num_tokens: number of tokens, before truncation.
        num_unknown: how many of these are [UNK].
        num_truncated: examples that were cut to fit.
        unknown_parts: the five commonest characters or words that the
            vocabulary lacks, and how often they occur, in the first thousand
            texts with any.
        fingerprints: uint64 [num_rows - num_duplicates], sorted; one number
            for each different text or pair.
    """

    num_rows: int
    num_empty: int
    empty_lines: tuple[int, ...]
    num_duplicates: int
    num_conflicts: int
    mean_length: float
    longest: int
    longest_line: int
    num_tokens: int
    num_unknown: int
    num_truncated: int
    unknown_parts: tuple[tuple[str, int], ...]
    fingerprints: np.ndarray = dataclasses.field(repr=False, compare=False)

    @property
    def unknown_rate(self) -> float:
        """The share of tokens that are [UNK]."""
        return self.num_unknown / max(1, self.num_tokens)


class Survey:
    """Counts examples while they are read and encoded.

    Keeps 16 bytes per example; only the line numbers in the report depend on
    the order of the examples.
    """

    def __init__(self) -> None:
        self._texts = array.array("Q")
        self._labelled_texts = array.array("Q")
        self._num_empty = 0
        self._empty_lines: list[int] = []
        self._characters = 0
        self._longest = 0
        self._longest_line = 0
        self._num_tokens = 0
        self._num_unknown = 0
        self._num_truncated = 0
        self._num_with_unknown = 0
        self._unknown_parts: collections.Counter[str] = collections.Counter()

    def add(
        self,
        texts: Sequence[str],
        labels: str | tuple[str, ...] | None = None,
        line: int = 0,
    ) -> None:
        """Counts one example.

        Args:
            texts: all of its texts.
            labels: its label or labels; None where equal texts with other
                labels are no conflict.
            line: the line of the file where it starts; 0 if lines say
                nothing.
        """
        if labels is None:
            labels = ()
        elif isinstance(labels, str):
            labels = (labels,)
        # Equal numbers are one label, however they are written.
        values = map(plain_number, labels)
        labels = tuple(
            label if value is None else str(value.normalize())
            for label, value in zip(labels, values, strict=True)
        )

        length = sum(map(len, texts))
        self._characters += length
        if length > self._longest:
            self._longest = length
            self._longest_line = line
        if not all(map(str.strip, texts)):
            self._num_empty += 1
            if len(self._empty_lines) < _LINES_KEPT:
                self._empty_lines.append(line)

        # Python's own hash differs from run to run.
        digest = hashlib.blake2b(_joined(texts), digest_size=8)
        self._texts.append(int.from_bytes(digest.digest(), "little"))
        digest.update(b"\x1e" + _joined(labels))
        self._labelled_texts.append(int.from_bytes(digest.digest(), "little"))

    def add_tokens(self, tokens: int, unknown: int, truncated: bool) -> None:
        """Counts what the tokenizer made of one example.

        Args:
            tokens: number of tokens before truncation.
            unknown: how many of them are [UNK].
            truncated: whether some were cut off.
        """
        self._num_tokens += tokens
        self._num_unknown += unknown
        self._num_truncated += truncated

    @property
    def wants_unknown(self) -> bool:
        """Whether it still counts what the vocabulary lacks."""
        return self._num_with_unknown < _UNKNOWN_LOOKED_AT

    def add_unknown(self, parts: Iterable[str]) -> None:
        """Counts the characters or words of a text that are unknown."""
        self._num_with_unknown += 1
        self._unknown_parts.update(parts)

    def report(self) -> DataReport:
        """Returns the counts so far."""
        num_rows = len(self._texts)
        different = _distinct(self._texts)
        num_labelled = len(_distinct(self._labelled_texts))
        return DataReport(
            num_rows=num_rows,
            num_empty=self._num_empty,
            empty_lines=tuple(self._empty_lines),
            num_duplicates=num_rows - len(different),
            num_conflicts=num_labelled - len(different),
            mean_length=self._characters / max(1, num_rows),
            longest=self._longest,
            longest_line=self._longest_line,
            num_tokens=self._num_tokens,
            num_unknown=self._num_unknown,
            num_truncated=self._num_truncated,
            unknown_parts=tuple(self._unknown_parts.most_common(_MOST_NAMED)),
            fingerprints=different,
        )


def num_shared(first: DataReport, second: DataReport) -> int:
    """Returns how many different texts (or pairs) two files share.

    On texts that a dev file shares with the training file, metrics measure
    memorisation.

    Args:
        first: the report of one file.
        second: the report of the other.

    Returns:
        The number of texts; each counts once, however often it is repeated.
    """
    return len(
        np.intersect1d(
            first.fingerprints, second.fingerprints, assume_unique=True
        )
    )


def _distinct(numbers: array.array[int]) -> np.ndarray:
    # np.unique would build a table several times as large.
    ordered = np.array(numbers, np.uint64)
    ordered.sort()
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]]


def _joined(texts: Iterable[str]) -> bytes:
    # JSON can spell lone surrogates, which UTF-8 proper cannot.
    return "\x1f".join(text.strip() for text in texts).encode(
        "utf-8", "surrogatepass"
    )
