"""Examples → what the model reads: ids on disk, targets in memory.

Where examples come from is `inputs`' matter; what a label means is told by
the problem.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from bert_keras3.finetuning.problem import LabelSource, Problem
from bert_keras3.finetuning.regression import REGRESSION
from bert_keras3.finetuning.sources import Source
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.feature_store import (
    INPUT_COLUMNS,
    FeatureStore,
    write_feature_store,
)
from bert_keras3.inputs.report import DataReport, Survey
from bert_keras3.safekeeping.errors import UserError
from tokenization.opening import Tokenizer
from tokenization.packing import Packed, check_max_seq_length, pack
from tokenization.vocab import require_special_tokens


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """Turns an example's texts into one input of the model."""

    tokenizer: Tokenizer
    max_seq_length: int

    def check(self, vocab_file: object, vocab_size: int) -> str | None:
        """Checks the vocabulary against the model.

        Args:
            vocab_file: for messages.
            vocab_size: rows of the model's word table.

        Returns:
            A remark if there are more rows than tokens, else None.

        Raises:
            UserError: the vocabulary is too long, or lacks a special token;
                `max_seq_length` leaves no room.
        """
        check_max_seq_length(self.max_seq_length, pair=False)
        vocab = self.tokenizer.vocab
        require_special_tokens(
            vocab, str(vocab_file), self.tokenizer.special_tokens
        )
        highest = max(vocab.values())
        if highest >= vocab_size:
            raise UserError(
                f"{vocab_file}: has {highest + 1} lines, more than the "
                f"`vocab_size` {vocab_size} of the configuration; they are "
                "not of the same model"
            )
        if highest + 1 < vocab_size:
            return (
                f"{vocab_file} has {highest + 1} tokens for `vocab_size` "
                f"{vocab_size}; the last {vocab_size - highest - 1} rows of "
                "the word table are not used"
            )
        return None

    def pack(self, example: InputExample, survey: Survey) -> Packed:
        """Returns the example's input, cut to `max_seq_length`.

        Args:
            example: one text or two.
            survey: is told of the word pieces.
        """
        encode, vocab = self.tokenizer.encode, self.tokenizer.vocab
        ids_a = encode(example.text_a)
        ids_b = [] if example.text_b is None else encode(example.text_b)
        packed = pack(
            ids_a,
            ids_b,
            max_seq_length=self.max_seq_length,
            cls_id=vocab["[CLS]"],
            sep_id=vocab["[SEP]"],
        )
        unknown = vocab[self.tokenizer.special_tokens[0]]
        survey.add_tokens(
            len(ids_a) + len(ids_b),
            ids_a.count(unknown) + ids_b.count(unknown),
            packed.num_dropped > 0,
        )
        return packed


@dataclasses.dataclass(frozen=True)
class Split:
    """One file, encoded.

    Attributes:
        source: the examples as text.
        store: the inputs, N in all.
        labels: names, C in all; empty without targets.
        targets: [N, …]; empty for a file to predict.
        report: what is odd about the file.
        problem: what the labels mean; None for a file to predict.
    """

    source: Source
    store: FeatureStore
    labels: tuple[str, ...]
    targets: np.ndarray
    report: DataReport
    problem: Problem | None


def encode(
    source: Source,
    encoder: TextEncoder,
    folder: pathlib.Path,
    problem: Problem | None = None,
    labels: tuple[str, ...] | None = None,
    separator: str | None = None,
) -> Split:
    """Goes through a file once, encoding texts and labels.

    Args:
        source: the file.
        encoder: of its texts.
        folder: for the store; made if need be.
        problem: what its labels mean; None to leave them.
        labels: the names to hold to; None to collect them.
        separator: what separates several labels in one cell.

    Returns:
        The file, encoded.

    Raises:
        UserError: a row or a label is wrong.
    """
    check_max_seq_length(encoder.max_seq_length, pair=source.takes_pairs)
    folder.mkdir(parents=True, exist_ok=True)
    targets = None
    if problem is not None:
        targets = problem.make_targets(
            LabelSource(source.path, labels, source.label_columns, separator)
        )
    # Counted label by label; of numbers hardly any comes again.
    counts_labels = problem is not None and problem is not REGRESSION
    survey = Survey()

    def inputs() -> Iterator[tuple[int, dict[str, Any]]]:
        for number, example in enumerate(source):
            if targets is not None:
                targets.add(example)
            if not counts_labels:
                example = dataclasses.replace(example, label=None)
            survey.add(example)
            packed = encoder.pack(example, survey)
            yield (
                number,
                {
                    "input_ids": packed.input_ids,
                    "segment_ids": packed.segment_ids,
                },
            )

    store = write_feature_store(folder, INPUT_COLUMNS, inputs())
    found: tuple[str, ...] = ()
    array = np.zeros(0)
    if targets is not None:
        found, array = targets.finish()
    return Split(source, store, found, array, survey.report(), problem)
