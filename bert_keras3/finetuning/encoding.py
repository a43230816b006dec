"""Encodes the examples of a file as token ids on disk, and reports on them.

A file is read once: the task's reader makes the features of each example, and
a survey counts unknown tokens, truncated, empty and repeated texts.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.finetuning.dataset import Source
from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.task import LabelSource, Task
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.feature_store import FeatureStore, write_feature_store
from bert_keras3.inputs.report import DataReport, Survey
from bert_keras3.safekeeping.errors import UserError
from tokenization.packing import Packed, check_max_seq_length, pack
from tokenization.tokenizers import Tokenizer
from tokenization.vocab import require_special_tokens

# With a larger fraction of unknown tokens, the commonest are named.
_SOME_UNKNOWN = 0.001
# With a larger fraction of unknown tokens, the vocabulary fits badly.
_MANY_UNKNOWN = 0.2


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """Converts the texts of an example into one input of the model.

    Attributes:
        tokenizer: text → token ids.
        max_seq_length: maximum number of tokens, special tokens included.
        survey: counts the tokens.
    """

    tokenizer: Tokenizer
    max_seq_length: int
    survey: Survey = dataclasses.field(default_factory=Survey)

    def check(self, vocab_file: object, vocab_size: int) -> str | None:
        """Checks the vocabulary against the model.

        Args:
            vocab_file: for messages.
            vocab_size: number of rows of the word embedding table.

        Returns:
            A note if there are more rows than tokens, else None.

        Raises:
            UserError: the vocabulary is too large or lacks a special token;
                `max_seq_length` is too small for any text.
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
                "the word embedding table are not used"
            )
        return None

    def pack(self, example: InputExample) -> dict[str, Any]:
        """Returns the input for an example, truncated to `max_seq_length`.

        Args:
            example: with one or two texts.

        Returns:
            `input_ids` and `segment_ids`, one value per token.
        """
        (row,) = self.pack_with(lambda *ids, **to: [pack(*ids, **to)], example)
        return row

    def pack_with(
        self, packer: Callable[..., Sequence[Packed]], example: InputExample
    ) -> list[dict[str, Any]]:
        """Returns one input or several for an example.

        Args:
            packer: a function of the arguments of `packing.pack`.
            example: with one or two texts.

        Returns:
            `input_ids` and `segment_ids` of each, one value per token.
        """
        encode, vocab = self.tokenizer.encode, self.tokenizer.vocab
        ids_a = encode(example.text_a)
        ids_b = [] if example.text_b is None else encode(example.text_b)
        packed = packer(
            ids_a,
            ids_b,
            max_seq_length=self.max_seq_length,
            cls_id=vocab["[CLS]"],
            sep_id=vocab["[SEP]"],
        )
        unknown = vocab[self.tokenizer.special_tokens[0]]
        num_unknown = ids_a.count(unknown) + ids_b.count(unknown)
        self.survey.add_tokens(
            len(ids_a) + len(ids_b), num_unknown, packed[0].num_dropped > 0
        )
        if num_unknown and self.survey.wants_unknown:
            for text in example.texts:
                self.survey.add_unknown(self.tokenizer.unknown_parts(text))
        return [
            {"input_ids": row.input_ids, "segment_ids": row.segment_ids}
            for row in packed
        ]


@dataclasses.dataclass(frozen=True)
class EncodedFile:
    """One encoded file.

    Attributes:
        source: the examples as text.
        store: their features.
        task: with the labels of the file, if it has labels.
        tokenizer: of the texts.
        report: counts of unusual texts.
        is_labelled: whether the file has labels.
        notes: what else was met, a line each.
    """

    source: Source
    store: FeatureStore
    task: Task
    tokenizer: Tokenizer
    report: DataReport
    is_labelled: bool
    notes: tuple[str, ...] = ()

    @property
    def examples(self) -> Examples:
        """All examples of the file."""
        numbers = np.arange(self.report.num_rows)
        return Examples(self.source, self.store, numbers, self.tokenizer)

    def lines(self, max_seq_length: int, *, unpad: bool) -> list[str]:
        """Returns the report as lines of text."""
        report = self.report
        mean_length = report.num_tokens / max(1, report.num_rows)
        summary = (
            f"{self.source.path}: {report.num_rows} "
            f"row{'s' * (report.num_rows != 1)}, {mean_length:.1f} "
            f"tokens each on average; {report.unknown_rate:.2%} of them unknown"
        )
        lines = [summary, *self.notes]
        if report.unknown_rate > _MANY_UNKNOWN:
            lines.append(
                "note: so many unknown tokens make a poor classifier; is the "
                "vocabulary of another language, or the encoding a wrong "
                "guess?"
            )
        if report.unknown_rate > _SOME_UNKNOWN and report.unknown_parts:
            named = ", ".join(
                f"{part} ({number})" for part, number in report.unknown_parts
            )
            lines.append(
                f"note: most often unknown are {named}. Replace them in the "
                "data by what the vocabulary has, or add them to the model "
                "with convert_checkpoint.py --add_tokens"
            )
        if report.num_truncated:
            lines.append(
                f"note: {_rows(report.num_truncated, 'are')} longer than "
                f"--max_seq_length={max_seq_length} and cut off there"
            )
        if report.num_empty:
            lines.append(
                f"note: {_rows(report.num_empty, 'have')} an empty text"
                f"{_places(report)}"
            )
        if report.num_duplicates:
            conflicts = (
                f", {report.num_conflicts} of them with another label"
                if report.num_conflicts
                else ""
            )
            lines.append(
                f"note: {_rows(report.num_duplicates, 'repeat')} an earlier "
                f"text{conflicts}"
            )
        if unpad:
            share = self.store.share_of_padding(max_seq_length)
            lines.append(
                f"nothing is computed for padding, which would be {share:.0%} "
                f"of rows of --max_seq_length={max_seq_length} tokens"
            )
        return lines

    def values(self) -> dict[str, Any]:
        """Returns the report as JSON values.

        Counts, label frequencies, and what was detected about the file and its
        columns.
        """
        report = self.report
        description = self.source.describe()
        values: dict[str, Any] = {
            "file": str(self.source.path),
            "rows": report.num_rows,
            "notes": list(self.notes),
            "tokens": report.num_tokens,
            "unknown_rate": report.unknown_rate,
            "unknown_parts": dict(report.unknown_parts),
            "truncated": report.num_truncated,
            "empty": report.num_empty,
            "empty_lines": list(report.empty_lines),
            "duplicates": report.num_duplicates,
            "duplicates_with_another_label": report.num_conflicts,
            "mean_characters": report.mean_length,
            "most_characters": report.longest,
            "longest_line": report.longest_line,
        }
        if self.is_labelled:
            values["problem"] = self.task.name
            values["labels"] = self.task.count(self.examples)
        if description is not None:
            values["decided"] = {
                one.what: {"value": one.value, "because": one.how}
                for one in description.decisions
            }
        return values


def _places(report: DataReport) -> str:
    """Returns " (lines 3, 7 …)" for the empty texts, if they have lines."""
    if not any(report.empty_lines):
        return ""
    listed = ", ".join(map(str, report.empty_lines))
    more = " …" if report.num_empty > len(report.empty_lines) else ""
    return f" (line{'s' * (report.num_empty > 1)} {listed}{more})"


def _rows(number: int, verb: str) -> str:
    """Returns "2 rows have", or "1 row has" for the same verb."""
    if number != 1:
        return f"{number} rows {verb}"
    singular = {"are": "is", "have": "has", "repeat": "repeats"}
    return f"1 row {singular[verb]}"


def encode(
    source: Source,
    encoder: TextEncoder,
    folder: pathlib.Path,
    task: Task,
    labels: LabelSource | None,
) -> EncodedFile:
    """Encodes the texts and labels of a file.

    Args:
        source: the file.
        encoder: of the texts.
        folder: for the features; created if needed.
        task: of the examples; its labels are ignored.
        labels: where the labels are; None for a test file.

    Raises:
        UserError: an example or a label is wrong.
    """
    check_max_seq_length(encoder.max_seq_length, pair=source.takes_pairs)
    folder.mkdir(parents=True, exist_ok=True)
    survey = Survey()
    reader = task.reader(dataclasses.replace(encoder, survey=survey), labels)
    counts_labels = labels is not None and task.repeats_labels

    def rows() -> Iterator[tuple[int, Mapping[str, Any]]]:
        for number, example in enumerate(source):
            found = list(reader.rows(example))
            label = example.label if counts_labels else None
            survey.add(example.texts, label, example.line)
            for row in found:
                yield number, row

    store = write_feature_store(folder, reader.columns, rows())
    task, store = reader.finish(store)
    return EncodedFile(
        source,
        store,
        task,
        encoder.tokenizer,
        survey.report(),
        labels is not None,
        (*source.notes(), *reader.notes()),
    )
