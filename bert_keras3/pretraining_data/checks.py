"""Checks the settings of a preparation before any text is read.

Also says what follows from them: the masking strategy, the names of the output
files and the order of random draws.
"""

from __future__ import annotations

import os
import re

from bert_keras3.parallel_work.settings import check_runner
from bert_keras3.pretraining_data import documents, masking, original_order
from bert_keras3.pretraining_data.settings import (
    INDEPENDENT,
    ORIGINAL,
    Settings,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from tokenization import packing
from tokenization.vocab import is_sentence_pieces


def strategy(masking_flag: str | None, do_whole_word_mask: bool) -> str:
    """Returns the strategy that --masking and --do_whole_word_mask name.

    Raises:
        UserError: they contradict each other.
    """
    if do_whole_word_mask and masking_flag not in (None, "whole_word"):
        raise UserError(
            f"--do_whole_word_mask and --masking={masking_flag} contradict "
            "each other; leave one of them out"
        )
    return masking_flag or ("whole_word" if do_whole_word_mask else "token")


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
    """Returns the flags with values that the original does not have."""
    used = {
        f"--masking={settings.masking.strategy}": (
            settings.masking.strategy not in original_order.STRATEGIES
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
        f"--vocab_file={settings.vocab_file}": is_sentence_pieces(
            settings.vocab_file
        ),
    }
    used |= {
        f"--input_file={path}": True
        for path in settings.input_files
        if path.endswith(documents.JSON_LINES)
    }
    return [flag for flag, is_used in used.items() if is_used]


def resolve(settings: Settings) -> str:
    """Returns the order in which a job draws random numbers.

    By default the original's, if there is one process and no setting that the
    original lacks.

    Returns:
        `ORIGINAL` or `INDEPENDENT`.

    Raises:
        UserError: the original's order is named together with a setting that
            the original does not have.
    """
    beyond = beyond_the_original(settings)
    if settings.runner is not None:
        beyond.append(f"--runner={settings.runner}")
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


def check(settings: Settings) -> None:
    """Checks the settings before any text is read.

    Raises:
        UserError: a number is out of its range, or two flags contradict each
            other.
    """
    has_pairs = settings.sentence_objective != "none"
    packing.check_max_seq_length(settings.max_seq_length, has_pairs)
    masking.check_settings(settings.masking, settings.max_seq_length)
    for part in (settings, settings.words):
        check_ranges(part)
    if settings.runner is not None and settings.num_workers > 1:
        raise UserError(
            f"--num_workers={settings.num_workers}: with "
            f"--runner={settings.runner} the runner decides that; leave it "
            "out, and see --runner_options"
        )
    check_runner(settings)
    outputs = settings.output_files
    twice = sorted({path for path in outputs if outputs.count(path) > 1})
    if twice:
        raise UserError(f"--output_file names {', '.join(twice)} twice")
    for path in outputs:
        if os.path.isdir(path):
            raise UserError(
                f"--output_file={path}: is a folder; name a file in it"
            )
    both = {os.path.realpath(path) for path in settings.input_files} & {
        os.path.realpath(path) for path in settings.output_files
    }
    if both:
        raise UserError(
            f"{both.pop()} is both input and output; give another --output_file"
        )
    if is_sentence_pieces(settings.vocab_file):
        _check_for_sentence_pieces(settings)
    if settings.masking.strategy == "entity" and not has_entities(settings):
        raise UserError(
            "--masking=entity: there are no entities; give --entity_list, or "
            f"{documents.JSON_LINES} files that have them"
        )


def _check_for_sentence_pieces(settings: Settings) -> None:
    """Checks that no setting needs a WordPiece vocabulary.

    Raises:
        UserError: one does.
    """
    words = settings.words
    for flag, is_used in (
        (f"--segmenter={words.segmenter}", words.segmenter != "none"),
        (f"--word_list={words.word_list}", bool(words.word_list)),
        (f"--entity_list={words.entity_list}", bool(words.entity_list)),
        ("--masking=entity", settings.masking.strategy == "entity"),
    ):
        if is_used:
            raise UserError(
                f"{flag} does not go with --vocab_file="
                f"{settings.vocab_file}: in a SentencePiece vocabulary the "
                "pieces themselves say where words begin; leave it out, or "
                "give a WordPiece vocabulary (vocab.txt)"
            )


def has_entities(settings: Settings) -> bool:
    """Returns whether there is a list of entities, or text that has them."""
    return bool(settings.words.entity_list) or any(
        documents.is_json_lines(path) for path in settings.input_files
    )
