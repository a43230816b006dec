"""From text files to TFRecord files: the whole job, in steps that can resume.

Text becomes a `corpus` in a work folder beside the output, instances become
records in `original` or `shards`, and files get their names when all of them
are done. Flags are left to the script.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inputs import records
from inputs.example_encoding import encode_examples
from pretraining import corpus, masking, original, shards
from pretraining.beam_pipeline import BeamWorkers, require_beam
from pretraining.corpus import Corpus, CorpusSettings
from pretraining.masking import Vocabulary
from pretraining.progress import Progress
from pretraining.settings import (
    INDEPENDENT,
    ORIGINAL,
    Settings,
    check,
    has_entities,
    resolve,
)
from pretraining.shards import Piece, ShardSettings
from pretraining.workers import WorkerLostError, Workers
from safekeeping.errors import UserError
from safekeeping.files import atomic_path, atomic_write
from tokenization import load_vocab, packing, require_special_tokens

# Tokens of records that make a piece of the work: a second or two.
_TOKENS_IN_PIECE = 2_500_000
# Above this share, a text is taken to be Chinese or Japanese.
_IDEOGRAPHIC = 0.3

_JOB = "job.json"
_RESULTS = "beam"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a job made."""

    num_documents: int
    """Documents in the text."""
    num_sentences: int
    """Sentences in these."""
    num_tokens: int
    """Tokens in these."""
    num_long_sentences: int
    """How many sentences were too long for an instance."""
    num_instances: int
    """Records in all files."""


def prepare(
    settings: Settings, progress: Progress, warn: Callable[[str], None]
) -> Outcome:
    """Makes records of text.

    A job that was stopped goes on if it is started again with the same
    settings and files; the output appears when all of it is there.

    Args:
        settings: what to make.
        progress: shows how far it is.
        warn: told what the user should know, in one sentence.

    Returns:
        What was made.

    Raises:
        UserError: settings contradict one another, a file cannot be read,
            there is no text, or one document where two are needed.
    """
    streams = resolve(settings)
    check(settings, streams)
    if settings.runner is not None:
        require_beam(settings.runner)
    vocab = load_vocab(settings.vocab_file)
    require_special_tokens(
        vocab, settings.vocab_file, ("[UNK]", "[CLS]", "[SEP]", masking.MASK)
    )
    work = _work_folder(settings, streams)
    try:
        with (
            _workers(settings, work) as workers,
            corpus.build(
                work,
                settings.input_files,
                _corpus_settings(settings, streams),
                workers,
                progress.stage("Reading text"),
            ) as text,
        ):
            _look_for_faults(text, settings, streams, warn)
            make = _MAKERS[streams]
            number = make(
                text, work, settings, Vocabulary.of(vocab), workers, progress
            )
    except WorkerLostError:
        raise
    except UserError:
        # Nothing in there would be of use once the mistake is put right.
        shutil.rmtree(work)
        raise
    shutil.rmtree(work)
    return Outcome(
        text.num_documents,
        text.num_sentences,
        text.num_tokens,
        text.num_long_sentences,
        number,
    )


def _workers(settings: Settings, work: pathlib.Path) -> Workers | BeamWorkers:
    if settings.runner is None:
        return Workers(settings.num_workers)
    return BeamWorkers(
        settings.runner, settings.runner_options, work / _RESULTS
    )


def _corpus_settings(settings: Settings, streams: str) -> CorpusSettings:
    as_original = streams == ORIGINAL
    has_pairs = settings.sentence_objective != "none"
    longest = settings.max_seq_length - packing.NUM_SPECIAL_PAIR
    return CorpusSettings(
        settings.vocab_file,
        settings.do_lower_case,
        settings.words,
        max_sentence_length=longest,
        cut_long_sentences=has_pairs and not as_original,
        files_end_documents=not as_original,
    )


def _look_for_faults(
    text: Corpus,
    settings: Settings,
    streams: str,
    warn: Callable[[str], None],
) -> None:
    """Warns of what would be learnt wrong, or refuses it.

    Raises:
        UserError: a single document, from which no other can be drawn,
            unless the original's records were asked for by name.
    """
    if text.num_documents == 1 and settings.sentence_objective == "nsp":
        happens = (
            f"{', '.join(settings.input_files)}: the text is one document, "
            "so the sentences that --sentence_objective=nsp calls random come "
            "from that document too"
        )
        if settings.random_streams != ORIGINAL:
            raise UserError(
                f"{happens}; put empty lines between documents, or use "
                "--sentence_objective=sop or none "
                "(--random_streams=original would do as the original does)"
            )
        warn(f"{happens}, as in the original.")
    if (
        settings.masking.strategy in ("whole_word", "ngram")
        and text.share_of_ideographs > _IDEOGRAPHIC
        and settings.words.segmenter == "none"
        and not settings.words.word_list
    ):
        warn(
            f"{text.share_of_ideographs:.0%} of the tokens are ideographs, "
            "and without --segmenter=jieba or --word_list each of them counts "
            "as a whole word."
        )
    if text.num_long_sentences:
        becomes = {
            ORIGINAL: "are cut off, as in the original",
            INDEPENDENT: "go on in a piece of their own",
        }[streams]
        warn(
            f"{text.num_long_sentences} of {text.num_sentences} sentences are "
            f"too long for --max_seq_length={settings.max_seq_length}; they "
            f"{becomes}."
        )


def _work_folder(settings: Settings, streams: str) -> pathlib.Path:
    """Returns the folder of unfinished work, empty if it was of another job."""
    folder = pathlib.Path(settings.output_files[0] + ".work")
    identity = _identity(settings, streams)
    job_file = folder / _JOB
    try:
        if json.loads(job_file.read_text("utf-8")) == identity:
            return folder
    except (OSError, ValueError):
        pass
    if folder.exists() and not job_file.exists() and any(folder.iterdir()):
        raise UserError(
            f"{folder}: this folder is wanted for unfinished work, and holds "
            "something else; give another --output_file"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with atomic_write(job_file) as file:
        json.dump(identity, file, indent=1)
    return folder


def _identity(settings: Settings, streams: str) -> dict[str, Any]:
    """Returns all that the output depends on, as JSON gives it back."""
    content = dataclasses.asdict(settings) | {"random_streams": streams}
    for name in ("num_workers", "runner", "runner_options"):
        del content[name]
    content["input_files"] = [
        [path, os.stat(path).st_size, os.stat(path).st_mtime_ns]
        for path in settings.input_files
    ]
    lists = (
        settings.vocab_file,
        settings.words.word_list,
        settings.words.entity_list,
    )
    content["contents"] = [_digest(path) for path in lists if path]
    return json.loads(json.dumps(content))


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


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


_MAKERS: Mapping[str, Callable[..., int]] = {
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
