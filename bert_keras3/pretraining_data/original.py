"""The original's instances, drawn in the original's order from one stream.

One `random.Random` goes through everything: the order of documents, what
`segments` draws, the masks, the order of instances. Equal texts and seeds
give the original's records one by one; freer ways are in `shards`.
"""

from __future__ import annotations

import array
import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3.pretraining_data import instances, segments
from bert_keras3.pretraining_data.corpus import Corpus
from bert_keras3.pretraining_data.masking import (
    KEPT_OF_REST,
    MASKED,
    Masked,
    Vocabulary,
    number_to_predict,
)
from bert_keras3.pretraining_data.segments import Numbers, Segments
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.pretraining_data.words import WORD
from tokenization.packing import NUM_SPECIAL_PAIR

# Instead of an id: the token is left as it is.
_STAYS = -1
# Rows that become arrays at a time.
_BATCH = 2048


@dataclasses.dataclass(frozen=True)
class OriginalSettings:
    """The flags of the original that chance depends on."""

    max_seq_length: int
    """[CLS], [SEP] and [SEP] counted."""
    short_seq_prob: float
    """How often a document is cut to a shorter length."""
    dupe_factor: int
    """Passes over the documents."""
    random_seed: int
    """Of the stream."""
    masking: MaskingSettings
    """Its strategy is one of `STRATEGIES`."""


@dataclasses.dataclass(frozen=True)
class _ShuffledDocuments:
    """The corpus, its documents in another order."""

    corpus: Corpus
    order: Sequence[int]

    @property
    def num_documents(self) -> int:
        return self.corpus.num_documents

    @property
    def offsets(self) -> Numbers:
        return self.corpus.offsets

    def bounds(self, document: int) -> tuple[int, int]:
        return self.corpus.bounds(self.order[document])


class Drawn:
    """All instances of a corpus, each as a few numbers.

    Args:
        corpus: the documents.
        settings: what chance depends on.
        vocabulary: for what comes instead of the tokens chosen.
        report: told the documents done and how many there are, passes
            counted.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: OriginalSettings,
        vocabulary: Vocabulary,
        report: Callable[[int, int], None],
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
        """Draws what comes instead of a token; `_STAYS` if it stays."""
        if rng.random() < MASKED:
            return self._vocabulary.mask_id
        if rng.random() < KEPT_OF_REST:
            return _STAYS
        return self._ids[rng.randint(0, len(self._ids) - 1)]

    def features(self) -> Iterator[dict[str, np.ndarray]]:
        """Yields all instances in their order, as many rows at a time.

        Yields:
            [n, length] under each key of `records.masked_columns`.
        """
        found = np.frombuffer(self._segments, np.int64).reshape(-1, 5)
        counts = np.frombuffer(self._counts, np.uint16).astype(np.int64)
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
            present = np.arange(most) < counts[rows][:, None]
            places = (firsts[rows][:, None] + np.arange(most))[present]
            masked_positions = np.zeros(present.shape, np.int64)
            masked_positions[present] = positions[places]
            labels = present * np.take_along_axis(
                unmasked.input_ids, masked_positions, axis=1
            )
            instead = replacements[places]
            stays = instead == _STAYS
            input_ids = unmasked.input_ids.copy()
            input_ids[np.nonzero(present)[0], positions[places]] = np.where(
                stays, labels[present], instead
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
    """Returns the places of `number` tokens, fewer if there are no more."""
    places = _places(found)
    _shuffle(places, rng)
    return places[:number]


def _choose_words(
    corpus: Corpus, found: Segments, number: int, rng: random.Random
) -> list[int]:
    """Returns the places of words as long as they fit into `number`.

    B may begin amid a word; that rest then counts to the last word of A.
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


# The strategies of `masking` that the original has.
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
