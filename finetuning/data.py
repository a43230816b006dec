"""Examples → what the model reads: ids on disk, targets in memory.

Where examples come from is `inputs`' matter; what a label means is told by
the problem.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from finetuning.problem import Targets
from finetuning.sources import Source
from inputs.examples import InputExample
from inputs.report import DataReport, Survey
from inputs.token_store import TokenStore, write_token_store
from safekeeping.errors import UserError
from tokenization.full import FullTokenizer
from tokenization.packing import Packed, check_max_seq_length, pack
from tokenization.vocab import require_special_tokens


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """Turns an example's texts into one input of the model."""

    tokenizer: FullTokenizer
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
        require_special_tokens(vocab, str(vocab_file))
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

    def pack(self, example: InputExample) -> Packed:
        """Returns the example's input, cut to `max_seq_length`."""
        encode, vocab = self.tokenizer.encode, self.tokenizer.vocab
        return pack(
            encode(example.text_a),
            None if example.text_b is None else encode(example.text_b),
            max_seq_length=self.max_seq_length,
            cls_id=vocab["[CLS]"],
            sep_id=vocab["[SEP]"],
        )


@dataclasses.dataclass(frozen=True)
class Split:
    """One file, encoded.

    Attributes:
        source: the examples as text.
        store: the inputs, N in all.
        labels: names, C in all; empty without targets.
        targets: [N, …]; empty for a file to predict.
        report: what is odd about the file.
    """

    source: Source
    store: TokenStore
    labels: tuple[str, ...]
    targets: np.ndarray
    report: DataReport


def encode(
    source: Source,
    encoder: TextEncoder,
    targets: Targets | None,
    folder: pathlib.Path,
) -> Split:
    """Goes through a file once, encoding texts and labels.

    Args:
        source: the file.
        encoder: of its texts.
        targets: of its labels; None to leave them.
        folder: for the store; made if need be.

    Returns:
        The file, encoded.

    Raises:
        UserError: a row or a label is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    survey = Survey()
    unknown = encoder.tokenizer.vocab["[UNK]"]

    def inputs() -> Iterator[Packed]:
        for example in survey.watch(source):
            packed = encoder.pack(example)
            if targets is not None:
                targets.add(example)
            survey.add_tokens(
                len(packed.input_ids) + packed.num_dropped,
                packed.input_ids.count(unknown),
                packed.num_dropped > 0,
            )
            yield packed

    store = write_token_store(folder, inputs())
    labels, array = (
        targets.finish() if targets is not None else ((), np.zeros(0))
    )
    return Split(source, store, labels, array, survey.report())


def report_lines(split: Split, max_seq_length: int) -> list[str]:
    """Returns what a person should know of a file, most important first."""
    report = split.report
    mean_length = report.num_tokens / max(1, report.num_rows)
    summary = (
        f"{split.source.path}: {report.num_rows} rows, {mean_length:.1f} "
        f"tokens each on average; {report.unknown_rate:.2%} of them unknown"
    )
    lines = [summary]
    if report.num_truncated:
        lines.append(
            f"note: {report.num_truncated} rows are longer than "
            f"--max_seq_length={max_seq_length} and were cut"
        )
    if report.num_empty:
        places = ", ".join(map(str, report.empty_lines))
        more = " …" if report.num_empty > len(report.empty_lines) else ""
        lines.append(
            f"note: {report.num_empty} rows have an empty text "
            f"(lines {places}{more})"
        )
    if report.num_duplicates:
        conflicts = (
            f", {report.num_conflicts} of them with another label"
            if report.num_conflicts
            else ""
        )
        lines.append(
            f"note: {report.num_duplicates} rows repeat an earlier "
            f"text{conflicts}"
        )
    return lines
