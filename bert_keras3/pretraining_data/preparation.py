"""From text files to TFRecord files: the whole job, in steps that can resume.

Text becomes a `corpus` in a `work_folder` beside the output, instances become
records in `record_files`. Flags are left to the script.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Callable

from bert_keras3.pretraining_data import corpus, masking
from bert_keras3.pretraining_data.beam_pipeline import BeamWorkers, require_beam
from bert_keras3.pretraining_data.checks import check, resolve
from bert_keras3.pretraining_data.corpus import Corpus, CorpusSettings
from bert_keras3.pretraining_data.masking import Vocabulary
from bert_keras3.pretraining_data.progress import Progress
from bert_keras3.pretraining_data.record_files import MAKERS
from bert_keras3.pretraining_data.settings import (
    INDEPENDENT,
    ORIGINAL,
    Settings,
)
from bert_keras3.pretraining_data.work_folder import work_folder
from bert_keras3.pretraining_data.workers import WorkerLostError, Workers
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import naming
from tokenization import packing
from tokenization.opening import open_tokenizer
from tokenization.vocab import is_sentence_pieces, require_special_tokens

# Above this share, a text is taken to be Chinese or Japanese.
_IDEOGRAPHIC = 0.3

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
    check(settings)
    if settings.runner is not None:
        require_beam(settings.runner)
    tokenizer = open_tokenizer(settings.vocab_file)
    vocab = tokenizer.vocab
    require_special_tokens(
        vocab, settings.vocab_file, (*tokenizer.special_tokens, masking.MASK)
    )
    work = work_folder(settings, streams)
    try:
        with (
            naming(work),
            _workers(settings, work) as workers,
            corpus.build(
                work,
                settings.input_files,
                _corpus_settings(settings, streams),
                workers,
                progress.stage("Reading text"),
                warn,
            ) as text,
        ):
            _look_for_faults(text, settings, streams, warn)
            make = MAKERS[streams]
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
        encoding=settings.encoding,
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
        and not is_sentence_pieces(settings.vocab_file)
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
