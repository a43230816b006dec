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
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inputs import records
from inputs.example_encoding import encode_examples
from pretraining import corpus, documents, masking, original, shards
from pretraining.corpus import Corpus, CorpusSettings
from pretraining.masking import MaskingSettings, Vocabulary
from pretraining.progress import Progress
from pretraining.segments import OBJECTIVES
from pretraining.shards import Piece, ShardSettings
from pretraining.words import SEGMENTERS, WordSettings
from pretraining.workers import WorkerLostError, Workers
from safekeeping.errors import UserError
from safekeeping.files import atomic_path, atomic_write
from tokenization import load_vocab, packing, require_special_tokens

ORIGINAL = "original"
INDEPENDENT = "independent"
RANDOM_STREAMS = (ORIGINAL, INDEPENDENT)

# Tokens of records that make a piece of the work: a second or two.
_TOKENS_IN_PIECE = 2_500_000
# Above this share, a text is taken to be Chinese or Japanese.
_IDEOGRAPHIC = 0.3

_JOB = "job.json"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is made of which text."""

    input_files: tuple[str, ...]
    """The text, in order."""
    output_files: tuple[str, ...]
    """Where the records go; they are dealt out evenly."""
    vocab_file: str
    """The vocabulary."""
    do_lower_case: bool = True
    """Whether the model is uncased."""
    words: WordSettings = dataclasses.field(default_factory=WordSettings)
    """What makes words and entities."""
    masking: MaskingSettings = dataclasses.field(
        default_factory=MaskingSettings
    )
    """How masks are drawn."""
    sentence_objective: str = "nsp"
    """What is asked of pairs of sentences."""
    max_seq_length: int = 128
    """Tokens of an input, special ones counted."""
    short_seq_prob: float = 0.1
    """How often a document is cut to a shorter length."""
    dupe_factor: int = 10
    """How often each document is gone through."""
    random_seed: int = 12345
    """Equal seeds, equal files."""
    random_streams: str | None = None
    """One of `RANDOM_STREAMS`; None: `resolve` decides."""
    num_workers: int = 1
    """Processes."""
    compression: str = "none"
    """One of `records.COMPRESSIONS`."""


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
    vocab = load_vocab(settings.vocab_file)
    require_special_tokens(
        vocab, settings.vocab_file, ("[UNK]", "[CLS]", "[SEP]", masking.MASK)
    )
    work = _work_folder(settings, streams)
    try:
        with (
            Workers(settings.num_workers) as workers,
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


def strategy(masking_flag: str | None, do_whole_word_mask: bool) -> str:
    """Returns what --masking and the original's flag say together.

    Raises:
        UserError: they contradict each other.
    """
    if do_whole_word_mask and masking_flag not in (None, "whole_word"):
        raise UserError(
            f"--do_whole_word_mask and --masking={masking_flag} contradict "
            "each other; leave one of them out"
        )
    return masking_flag or ("whole_word" if do_whole_word_mask else "token")


def weights(texts: Sequence[str]) -> tuple[float, ...]:
    """Returns the numbers of --ngram_weights.

    Raises:
        UserError: one is no number.
    """
    try:
        return tuple(map(float, texts))
    except ValueError as error:
        raise UserError(
            f"--ngram_weights={','.join(texts)}: {error}; give numbers with "
            "commas between"
        ) from error


def output_paths(output_file: str, num_shards: int | None) -> tuple[str, ...]:
    """Returns the files that --output_file and --num_shards name.

    Raises:
        UserError: several files and a number of shards, or see
            `shard_paths`.
    """
    paths = tuple(
        filter(None, (path.strip() for path in output_file.split(",")))
    )
    if num_shards is None and paths:
        return paths
    if len(paths) != 1 or num_shards is None:
        raise UserError(
            f"--output_file={output_file} with --num_shards={num_shards}: "
            "give one file name, which gets the numbers of the shards"
        )
    return shard_paths(paths[0], num_shards)


def shard_paths(output_file: str, num_shards: int) -> tuple[str, ...]:
    """Returns `name-00000-of-00010.tfrecord` and so on for `name.tfrecord`.

    Raises:
        UserError: there are files of that name in another number of shards,
            which a pattern would mix with the new ones.
    """
    root, ending = os.path.splitext(output_file)
    pattern = re.compile(
        re.escape(os.path.basename(root)) + r"-\d{5}-of-(\d{5})" + ending
    )
    folder = os.path.dirname(output_file) or "."
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        match = pattern.fullmatch(name)
        if match and int(match[1]) != num_shards:
            raise UserError(
                f"{os.path.join(folder, name)} is there already, one of "
                f"{int(match[1])} shards; with --num_shards={num_shards} both "
                "would be taken for one data set: remove the old ones or give "
                "another --output_file"
            )
    return tuple(
        f"{root}-{number:05}-of-{num_shards:05}{ending}"
        for number in range(num_shards)
    )


def beyond_the_original(settings: Settings) -> list[str]:
    """Returns which flags ask for what the original does not have."""
    asked = {
        f"--masking={settings.masking.strategy}": (
            settings.masking.strategy not in original.STRATEGIES
        ),
        f"--sentence_objective={settings.sentence_objective}": (
            settings.sentence_objective != "nsp"
        ),
        f"--segmenter={settings.words.segmenter}": (
            settings.words.segmenter != "none"
        ),
        f"--word_list={settings.words.word_list}": bool(
            settings.words.word_list
        ),
        f"--entity_list={settings.words.entity_list}": bool(
            settings.words.entity_list
        ),
    }
    asked |= {
        f"--input_file={path}": True
        for path in settings.input_files
        if path.endswith(documents.JSON_LINES)
    }
    return [flag for flag, is_beyond in asked.items() if is_beyond]


def resolve(settings: Settings) -> str:
    """Returns which streams of chance a job uses.

    Those that were asked for; else the original's, if there is one worker
    and nothing is asked for that the original does not have.

    Raises:
        UserError: the original's streams were asked for, and something else
            that they cannot give.
    """
    beyond = beyond_the_original(settings)
    if settings.random_streams is None:
        is_plain = settings.num_workers == 1 and not beyond
        return ORIGINAL if is_plain else INDEPENDENT
    if settings.random_streams == ORIGINAL and beyond:
        raise UserError(
            f"--random_streams=original does not go with {', '.join(beyond)}: "
            "the original has nothing like it; use "
            "--random_streams=independent"
        )
    return settings.random_streams


def check(settings: Settings, streams: str) -> None:
    """Checks what can be known before a file is read.

    Raises:
        UserError: a number is out of its range, or two flags contradict each
            other.
    """
    has_pairs = settings.sentence_objective != "none"
    packing.check_max_seq_length(settings.max_seq_length, has_pairs)
    masking.check_settings(settings.masking, settings.max_seq_length)
    for flag, value, allowed in (
        ("sentence_objective", settings.sentence_objective, OBJECTIVES),
        (
            "masking",
            settings.masking.strategy,
            (*masking.STRATEGIES, masking.NO_MASKS),
        ),
        ("segmenter", settings.words.segmenter, SEGMENTERS),
        ("compression", settings.compression, records.COMPRESSIONS),
        ("random_streams", streams, RANDOM_STREAMS),
    ):
        if value not in allowed:
            raise UserError(
                f"--{flag}={value} is not known; use {', '.join(allowed)}"
            )
    for flag, number in (
        ("dupe_factor", settings.dupe_factor),
        ("num_workers", settings.num_workers),
    ):
        if number < 1:
            raise UserError(f"--{flag}={number}: use at least 1")
    if not 0 <= settings.short_seq_prob <= 1:
        raise UserError(
            f"--short_seq_prob={settings.short_seq_prob} is not a probability;"
            " use 0 to 1"
        )
    outputs = settings.output_files
    twice = sorted({path for path in outputs if outputs.count(path) > 1})
    if twice:
        raise UserError(f"--output_file names {', '.join(twice)} twice")
    both = {os.path.realpath(path) for path in settings.input_files} & {
        os.path.realpath(path) for path in settings.output_files
    }
    if both:
        raise UserError(
            f"{both.pop()} is both input and output; give another --output_file"
        )
    if settings.masking.strategy == "entity" and not _has_entities(settings):
        raise UserError(
            "--masking=entity: there are no entities; give --entity_list, or "
            f"{documents.JSON_LINES} files that have them"
        )


def _has_entities(settings: Settings) -> bool:
    return bool(settings.words.entity_list) or any(
        path.endswith(documents.JSON_LINES) for path in settings.input_files
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
    del content["num_workers"]
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
    workers: Workers,
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
    workers: Workers,
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
        _has_entities(settings),
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
