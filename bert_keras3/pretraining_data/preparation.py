"""From text files to TFRecord files: the whole job, which can be resumed.

    create_pretraining_data.py --input_file=text.txt --output_file=out.tfrecord

    text.txt                documents.read      sentences
      -> out.tfrecord.work  corpus.build        their tokens, on disk
      -> instances          segments, masking   drawn by original_order or
                                                independent_order
      -> out.tfrecord       instances, records  arrays, bytes

The folder of unfinished work lies beside the first output. A job with the
same settings, and input files of the same content, resumes from it; it is
removed at the end, and after a mistake of the user.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

from bert_keras3.parallel_work.pipelines import WorkerLostError, require_beam
from bert_keras3.parallel_work.workers import (
    BeamRunner,
    Processes,
    Progress,
)
from bert_keras3.pretraining_data import (
    corpus,
    independent_order,
    masking,
    original_order,
)
from bert_keras3.pretraining_data.checks import check, resolve
from bert_keras3.pretraining_data.corpus import Corpus, CorpusSettings
from bert_keras3.pretraining_data.masking import Vocabulary
from bert_keras3.pretraining_data.settings import (
    INDEPENDENT,
    ORIGINAL,
    Settings,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write, digest, naming
from tokenization import packing
from tokenization.tokenizers import open_tokenizer
from tokenization.vocab import is_sentence_pieces, require_special_tokens

# In the folder of unfinished work: the job's identity, and Beam's results.
_JOB = "job.json"
_BEAM_RESULTS = "beam"
# Above this share of documents with one sentence, empty lines are probably not
# between documents.
_MANY_ALONE = 0.5
# Above this share of ideographs, a text is taken to be Chinese or Japanese.
_IDEOGRAPHIC = 0.3


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Counts of what a job read and wrote."""

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

    A job that was stopped is resumed by the same settings and files; the
    output files appear when all of them are complete.

    Args:
        settings: what to make.
        progress: shows a bar for each stage.
        warn: takes warnings for the user, a sentence at a time.

    Returns:
        What was made.

    Raises:
        UserError: settings contradict one another, a file cannot be read,
            there is no text, or one document where two are needed.
    """
    order = resolve(settings)
    check(settings)
    if settings.runner is not None:
        require_beam(settings.runner)
    tokenizer = open_tokenizer(settings.vocab_file)
    require_special_tokens(
        tokenizer.vocab,
        settings.vocab_file,
        (*tokenizer.special_tokens, masking.MASK),
    )
    vocabulary = Vocabulary.of(tokenizer.vocab)
    work = _work_folder(settings, order)
    try:
        with (
            naming(work),
            _workers(settings, work) as workers,
            corpus.build(
                work,
                settings.input_files,
                _corpus_settings(settings, order),
                workers,
                progress.stage("Reading text"),
                warn,
            ) as text,
        ):
            _warn_of_faults(text, settings, order, warn)
            if order == ORIGINAL:
                number = original_order.write_records(
                    text, settings, vocabulary, progress
                )
            else:
                number = independent_order.write_records(
                    text,
                    settings,
                    vocabulary,
                    workers,
                    progress.stage("Writing records"),
                )
    except WorkerLostError:
        raise
    except UserError:
        # With other settings nothing in this folder can be used.
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


def _workers(settings: Settings, work: pathlib.Path) -> Processes | BeamRunner:
    if settings.runner is None:
        return Processes(settings.num_workers)
    return BeamRunner(
        settings.runner, settings.runner_options, work / _BEAM_RESULTS
    )


def _corpus_settings(settings: Settings, order: str) -> CorpusSettings:
    as_original = order == ORIGINAL
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


def _warn_of_faults(
    text: Corpus,
    settings: Settings,
    order: str,
    warn: Callable[[str], None],
) -> None:
    """Warns of text from which a model would learn something wrong.

    Raises:
        UserError: the text is a single document, so that there is no other
            to draw from, and the original's order was not chosen by its flag.
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
    elif settings.sentence_objective == "nsp":
        alone = text.count_single_sentences()
        if alone > _MANY_ALONE * text.num_documents:
            warn(
                f"{alone} of {text.num_documents} documents are one sentence, "
                "for which the next sentence is always a random one, so the "
                "model has little to learn from --sentence_objective=nsp. If "
                "there is an empty line after every sentence, leave it only "
                "between documents; else use --sentence_objective=none."
            )
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
        }[order]
        warn(
            f"{text.num_long_sentences} of {text.num_sentences} sentences are "
            f"too long for --max_seq_length={settings.max_seq_length}; they "
            f"{becomes}."
        )


def _work_folder(settings: Settings, order: str) -> pathlib.Path:
    """Returns the folder of unfinished work, empty if it was of another job.

    Args:
        settings: of the job.
        order: `ORIGINAL` or `INDEPENDENT`.

    Raises:
        UserError: the folder holds something else.
    """
    folder = pathlib.Path(settings.output_files[0] + ".work")
    identity = _identity(settings, order)
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


def _identity(settings: Settings, order: str) -> dict[str, Any]:
    """Returns all that the output depends on, as JSON gives it back."""
    content = dataclasses.asdict(settings) | {"random_streams": order}
    for name in ("num_workers", "runner", "runner_options"):
        del content[name]
    read = (
        *settings.input_files,
        settings.vocab_file,
        settings.words.word_list,
        settings.words.entity_list,
    )
    # Not by size and time, which an edited file may have kept.
    content["contents"] = [digest(path) for path in read if path]
    return json.loads(json.dumps(content))
