"""The original's records, one by one: its random draws in its order.

One `random.Random(seed)` is drawn from for everything, in this order:

    the order of the documents
    dupe_factor times, for each document, for each instance of it:
        its two segments (`segments.next_sentence`)
        which tokens are masked
        what replaces each of them
    the order of the instances

So equal texts, settings and seeds give the records of the original's script.
It takes one process, and all instances are in memory, as some 200 bytes of
numbers each. Records for any number of workers are in `independent_order`.
"""

from __future__ import annotations

import array
import contextlib
import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs import records
from bert_keras3.parallel_work.workers import Progress, Report
from bert_keras3.pretraining_data import instances, segments
from bert_keras3.pretraining_data.corpus import Corpus
from bert_keras3.pretraining_data.masking import (
    KEEP_PROBABILITY,
    MASK_PROBABILITY,
    Masked,
    Vocabulary,
    number_to_predict,
)
from bert_keras3.pretraining_data.segments import Integers, Segments
from bert_keras3.pretraining_data.settings import Settings
from bert_keras3.pretraining_data.words import WORD
from bert_keras3.safekeeping.files import atomic_path
from tokenization.packing import NUM_SPECIAL_PAIR

# In the place of a replacement: the token is kept.
_KEPT = -1
# Instances that become arrays at a time.
_BATCH = 2048


def write_records(
    corpus: Corpus,
    settings: Settings,
    vocabulary: Vocabulary,
    progress: Progress,
) -> int:
    """Writes the original's records, one to each file in turn.

    Args:
        corpus: the documents.
        settings: of the job; the masking strategy is one of `STRATEGIES`.
        vocabulary: for special tokens and replacements.
        progress: gets two stages.

    Returns:
        How many records there are.
    """
    drawn = DrawnInstances(
        corpus, settings, vocabulary, progress.stage("Drawing instances")
    )
    report = progress.stage("Writing records")
    written = 0
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                records.open_writer(
                    stack.enter_context(atomic_path(path)),
                    settings.compression,
                )
            )
            for path in settings.output_files
        ]
        for columns in drawn.features():
            for record in records.encode_examples(columns):
                writers[written % len(writers)](record)
                written += 1
            report(written, len(drawn))
    return written


@dataclasses.dataclass(frozen=True)
class _ShuffledDocuments:
    """The corpus, its documents in another order."""

    corpus: Corpus
    order: Sequence[int]

    @property
    def num_documents(self) -> int:
        return self.corpus.num_documents

    @property
    def offsets(self) -> Integers:
        return self.corpus.offsets

    def bounds(self, document: int) -> tuple[int, int]:
        return self.corpus.bounds(self.order[document])


class DrawnInstances:
    """All instances of a corpus, each as a few numbers.

    Args:
        corpus: the documents.
        settings: of the job.
        vocabulary: for special tokens and replacements.
        report: takes the documents done and how many there are, each counted
            `dupe_factor` times.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: Settings,
        vocabulary: Vocabulary,
        report: Report,
    ) -> None:
        self._corpus = corpus
        self._settings = settings
        self._vocabulary = vocabulary
        self._numbers = number_to_predict(
            np.arange(settings.max_seq_length + 1), settings.masking
        ).tolist()
        self._ids = vocabulary.ids.tolist()
        # Arrays, since a list of as many tuples takes ten times the memory.
        self._segments = array.array("q")
        self._counts = array.array("H")
        self._positions = array.array("H")
        self._replacements = array.array("i")
        rng = random.Random(settings.random_seed)
        order = list(range(corpus.num_documents))
        rng.shuffle(order)
        documents = _ShuffledDocuments(corpus, order)
        total = settings.dupe_factor * len(order)
        for number in range(total):
            self._draw(documents, number % len(order), rng)
            report(number + 1, total)
        self._order = list(range(len(self._counts)))
        rng.shuffle(self._order)

    def __len__(self) -> int:
        """Returns the number of instances, N."""
        return len(self._order)

    def _draw(
        self,
        documents: _ShuffledDocuments,
        document: int,
        rng: random.Random,
    ) -> None:
        """Draws the instances of one document."""
        settings = self._settings
        choose = STRATEGIES[settings.masking.strategy]
        for found in segments.next_sentence(
            documents,
            document,
            rng,
            settings.max_seq_length,
            settings.short_seq_prob,
            _draw_other,
        ):
            length = (found.a_end - found.a_start) + (
                found.b_end - found.b_start
            )
            number = self._numbers[length + NUM_SPECIAL_PAIR]
            drawn = sorted(
                [
                    (place, self._replacement(rng))
                    for place in choose(self._corpus, found, number, rng)
                ]
            )
            self._segments.extend(found)
            self._counts.append(len(drawn))
            self._positions.extend([position for position, _ in drawn])
            self._replacements.extend([index for _, index in drawn])

    def _replacement(self, rng: random.Random) -> int:
        """Draws the id that replaces a token; `_KEPT` if it is kept."""
        if rng.random() < MASK_PROBABILITY:
            return self._vocabulary.mask_id
        if rng.random() < KEEP_PROBABILITY:
            return _KEPT
        return self._ids[rng.randint(0, len(self._ids) - 1)]

    def features(self) -> Iterator[dict[str, np.ndarray]]:
        """Yields all instances in their final order, `_BATCH` at a time.

        Yields:
            [n, length] under each key of `records.masked_columns`.
        """
        found = np.frombuffer(self._segments, np.int64).reshape(-1, 5)
        counts = np.frombuffer(self._counts, np.uint16).astype(np.int64)
        # Where the positions and replacements of each instance begin.
        firsts = np.cumsum(counts) - counts
        positions = np.frombuffer(self._positions, np.uint16)
        replacements = np.frombuffer(self._replacements, np.int32)
        most = self._settings.masking.max_predictions_per_seq
        for start in range(0, len(self), _BATCH):
            rows = np.array(self._order[start : start + _BATCH])
            unmasked = instances.look_up(
                self._corpus,
                found[rows],
                self._settings.max_seq_length,
                self._vocabulary,
            )
            old_ids = unmasked.inputs.input_ids
            present = np.arange(most) < counts[rows][:, None]
            places = (firsts[rows][:, None] + np.arange(most))[present]
            masked_positions = np.zeros(present.shape, np.int64)
            masked_positions[present] = positions[places]
            labels = present * np.take_along_axis(
                old_ids, masked_positions, axis=1
            )
            new = replacements[places]
            input_ids = old_ids.copy()
            input_ids[np.nonzero(present)[0], positions[places]] = np.where(
                new == _KEPT, labels[present], new
            )
            yield instances.masked_features(
                unmasked,
                Masked(
                    input_ids,
                    masked_positions,
                    labels,
                    present.astype(np.float32),
                ),
            )


def _draw_other(rng: random.Random, document: int, number: int) -> int:
    """Draws a document, ten times at most, until it is not `document`."""
    drawn = document
    for _ in range(10):
        drawn = rng.randint(0, number - 1)
        if drawn != document:
            break
    return drawn


def _choose_tokens(
    corpus: Corpus, found: Segments, number: int, rng: random.Random
) -> list[int]:
    """Returns the places of `number` tokens, or of all if there are fewer."""
    places = _places(found)
    _shuffle(places, rng)
    return places[:number]


def _choose_words(
    corpus: Corpus, found: Segments, number: int, rng: random.Random
) -> list[int]:
    """Returns the places of whole words, `number` tokens at most.

    If B begins inside of a word, that rest counts to the last word of A.
    """
    starts = corpus.read((found[:2], found[2:4]))[1].tolist()
    words: list[list[int]] = []
    for place, start in zip(_places(found), starts, strict=True):
        if start & WORD or not words:
            words.append([place])
        else:
            words[-1].append(place)
    _shuffle(words, rng)
    chosen: list[int] = []
    for word in words:
        if len(chosen) + len(word) <= number:
            chosen += word
        if len(chosen) == number:
            break
    return chosen


# The values of --masking that the original has.
STRATEGIES = {"token": _choose_tokens, "whole_word": _choose_words}


def _places(found: Segments) -> list[int]:
    """Returns the places of the text in `[CLS] a [SEP] b [SEP]`."""
    a_end = 1 + found.a_end - found.a_start
    b_end = a_end + 1 + found.b_end - found.b_start
    return [*range(1, a_end), *range(a_end + 1, b_end)]


def _shuffle(items: list[Any], rng: random.Random) -> None:
    """Does what `rng.shuffle` does, with the same draws, in half the time."""
    getrandbits = rng.getrandbits
    for last in range(len(items) - 1, 0, -1):
        width = (last + 1).bit_length()
        drawn = getrandbits(width)
        while drawn > last:
            drawn = getrandbits(width)
        items[last], items[drawn] = items[drawn], items[last]
