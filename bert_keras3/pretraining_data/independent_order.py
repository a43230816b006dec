"""Writes records with any number of workers; they are always the same.

The work is cut into units, each a document and one of its repetitions. Three
documents with dupe_factor 2 are six units. A random permutation, drawn from
the seed, orders them, and they are dealt out to pieces, here to two:

    units      (0, 0) (0, 1) (1, 0) (1, 1) (2, 0) (2, 1)
    piece 0    (2, 0) (0, 1) (1, 1)        its records are shuffled
    piece 1    (1, 0) (2, 1) (0, 0)

A unit's segments are drawn with a key made of seed, document and repetition
(`random_streams.key`); each of its instances has a key of its own, from which
its masks and its place among the others are drawn. So the records depend
neither on the process that writes a piece nor on the order of writing. A file
is one piece or several, concatenated; it gets its name when all are done.
"""

from __future__ import annotations

import array
import dataclasses
import json
import math
import pathlib
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bert_keras3.inputs import records
from bert_keras3.parallel_work.workers import Report, Workers
from bert_keras3.pretraining_data import (
    instances,
    masking,
    random_streams,
    segments,
)
from bert_keras3.pretraining_data.checks import has_entities
from bert_keras3.pretraining_data.corpus import Corpus
from bert_keras3.pretraining_data.masking import Vocabulary
from bert_keras3.pretraining_data.settings import Settings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write

# Tokens of records in a piece: a second or two of work.
_TOKENS_IN_PIECE = 2_500_000
# Instances that are shuffled among one another, 48 bytes each.
_SHUFFLED = 1 << 16
# Instances that become arrays at a time.
_BATCH = 1024
# Purposes of random streams.
_ORDER_OF_UNITS, _SEGMENTS, _ORDER_OF_INSTANCES = range(3)
_64_BITS = 0xFFFFFFFFFFFFFFFF


class Piece(NamedTuple):
    """A part of the work: some of the units.

    Attributes:
        number: number of the piece, from 0.
        folder: folder of the corpus, where the piece is written too.
        first: first unit, in the random order of units.
        last: one more than the last unit.
        entities: whether records without masks say where entities begin.
        settings: settings of the job, without those that do not change the
            records.
        vocabulary: for special tokens and replacements.
    """

    number: int
    folder: str
    first: int
    last: int
    entities: bool
    settings: Settings
    vocabulary: Vocabulary

    @property
    def path(self) -> pathlib.Path:
        """Where the records go."""
        return pathlib.Path(self.folder) / f"piece-{self.number:06}.tfrecord"

    @property
    def count_path(self) -> pathlib.Path:
        """File with the number of records; it exists once the piece is done."""
        return self.path.with_suffix(".count")


def write_records(
    corpus: Corpus,
    settings: Settings,
    vocabulary: Vocabulary,
    workers: Workers,
    report: Report,
) -> int:
    """Writes pieces with all workers, and joins them to files.

    Resumes where an earlier call was stopped.

    Args:
        corpus: the documents; unfinished work is kept in its folder.
        settings: of the job.
        vocabulary: for special tokens and replacements.
        workers: run the tasks.
        report: takes the number of pieces done and of all pieces.

    Returns:
        How many records there are.

    Raises:
        UserError: there is not one instance, or more files than units.
    """
    pieces = _pieces(corpus, settings, vocabulary)
    per_file = len(pieces) // len(settings.output_files)
    files = [
        pieces[start : start + per_file]
        for start in range(0, len(pieces), per_file)
    ]
    counts = {
        piece.number: json.loads(piece.count_path.read_text("utf-8"))
        for piece in pieces
        if piece.count_path.exists()
    }
    report(len(counts), len(pieces))
    for file in files:
        _join_if_done(file, counts)
    left = [piece for piece in pieces if piece.number not in counts]
    for number, count in workers.run(write_piece, left):
        with atomic_write(pieces[number].count_path) as count_file:
            json.dump(count, count_file)
        counts[number] = count
        _join_if_done(files[number // per_file], counts)
        report(len(counts), len(pieces))
    if not any(counts.values()):
        raise UserError(
            f"{', '.join(settings.input_files)}: no instance can be made of "
            f"{corpus.num_tokens} tokens in {corpus.num_documents} documents "
            f"with --sentence_objective={settings.sentence_objective}; give "
            "more text or another objective"
        )
    for path, file in zip(settings.output_files, files, strict=True):
        with atomic_path(path) as temporary:
            shutil.move(_joined(file), temporary)
    return sum(counts.values())


def _pieces(
    corpus: Corpus, settings: Settings, vocabulary: Vocabulary
) -> list[Piece]:
    """Cuts the work into pieces, equally many for each file."""
    units = corpus.num_documents * settings.dupe_factor
    num_files = len(settings.output_files)
    if units < num_files:
        raise UserError(
            f"--num_shards={num_files} is more than there is to put into "
            f"them: {corpus.num_documents} documents, {settings.dupe_factor} "
            "times each"
        )
    tokens = corpus.num_tokens * settings.dupe_factor
    per_file = math.ceil(tokens / _TOKENS_IN_PIECE / num_files)
    number = num_files * max(1, min(per_file, units // num_files))
    # Every piece carries the settings, and there may be many files.
    plain = dataclasses.replace(
        settings,
        input_files=(),
        output_files=(),
        num_workers=1,
        runner=None,
        runner_options=(),
    )
    return [
        Piece(
            index,
            str(corpus.folder),
            units * index // number,
            units * (index + 1) // number,
            has_entities(settings),
            plain,
            vocabulary,
        )
        for index in range(number)
    ]


def _joined(file: Sequence[Piece]) -> pathlib.Path:
    return file[0].path.with_suffix(".joined")


def _join_if_done(file: Sequence[Piece], counts: Mapping[int, int]) -> None:
    """Concatenates a file's pieces once all of them are written."""
    target = _joined(file)
    if not target.exists() and all(piece.number in counts for piece in file):
        with atomic_write(target, "wb") as joined:
            for piece in file:
                with open(piece.path, "rb") as source:
                    shutil.copyfileobj(source, joined, 1 << 20)
    if target.exists():
        for piece in file:
            piece.path.unlink(missing_ok=True)


# What follows runs in the workers.


def write_piece(piece: Piece) -> tuple[int, int]:
    """Writes the records of a piece, all of them or none.

    Returns:
        The piece's number, and how many records it has.
    """
    written = 0
    with (
        Corpus(piece.folder) as corpus,
        atomic_path(piece.path) as temporary,
        records.open_writer(temporary, piece.settings.compression) as append,
    ):
        for found, keys in _shuffled(corpus, piece):
            for start in range(0, len(found), _BATCH):
                batch = slice(start, start + _BATCH)
                columns = _features(corpus, piece, found[batch], keys[batch])
                for record in records.encode_examples(columns):
                    append(record)
            written += len(found)
    return piece.number, written


def _features(
    corpus: Corpus, piece: Piece, found: np.ndarray, keys: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the columns of N records.

    Args:
        corpus: the tokens.
        piece: for its settings.
        found: int64 [N, 5], rows of `segments.Segments`.
        keys: uint64 [N], of the masks.

    Returns:
        [N, length] under the keys of `records.masked_columns`, or of
        `records.unmasked_columns`.
    """
    settings = piece.settings
    unmasked = instances.look_up(
        corpus, found, settings.max_seq_length, piece.vocabulary
    )
    if settings.masking.strategy == masking.NO_MASKS:
        return instances.unmasked_features(unmasked, entities=piece.entities)
    masked = masking.mask(
        unmasked.inputs, keys, settings.masking, piece.vocabulary
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
    order = np.argsort(random_streams.subkeys(key_array, _ORDER_OF_INSTANCES))
    rows = np.frombuffer(found, np.int64).reshape(-1, 5)
    return rows[order], key_array[order]


def _drawn(
    corpus: Corpus, piece: Piece
) -> Iterator[tuple[segments.Segments, int]]:
    """Yields every instance of a piece, with a key of its own."""
    settings = piece.settings
    make_instances = segments.OBJECTIVES[settings.sentence_objective]
    units = random_streams.permuted(
        np.arange(piece.first, piece.last),
        corpus.num_documents * settings.dupe_factor,
        random_streams.key(settings.random_seed, _ORDER_OF_UNITS),
    )
    rng = random.Random(0)
    for unit in units.tolist():
        document, repetition = divmod(unit, settings.dupe_factor)
        key = random_streams.key(
            settings.random_seed, _SEGMENTS, document, repetition
        )
        rng.seed(key)
        for found in make_instances(
            corpus,
            document,
            rng,
            settings.max_seq_length,
            settings.short_seq_prob,
        ):
            key = key + 1 & _64_BITS
            yield found, key
