"""Instances of any part of a corpus, drawn by any worker, written to a file.

Each document and repetition has a stream of chance of its own, and a fixed
place in a random order, so that the files do not depend on who writes them.
Which parts there are and what becomes of the files is left to `preparation`.
"""

from __future__ import annotations

import array
import dataclasses
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bert_keras3.inputs import records
from bert_keras3.inputs.example_encoding import encode_examples
from bert_keras3.pretraining_data import instances, masking, segments, streams
from bert_keras3.pretraining_data.corpus import Corpus
from bert_keras3.pretraining_data.masking import Vocabulary
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.safekeeping.files import atomic_path

# Instances that are shuffled among one another, 48 bytes each.
_SHUFFLED = 1 << 16
# Rows that become arrays at a time.
_BATCH = 1024
# Tell the draws for one purpose from those for another.
_ORDER_OF_UNITS, _SEGMENTS, _ORDER_OF_INSTANCES = range(3)


@dataclasses.dataclass(frozen=True)
class ShardSettings:
    """What is asked of the text."""

    sentence_objective: str
    """One of `segments.OBJECTIVES`."""
    masking: MaskingSettings
    """Its strategy is one of `masking.STRATEGIES`, or `masking.NO_MASKS`."""
    max_seq_length: int
    """Special tokens counted."""
    short_seq_prob: float
    """How often a document is cut to a shorter length."""
    dupe_factor: int
    """How often each document is gone through."""
    random_seed: int
    """Of all streams."""
    compression: str
    """One of `records.COMPRESSIONS`."""
    entities: bool
    """Whether records without masks say where entities begin."""


class Piece(NamedTuple):
    """A part of the work: some of the pairs of document and repetition.

    Attributes:
        number: of the piece.
        corpus: folder of the corpus.
        path: where the records go.
        first: of the pairs, in their random order.
        last: one more than the last.
        settings: what is asked.
        vocabulary: for special tokens and replacements.
    """

    number: int
    corpus: str
    path: str
    first: int
    last: int
    settings: ShardSettings
    vocabulary: Vocabulary


def write(piece: Piece) -> tuple[int, int]:
    """Writes the records of a piece to its path, whole or not at all.

    Returns:
        The piece's number, and how many records it has.
    """
    settings, written = piece.settings, 0
    with (
        Corpus(piece.corpus) as corpus,
        atomic_path(piece.path) as temporary,
        records.open_writer(temporary, settings.compression) as append,
    ):
        for found, keys in _shuffled(corpus, piece):
            for start in range(0, len(found), _BATCH):
                end = start + _BATCH
                columns = features(
                    corpus,
                    found[start:end],
                    keys[start:end],
                    settings,
                    piece.vocabulary,
                )
                for record in encode_examples(columns):
                    append(record)
            written += len(found)
    return piece.number, written


def features(
    corpus: Corpus,
    found: np.ndarray,
    keys: np.ndarray,
    settings: ShardSettings,
    vocabulary: Vocabulary,
) -> dict[str, np.ndarray]:
    """Returns the columns of N records.

    Args:
        corpus: the tokens.
        found: int64 [N, 5], rows of `segments.Segments`.
        keys: uint64 [N], the streams of chance.
        settings: what is asked.
        vocabulary: for special tokens and replacements.

    Returns:
        [N, length] under the keys of `records.masked_columns`, or of
        `records.unmasked_columns`.
    """
    unmasked = instances.look_up(
        corpus, found, settings.max_seq_length, vocabulary
    )
    if settings.masking.strategy == masking.NO_MASKS:
        return instances.unmasked_features(unmasked, entities=settings.entities)
    masked = masking.mask(
        unmasked.input_ids,
        unmasked.maskable,
        unmasked.starts,
        unmasked.lengths,
        keys,
        settings.masking,
        vocabulary,
    )
    return instances.masked_features(unmasked, masked)


def _shuffled(
    corpus: Corpus, piece: Piece
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields segments [n, 5] and keys [n] in a random order, some at a time."""
    found, keys = array.array("q"), array.array("Q")
    for drawn, key in _drawn(corpus, piece):
        found.extend(drawn)
        keys.append(key)
        if len(keys) == _SHUFFLED:
            yield _in_random_order(found, keys)
            found, keys = array.array("q"), array.array("Q")
    if keys:
        yield _in_random_order(found, keys)


def _in_random_order(
    found: array.array[int], keys: array.array[int]
) -> tuple[np.ndarray, np.ndarray]:
    key_array = np.frombuffer(keys, np.uint64)
    order = np.argsort(streams.subkeys(key_array, _ORDER_OF_INSTANCES))
    rows = np.frombuffer(found, np.int64).reshape(-1, 5)
    return rows[order], key_array[order]


def _drawn(
    corpus: Corpus, piece: Piece
) -> Iterator[tuple[segments.Segments, int]]:
    """Yields every instance of a piece, with a key of its own."""
    settings = piece.settings
    walk = segments.OBJECTIVES[settings.sentence_objective]
    units = streams.permuted(
        np.arange(piece.first, piece.last),
        corpus.num_documents * settings.dupe_factor,
        streams.key(settings.random_seed, _ORDER_OF_UNITS),
    )
    rng = random.Random(0)
    for unit in units.tolist():
        document, repetition = divmod(unit, settings.dupe_factor)
        key = streams.key(settings.random_seed, _SEGMENTS, document, repetition)
        rng.seed(key)
        for found in walk(
            corpus,
            document,
            rng,
            settings.max_seq_length,
            settings.short_seq_prob,
        ):
            key = key + 1 & 0xFFFFFFFFFFFFFFFF
            yield found, key
