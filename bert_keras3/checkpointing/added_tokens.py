"""Adds words to a trained model: to its embedding table and its vocabulary.

A word that was cut into pieces, such as `un ##aff ##able`, gets a row of its
own in the word embedding table, which starts as the mean of its pieces' rows.
"""

from __future__ import annotations

import copy
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import Array, Arrays, Entry
from bert_keras3.checkpointing.checkpoint import Checkpoint
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.tokenizers import FullTokenizer
from tokenization.vocab import UNKNOWN

_UNUSED = re.compile(r"\[unused\d+\]")

BY_TOKEN = (names.WORD_EMBEDDINGS, names.MASKED_LM_BIAS)
"""Arrays with one row for each entry of the vocabulary."""


@dataclasses.dataclass(frozen=True)
class AddedWords:
    """Which words were added, and which were not.

    Attributes:
        into_unused: {word: id} in the place of `[unusedN]`.
        into_spare: {word: id} of rows that the embedding table had already,
            beyond the last line of the vocabulary.
        appended: {word: id} of new rows.
        unknown: new words that had unknown pieces, so that their rows start
            from that of `[UNK]`.
        known: words that were one piece before.
        unreachable: words that the tokenizer splits before it looks them up
            (at punctuation, spaces, ideographs).
    """

    into_unused: Mapping[str, int]
    into_spare: Mapping[str, int]
    appended: Mapping[str, int]
    unknown: tuple[str, ...]
    known: tuple[str, ...]
    unreachable: tuple[str, ...]

    @property
    def ids(self) -> dict[str, int]:
        """All new words with their ids."""
        return {**self.into_unused, **self.into_spare, **self.appended}

    def lines(self) -> list[str]:
        """Returns the report, for the user."""
        counts = (
            (self.into_unused, "into [unusedN] rows"),
            (self.into_spare, "into rows without a word"),
            (self.appended, "into appended rows"),
        )
        lines = [
            f"added {len(self.ids)} words: "
            + ", ".join(f"{len(words)} {where}" for words, where in counts)
        ]
        for words, what in (
            (self.unknown, "started as [UNK], their pieces were unknown"),
            (self.known, "were one piece already"),
            (
                self.unreachable,
                "left out, the tokenizer cuts them before it looks them up",
            ),
        ):
            if words:
                lines.append(f"{len(words)} {what}: {', '.join(words[:10])}")
        return lines


def read_words(path: pathlib.Path) -> list[str]:
    """Reads one word a line; empty lines are skipped.

    Raises:
        UserError: the file cannot be read, is not UTF-8 or has no word.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read as a list of words in UTF-8: {error}"
        ) from error
    words = [line.strip() for line in text.split("\n") if line.strip()]
    if not words:
        raise UserError(f"{path}: has no words; write one on each line")
    return words


def add_tokens(
    checkpoint: Checkpoint, words: Iterable[str]
) -> tuple[Checkpoint, AddedWords]:
    """Adds words to the vocabulary and to the word embedding table.

    Args:
        checkpoint: has a vocabulary and no optimizer slots.
        words: as they stand in texts; case is folded as the model does.

    Returns:
        The checkpoint with the new rows, and a report. The rows and output
        biases of a new word are the mean of those of the pieces that it was
        cut into before; all others are unchanged.

    Raises:
        UserError: the checkpoint has no WordPiece vocabulary or no word
            embedding table.
    """
    vocabulary = checkpoint.vocabulary
    if vocabulary is None:
        raise UserError(
            "--add_tokens: the checkpoint has no vocabulary beside it; put "
            "its vocab.txt there"
        )
    if checkpoint.sentence_pieces is not None:
        raise UserError(
            "--add_tokens: the vocabulary is a SentencePiece model, whose "
            "pieces have probabilities that new words would not have; only "
            "WordPiece vocabularies are added to"
        )
    if names.WORD_EMBEDDINGS not in checkpoint.arrays:
        raise UserError(
            f"--add_tokens: the checkpoint has no {names.WORD_EMBEDDINGS}"
        )
    rows = checkpoint.arrays.shape(names.WORD_EMBEDDINGS)[0]
    tokenizer = tokenizer_of(checkpoint)
    pieces, known, unreachable = _pieces_of_new(tokenizer, words)
    ids, added_vocabulary = _places(vocabulary, rows, list(pieces))
    unused = {w: n for w, n in ids.items() if n < len(vocabulary)}
    spare = {w: n for w, n in ids.items() if len(vocabulary) <= n < rows}
    added = AddedWords(
        into_unused=unused,
        into_spare=spare,
        appended={w: n for w, n in ids.items() if n >= rows},
        unknown=tuple(w for w, p in pieces.items() if UNKNOWN in p),
        known=tuple(known),
        unreachable=tuple(unreachable),
    )
    sources = {
        ids[word]: tokenizer.convert_tokens_to_ids(parts)
        for word, parts in pieces.items()
    }
    size = max(rows, len(added_vocabulary))
    return (
        dataclasses.replace(
            checkpoint,
            arrays=_with_rows(checkpoint.arrays, sources, size),
            config=_with_size(checkpoint.config, size),
            vocabulary=added_vocabulary,
        ),
        added,
    )


def pieces_per_word(checkpoint: Checkpoint, text: Iterable[str]) -> float:
    """Returns how many pieces a word of a text is cut into, on average.

    Args:
        checkpoint: its vocabulary is used.
        text: lines; words are separated by whitespace.
    """
    tokenizer = tokenizer_of(checkpoint)
    words = pieces = 0
    for line in text:
        words += len(line.split())
        pieces += len(tokenizer.tokenize(line))
    return pieces / max(words, 1)


def report_saving(
    before: Checkpoint, after: Checkpoint, text: pathlib.Path
) -> str:
    """Returns a line on how many pieces the new words save in a text file.

    Raises:
        UserError: the file cannot be read or is not UTF-8.
    """
    try:
        with open(text, encoding="utf-8-sig") as file:
            old = pieces_per_word(before, file)
            file.seek(0)
            new = pieces_per_word(after, file)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{text}: cannot be read as UTF-8: {error}") from error
    return (
        f"{text}: {old:.3f} pieces a word before, {new:.3f} now: "
        f"{old - new:.3f} saved ({(old - new) / max(old, 1e-9):.1%})"
    )


def tokenizer_of(checkpoint: Checkpoint) -> FullTokenizer:
    """Makes the tokenizer of a WordPiece vocabulary."""
    ids = {token: id_ for id_, token in enumerate(checkpoint.vocabulary or ())}
    return FullTokenizer.from_vocab(
        ids, checkpoint.do_lower_case, checkpoint.added_tokens
    )


def _pieces_of_new(
    tokenizer: FullTokenizer, words: Iterable[str]
) -> tuple[dict[str, list[str]], list[str], list[str]]:
    """Sorts words into new ones with their pieces, known, and unreachable."""
    pieces: dict[str, list[str]] = {}
    known: list[str] = []
    unreachable: list[str] = []
    for word in words:
        basic = tokenizer.words(word)
        if len(basic) != 1:
            unreachable.append(word)
        elif basic[0] in tokenizer.vocab:
            known.append(word)
        else:
            pieces[basic[0]] = tokenizer.tokenize(basic[0])
    return pieces, known, unreachable


def _places(
    vocabulary: Sequence[str], rows: int, words: Sequence[str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Finds an id for each word: `[unusedN]` first, then beyond the end.

    A vocabulary may be shorter than the embedding table; the rows beyond its
    last line are free too.
    """
    tokens = list(vocabulary)
    free = [n for n, t in enumerate(vocabulary) if _UNUSED.fullmatch(t)]
    free = [number for number in free if number < rows]
    ids = {}
    for word, number in zip(words, free, strict=False):
        ids[word] = number
        tokens[number] = word
    for word in words[len(ids) :]:
        ids[word] = len(tokens)
        tokens.append(word)
    return ids, tuple(tokens)


def _with_rows(
    arrays: Arrays, sources: Mapping[int, Sequence[int]], size: int
) -> Arrays:
    entries = dict(arrays.entries)
    for name in BY_TOKEN:
        if name in entries:
            entries[name] = _with_rows_of(entries[name], sources, size)
    return Arrays(entries)


def _with_rows_of(
    entry: Entry, sources: Mapping[int, Sequence[int]], size: int
) -> Entry:
    def read() -> Array:
        old = entry.read()
        new = np.zeros((size, *old.shape[1:]), old.dtype)
        new[: len(old)] = old
        for number, parts in sources.items():
            new[number] = old[list(parts)].mean(axis=0)
        return new

    return Entry((size, *entry.shape[1:]), entry.dtype, read)


def _with_size(config: BertConfig, size: int) -> BertConfig:
    config = copy.deepcopy(config)
    config.vocab_size = size
    return config
