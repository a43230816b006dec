"""Line-parallel files → pairs of token ids → batches.

Sources and targets are two feature stores with the same rows. A batch of the
pair [CLS] a b [SEP] → [CLS] x y [SEP] has

    input_ids   [[CLS] a b [SEP]]   what the encoder reads
    target_ids  [[CLS] x y]         what the decoder reads
    label_ids   [x y [SEP]]         what it should answer

with `input_mask`, `target_mask` and `labels_per_row`, the mean number of
labels in a row of the batch.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bert_keras3.inputs.batches import BatchLimit, epoch_order
from bert_keras3.inputs.encodings import (
    check_text_file,
    decoded_lines,
    find_encoding,
)
from bert_keras3.inputs.feature_store import (
    INPUT_COLUMNS,
    INPUT_MASK,
    FeatureStore,
    write_feature_store,
)
from bert_keras3.safekeeping.errors import UserError
from tokenization.packing import NUM_SPECIAL_SINGLE
from tokenization.tokenizers import FullTokenizer

IDS = "input_ids"
PER_TOKEN = (IDS, INPUT_MASK)
"""What of a batch has one value for each token of the source."""
_COLUMNS = {IDS: INPUT_COLUMNS[IDS]}


@dataclasses.dataclass(frozen=True)
class TextPairs:
    """Texts and their translations, line by line.

    Attributes:
        sources: N texts.
        targets: N texts.
        notes: what was noticed while reading, for the user.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    notes: tuple[str, ...] = ()


def read_lines(path: str, encoding: str | None = None) -> list[str]:
    """Returns the lines of a text file, without white space at their ends.

    Args:
        path: plain or compressed.
        encoding: of the file; None: detected.

    Raises:
        UserError: it does not exist, is no text or is empty.
    """
    file = pathlib.Path(path)
    check_text_file(file, "text")
    found, _ = find_encoding(file, encoding)
    return [line.strip("\ufeff \t\r\n") for line in decoded_lines(file, found)]


def read_pairs(
    source_file: str, target_file: str, encoding: str | None = None
) -> TextPairs:
    """Reads two files whose lines are translations of each other.

    Pairs of which one line is blank are left out.

    Args:
        source_file: see `read_lines`.
        target_file: likewise.
        encoding: of both files.

    Raises:
        UserError: a file cannot be read, they have different numbers of
            lines, or no pair is left.
    """
    sources = read_lines(source_file, encoding)
    targets = read_lines(target_file, encoding)
    if len(sources) != len(targets):
        raise UserError(
            f"{source_file} has {len(sources)} lines and {target_file} has "
            f"{len(targets)}: line n of one must be the translation of line n "
            "of the other"
        )
    kept = [pair for pair in zip(sources, targets, strict=True) if all(pair)]
    if not kept:
        raise UserError(
            f"{source_file}, {target_file}: there is no line that has text in "
            "both files"
        )
    notes = []
    if len(kept) < len(sources):
        notes.append(
            f"note: {len(sources) - len(kept)} of {len(sources)} lines of "
            f"{source_file} and {target_file} are blank in one of them and "
            "are left out"
        )
    left, right = zip(*kept, strict=True)
    return TextPairs(left, right, tuple(notes))


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Encoded pairs.

    Attributes:
        sources: the column `input_ids`, [CLS] and [SEP] included.
        targets: likewise.
        num_too_long: how many pairs were left out.
    """

    sources: FeatureStore
    targets: FeatureStore
    num_too_long: int = 0

    def __len__(self) -> int:
        """Returns the number of pairs, N."""
        return len(self.sources)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Number of tokens of the longer text of each pair, int [N]."""
        return np.maximum(self.sources.lengths, self.targets.lengths)

    @property
    def num_labels(self) -> int:
        """Number of tokens to predict: all of the targets but [CLS]."""
        return int(self.targets.lengths.sum()) - len(self)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns some pairs as a batch; see the head of this file.

        Args:
            rows: int [B].
        """
        target = self.targets.padded(rows)
        mask = target[INPUT_MASK][:, 1:]
        labels = float(mask.sum()) / len(rows)
        return {
            **self.sources.padded(rows),
            "target_ids": target[IDS][:, :-1] * mask,
            "target_mask": mask,
            "label_ids": target[IDS][:, 1:],
            "labels_per_row": np.full(len(rows), labels, np.float32),
        }


def encode_pairs(
    texts: TextPairs,
    source_tokenizer: FullTokenizer,
    target_tokenizer: FullTokenizer,
    max_seq_length: int,
    folder: str | os.PathLike[str],
) -> Pairs:
    """Encodes pairs, without those that are too long.

    Args:
        texts: N pairs.
        source_tokenizer: of the texts.
        target_tokenizer: of their translations.
        max_seq_length: most tokens of a text, [CLS] and [SEP] included.
        folder: an existing folder, which gets the token ids.

    Raises:
        UserError: no pair is left.
    """
    kept, lines = [], zip(texts.sources, texts.targets, strict=True)
    for source, target in lines:
        ids = source_tokenizer.encode(source), target_tokenizer.encode(target)
        if max(map(len, ids)) + NUM_SPECIAL_SINGLE <= max_seq_length:
            kept.append(ids)
    if not kept:
        raise UserError(
            f"all {len(texts.sources)} pairs are longer than "
            f"--max_seq_length={max_seq_length} tokens"
        )
    stores = []
    for side, tokenizer in enumerate((source_tokenizer, target_tokenizer)):
        first, last = (tokenizer.vocab[name] for name in ("[CLS]", "[SEP]"))
        part = pathlib.Path(folder) / str(side)
        part.mkdir()
        stores.append(
            write_feature_store(
                part,
                _COLUMNS,
                (
                    (number, {IDS: [first, *ids[side], last]})
                    for number, ids in enumerate(kept)
                ),
            )
        )
    return Pairs(stores[0], stores[1], len(texts.sources) - len(kept))


def _batch_ends(lengths: np.ndarray, tokens: int) -> np.ndarray:
    """Returns the ends of batches of at most so many tokens, from 0.

    Args:
        lengths: int [N], rising.
        tokens: of a batch, padding included.
    """
    limit, sizes = BatchLimit(1, tokens), np.ones(len(lengths), int)
    ends = [0]
    while ends[-1] < len(lengths):
        # No batch has more pairs than tokens.
        near = slice(ends[-1], ends[-1] + tokens)
        ends.append(ends[-1] + limit.end(lengths[near], sizes[near], 0))
    return np.array(ends)


def batches_of_pairs(
    pairs: Pairs, tokens: int
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields every pair once, in batches of similar length.

    Args:
        pairs: encoded.
        tokens: most tokens of a batch, padding included.

    Yields:
        (rows, batch).
    """
    order = np.argsort(pairs.lengths, kind="stable")
    ends = _batch_ends(pairs.lengths[order], tokens)
    for first, end in reversed(list(itertools.pairwise(ends))):
        yield order[first:end], pairs.batch(order[first:end])


class TrainingBatches:
    """Batches of pairs of similar length, in an order drawn for each epoch.

    Pairs of one length are shuffled, and so are the batches. As their lengths
    are the same in every epoch, so is the number of batches.

    Attributes:
        in_an_epoch: number of batches of an epoch.
    """

    def __init__(self, pairs: Pairs, tokens: int, seed: int) -> None:
        """Makes the plan.

        Args:
            pairs: to train on.
            tokens: most tokens of a batch, padding included.
            seed: random seed of the order.
        """
        self._pairs = pairs
        self._seed = seed
        self._ends = _batch_ends(np.sort(pairs.lengths), tokens)
        self.in_an_epoch = len(self._ends) - 1
        self._batches_of: Callable[[int], list[np.ndarray]]
        self._batches_of = functools.lru_cache(maxsize=2)(self._epoch)

    def __call__(self, step: int) -> Iterator[dict[str, np.ndarray]]:
        """Yields the batches from a step on; the first step is 0."""
        while True:
            epoch, number = divmod(step, self.in_an_epoch)
            yield self._pairs.batch(self._batches_of(epoch)[number])
            step += 1

    def steps(self, epochs: float) -> tuple[int, tuple[int, ...]]:
        """Returns the number of steps, and the steps at which epochs end.

        Args:
            epochs: more than 0; a rest of a step is one.
        """
        ends = range(1, int(epochs) + 1)
        return (
            math.ceil(self.in_an_epoch * epochs),
            tuple(self.in_an_epoch * end for end in ends),
        )

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        """Returns the rows of each batch of an epoch."""
        shuffled = epoch_order(len(self._pairs), epoch, self._seed)
        by_length = np.argsort(self._pairs.lengths[shuffled], kind="stable")
        rows = shuffled[by_length]
        batches = [
            rows[first:end] for first, end in itertools.pairwise(self._ends)
        ]
        order = np.random.default_rng([self._seed, epoch, 1])
        return [batches[n] for n in order.permutation(len(batches))]
