"""The files of records: the original's in one go, or pieces that are joined.

What a record is made of is decided in `original` and `shards`; files get
their names when all of them are done.
"""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence

from bert_keras3.inputs import records
from bert_keras3.inputs.example_encoding import encode_examples
from bert_keras3.pretraining_data import original, shards
from bert_keras3.pretraining_data.beam_pipeline import BeamWorkers
from bert_keras3.pretraining_data.checks import has_entities
from bert_keras3.pretraining_data.corpus import Corpus
from bert_keras3.pretraining_data.masking import Vocabulary
from bert_keras3.pretraining_data.progress import Progress
from bert_keras3.pretraining_data.settings import (
    INDEPENDENT,
    ORIGINAL,
    Settings,
)
from bert_keras3.pretraining_data.shards import Piece, ShardSettings
from bert_keras3.pretraining_data.workers import Workers
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write

# Tokens of records that make a piece of the work: a second or two.
_TOKENS_IN_PIECE = 2_500_000


def _make_original(
    text: Corpus,
    work: pathlib.Path,
    settings: Settings,
    vocabulary: Vocabulary,
    workers: Workers | BeamWorkers,
    progress: Progress,
) -> int:
    """Writes the original's records, one to each file in turn."""
    drawn = original.Drawn(
        text,
        original.OriginalSettings(
            settings.max_seq_length,
            settings.short_seq_prob,
            settings.dupe_factor,
            settings.random_seed,
            settings.masking,
        ),
        vocabulary,
        progress.stage("Drawing instances"),
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
            for record in encode_examples(columns):
                writers[written % len(writers)](record)
                written += 1
            report(written, len(drawn))
    return written


def _make_independent(
    text: Corpus,
    work: pathlib.Path,
    settings: Settings,
    vocabulary: Vocabulary,
    workers: Workers | BeamWorkers,
    progress: Progress,
) -> int:
    """Writes pieces with all workers, and joins them to files."""
    report = progress.stage("Writing records")
    pieces = _pieces(text, work, settings, vocabulary)
    per_file = len(pieces) // len(settings.output_files)
    counts = {
        piece.number: json.loads(_count_file(piece).read_text("utf-8"))
        for piece in pieces
        if _count_file(piece).exists()
    }
    left = [piece for piece in pieces if piece.number not in counts]
    report(len(counts), len(pieces))
    parts = [
        pieces[number * per_file : (number + 1) * per_file]
        for number in range(len(settings.output_files))
    ]
    for part in parts:
        _join_if_done(part, counts)
    for number, count in workers.run(shards.write, left):
        with atomic_write(_count_file(pieces[number])) as file:
            json.dump(count, file)
        counts[number] = count
        _join_if_done(parts[number // per_file], counts)
        report(len(counts), len(pieces))
    if not any(counts.values()):
        raise UserError(
            f"{', '.join(settings.input_files)}: no instance can be made of "
            f"{text.num_tokens} tokens in {text.num_documents} documents with "
            f"--sentence_objective={settings.sentence_objective}; give more "
            "text or another objective"
        )
    for path, part in zip(settings.output_files, parts, strict=True):
        with atomic_path(path) as temporary:
            shutil.move(_joined(part), temporary)
    return sum(counts.values())


# By the streams of chance: gets what `_make_original` gets, returns how many
# records there are.
MAKERS: Mapping[str, Callable[..., int]] = {
    ORIGINAL: _make_original,
    INDEPENDENT: _make_independent,
}


def _pieces(
    text: Corpus,
    work: pathlib.Path,
    settings: Settings,
    vocabulary: Vocabulary,
) -> list[Piece]:
    """Cuts the work, the same way whoever does it; as many for each file."""
    units = text.num_documents * settings.dupe_factor
    num_files = len(settings.output_files)
    if units < num_files:
        raise UserError(
            f"--num_shards={num_files} is more than there is to put into "
            f"them: {text.num_documents} documents, {settings.dupe_factor} "
            "times each"
        )
    per_file = math.ceil(
        text.num_tokens * settings.dupe_factor / _TOKENS_IN_PIECE / num_files
    )
    number = num_files * max(1, min(per_file, units // num_files))
    shard_settings = ShardSettings(
        settings.sentence_objective,
        settings.masking,
        settings.max_seq_length,
        settings.short_seq_prob,
        settings.dupe_factor,
        settings.random_seed,
        settings.compression,
        has_entities(settings),
    )
    return [
        Piece(
            index,
            str(work),
            str(work / f"piece-{index:06}.tfrecord"),
            units * index // number,
            units * (index + 1) // number,
            shard_settings,
            vocabulary,
        )
        for index in range(number)
    ]


def _count_file(piece: Piece) -> pathlib.Path:
    return pathlib.Path(piece.path).with_suffix(".count")


def _joined(part: Sequence[Piece]) -> pathlib.Path:
    return pathlib.Path(part[0].path).with_suffix(".joined")


def _join_if_done(part: Sequence[Piece], counts: Mapping[int, int]) -> None:
    """Makes one file of a file's pieces, once all of them are there."""
    target = _joined(part)
    if not target.exists() and all(piece.number in counts for piece in part):
        with atomic_write(target, "wb") as file:
            for piece in part:
                with open(piece.path, "rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
    if target.exists():
        for piece in part:
            pathlib.Path(piece.path).unlink(missing_ok=True)
