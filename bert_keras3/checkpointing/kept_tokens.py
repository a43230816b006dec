"""Cuts the vocabulary of a trained model to the tokens of some texts.

    vocabulary   [PAD] [UNK] [CLS] [SEP] [MASK] un ##aff ##able table ##s
    text         "tables"
    kept         [PAD] [UNK] [CLS] [SEP] [MASK] table ##s

WordPiece takes the longest token of the vocabulary that fits. A token that it
took from the whole vocabulary is also the longest of those that are kept, so
the texts have the same tokens, and the model computes the same.
"""

from __future__ import annotations

import copy
import dataclasses
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.added_tokens import BY_TOKEN, tokenizer_of
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.safekeeping.errors import UserError
from tokenization.tokenizers import FullTokenizer
from tokenization.vocab import UNKNOWN

_SPECIAL = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")
_CONTINUED = "##"


@dataclasses.dataclass(frozen=True)
class KeptTokens:
    """Which tokens were kept.

    Attributes:
        ids: their ids before, ascending; the id now is the place.
        num_before: rows of the word embedding table before.
        in_texts: how many occur in the texts.
    """

    ids: tuple[int, ...]
    num_before: int
    in_texts: int

    def line(self) -> str:
        """Returns the report, for the user."""
        return (
            f"kept {len(self.ids)} of {self.num_before} tokens: "
            f"{self.in_texts} of the texts, and special tokens and single "
            "characters"
        )


def lines_of(files: str) -> Iterator[str]:
    """Yields the lines of text files.

    Args:
        files: paths and glob patterns, with commas between them.

    Raises:
        UserError: there is no such file, or it is no text in UTF-8.
    """
    paths = []
    for one in [files] if os.path.exists(files) else files.split(","):
        found = [one] if os.path.exists(one) else sorted(glob.glob(one))
        if not found:
            raise UserError(f"--keep_tokens_of={one}: there is no such file")
        paths += found
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig") as file:
                yield from file
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: cannot be read as text in UTF-8: {error}"
            ) from error


def keep_tokens(
    checkpoint: Checkpoint, lines: Iterable[str]
) -> tuple[Checkpoint, KeptTokens]:
    """Leaves out the tokens that some texts do not have.

    Special and added tokens stay, and the single characters that the tokens
    of the texts consist of, so that other words of the same letters are
    spelled out and are not unknown.

    Args:
        checkpoint: has a WordPiece vocabulary and no optimizer slots.
        lines: the texts.

    Returns:
        The checkpoint with fewer rows, and a report.

    Raises:
        UserError: the checkpoint has no WordPiece vocabulary or no word
            embedding table, or no line has a token.
    """
    vocabulary = checkpoint.vocabulary
    if vocabulary is None:
        raise UserError(
            "--keep_tokens_of: the checkpoint has no vocabulary beside it; "
            "put its vocab.txt there"
        )
    if checkpoint.sentence_pieces is not None:
        raise UserError(
            "--keep_tokens_of: the vocabulary is a SentencePiece model, which "
            "is one file with all of its pieces; only WordPiece vocabularies "
            "are cut"
        )
    if names.WORD_EMBEDDINGS not in checkpoint.arrays:
        raise UserError(
            f"--keep_tokens_of: the checkpoint has no {names.WORD_EMBEDDINGS}"
        )
    tokenizer = tokenizer_of(checkpoint)
    found = _tokens_of(tokenizer, lines)
    if not found - {UNKNOWN}:
        raise UserError("--keep_tokens_of: no line has a token")
    letters = set("".join(one.removeprefix(_CONTINUED) for one in found))
    wanted = {
        *found,
        *_SPECIAL,
        *(token.content for token in checkpoint.added_tokens),
        *letters,
        *(_CONTINUED + letter for letter in letters),
    }
    rows = checkpoint.arrays.shape(names.WORD_EMBEDDINGS)[0]
    # Of a token that is there twice, the last is the one that is looked up.
    last = {token: number for number, token in enumerate(vocabulary)}
    ids = sorted(last[token] for token in wanted & last.keys())
    config = copy.deepcopy(checkpoint.config)
    config.vocab_size = len(ids)
    added = tuple(
        dataclasses.replace(token, id=ids.index(last[token.content]))
        for token in checkpoint.added_tokens
    )
    return (
        dataclasses.replace(
            checkpoint,
            arrays=_rows_of(checkpoint.arrays, ids),
            config=config,
            vocabulary=tuple(vocabulary[number] for number in ids),
            added_tokens=added,
        ),
        KeptTokens(tuple(ids), rows, len(found & last.keys())),
    )


def _tokens_of(tokenizer: FullTokenizer, lines: Iterable[str]) -> set[str]:
    """Returns the tokens of texts, and those on the way to unknown words."""
    found: set[str] = set()
    seen: set[str] = set()
    for line in lines:
        for word in tokenizer.words(line):
            if word in seen:
                continue
            seen.add(word)
            pieces = tokenizer.wordpiece_tokenizer.tokenize(word)
            found.update(pieces)
            if UNKNOWN in pieces:
                found.update(_beginning(word, tokenizer.vocab))
    return found


def _beginning(word: str, vocab: Mapping[str, int]) -> Iterator[str]:
    """Yields the tokens that are taken before no token fits.

    Without them, a shorter one might be taken, and the rest might fit.
    """
    start = 0
    while start < len(word):
        prefix = _CONTINUED if start else ""
        fitting = (
            end
            for end in range(len(word), start, -1)
            if prefix + word[start:end] in vocab
        )
        end = next(fitting, None)
        if end is None:
            return
        yield prefix + word[start:end]
        start = end


def _rows_of(arrays: Arrays, ids: Sequence[int]) -> Arrays:
    entries = dict(arrays.entries)
    for name in BY_TOKEN:
        if name in entries:
            entries[name] = _rows_of_entry(entries[name], ids)
    return Arrays(entries, arrays.notes)


def _rows_of_entry(entry: Entry, ids: Sequence[int]) -> Entry:
    def read() -> Array:
        return np.ascontiguousarray(entry.read()[list(ids)])

    return Entry((len(ids), *entry.shape[1:]), entry.dtype, read)
