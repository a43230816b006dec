"""Multiple choice: a softmax over the choices of an example.

    context "It rains.", question "What is wet?", choices "the sun", "streets"
    rows    [CLS] It rains . [SEP] What is wet ? the sun [SEP]
            [CLS] It rains . [SEP] What is wet ? streets [SEP]
    logits  [0.3, 1.4]  →  probabilities [0.25, 0.75]  →  "streets"

Every choice is a row with one logit, as for SWAG in the paper on BERT (section
4.4). Examples may have different numbers of choices.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.evaluation import Evaluation
from bert_keras3.finetuning.task import (
    TARGETS,
    LabelSource,
    TaskDefaults,
    Tensors,
)
from bert_keras3.finetuning.texts import PREDICTIONS, TEST_TSV
from bert_keras3.inputs.row_groups import RowGroups
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from tokenization.packing import Packed, pack_choices

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.finetuning.encoding import TextEncoder
    from bert_keras3.inputs.choices import ChoiceExample
    from bert_keras3.inputs.feature_store import Column, FeatureStore
    from modeling.shapes import Tensor
    from tokenization.tokenizers import Tokenizer

LOGIT = ("choice",)
"""The name of the only output: the score of a choice."""


@dataclasses.dataclass(frozen=True)
class ChoicePrediction:
    """The choice that is right, most probably."""

    text: str
    index: int
    """Number of the choice, from 0."""
    probabilities: tuple[float, ...]
    """One for each choice; their sum is 1."""


class ChoiceAnswer(NamedTuple):
    """What is written of one example.

    Attributes:
        guid: the id of the example.
        label: the predicted choice, as the file spells labels.
        places: numbers of its choices, from 0; empty cells are passed over.
        probabilities: float64, one for each choice.
    """

    guid: str
    label: str
    places: Sequence[int]
    probabilities: np.ndarray


@dataclasses.dataclass(frozen=True)
class Choice(TaskDefaults):
    """One of the choices of each example is right."""

    name: ClassVar[str] = "choice"
    default_metric: ClassVar[str] = "accuracy"
    result_files: ClassVar[tuple[str, ...]] = (PREDICTIONS, TEST_TSV)
    exported: ClassVar[tuple[str, ...]] = ("logits",)

    labels: tuple[str, ...] = LOGIT

    @property
    def grouped(self) -> bool:
        """See `Task`."""
        return True

    @property
    def own_rows(self) -> bool:
        """See `Task`."""
        return True

    def reader(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> ChoiceReader:
        """See `Task`."""
        return ChoiceReader(encoder, labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `Task`."""
        return ("loss", "accuracy")

    def loss(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Mean cross-entropy over examples, of `logits` [R, 1]."""
        from bert_keras3.inputs.batches import EXAMPLE
        from modeling.losses import choice_loss

        return choice_loss(
            outputs["logits"][:, 0], features[TARGETS], features[EXAMPLE]
        )

    def soft_loss(
        self,
        outputs: Tensors,
        teacher: Tensors,
        features: Tensors,
        temperature: float,
    ) -> Tensor:
        """See `Task`."""
        from bert_keras3.inputs.batches import EXAMPLE
        from modeling.losses import soft_choice_loss

        return soft_choice_loss(
            outputs["logits"][:, 0],
            teacher["logits"][:, 0],
            temperature,
            features[EXAMPLE],
        )

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns how often each choice, counted from 0, is the right one."""
        groups = examples.groups
        right = np.flatnonzero(examples.column(TARGETS))
        counts = np.bincount(right - groups.first)
        return {str(place): int(n) for place, n in enumerate(counts)}

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Accuracy and loss."""
        groups = examples.groups
        log_probs = _log_softmax(groups, outputs["logits"][:, 0])
        is_right = examples.column(TARGETS) == 1
        scalars = {
            "loss": float(-log_probs[is_right].mean()),
            "accuracy": float(is_right[_best(groups, log_probs)].mean()),
        }
        return Evaluation(
            scalars,
            rows=lambda: (
                {
                    "label": int(np.flatnonzero(right)[0]),
                    "predicted": int(np.argmax(row)),
                    "probabilities": [round(one, 5) for one in row.tolist()],
                }
                for row, right in zip(
                    np.split(np.exp(log_probs), groups.first[1:]),
                    np.split(is_right, groups.first[1:]),
                    strict=True,
                )
            ),
        )

    def answers(
        self, outputs: Outputs, examples: Examples
    ) -> Iterator[ChoiceAnswer]:
        """The label of each example and a probability a choice."""
        groups = examples.groups
        log_probs = _log_softmax(groups, outputs["logits"][:, 0])
        probabilities = np.split(np.exp(log_probs), groups.first[1:])
        chosen = (_best(groups, log_probs) - groups.first).tolist()
        for example, index, row in zip(
            examples.source, chosen, probabilities, strict=True
        ):
            yield ChoiceAnswer(
                example.guid, example.spelled(index), example.places, row
            )

    def write_answers(
        self,
        folder: pathlib.Path,
        source: Source,
        answers: Iterable[ChoiceAnswer],
    ) -> pathlib.Path:
        """Writes the label of each example and a probability a choice.

        `predictions.csv` has the columns `id`, `label`, as the file spells
        labels, and `probability_0`, …, empty where an example has no such
        choice; `test_results.tsv` has the probabilities alone.
        """
        # Of the longest example, empty cells of its file counted.
        width = max(example.places[-1] + 1 for example in source)
        path = folder / PREDICTIONS
        with (
            atomic_write(folder / TEST_TSV) as tsv,
            atomic_write(path, newline="") as file,
        ):
            writer = csv.writer(file)
            names = (f"probability_{place}" for place in range(width))
            writer.writerow(["id", "label", *names])
            for guid, label, places, row in answers:
                tsv.write("\t".join(map(str, row)) + "\n")
                cells = [""] * width
                for place, value in zip(places, row.tolist(), strict=True):
                    cells[place] = f"{value:.6f}"
                writer.writerow([guid, label, *cells])
        return path

    def answering(
        self, tokenizer: Tokenizer, max_seq_length: int
    ) -> ChoiceAnswering:
        """See `RowTask`."""
        return ChoiceAnswering(tokenizer, max_seq_length)


def _log_softmax(groups: RowGroups, logits: np.ndarray) -> np.ndarray:
    """Logits [R] → logarithms of probabilities in each group, float64 [R]."""
    logits = logits.astype(np.float64)
    logits = logits - groups.spread(groups.max(logits))
    totals = np.add.reduceat(np.exp(logits), groups.first)
    return logits - groups.spread(np.log(totals))


def _best(groups: RowGroups, scores: np.ndarray) -> np.ndarray:
    """Scores [R] → int64 [E], the row of each example's highest score.

    Of equal ones it is the first.
    """
    is_best = scores >= groups.spread(groups.max(scores))
    rows = np.where(is_best, np.arange(len(scores)), len(scores))
    return np.minimum.reduceat(rows, groups.first)


class ChoiceReader:
    """Converts an example into one row for each of its choices."""

    def __init__(
        self, encoder: TextEncoder, labels: LabelSource | None
    ) -> None:
        """Takes the encoder of the texts; `labels` is None for a test file."""
        self._encoder = encoder
        self._labels = labels
        self._num_equal = 0

    @property
    def columns(self) -> Mapping[str, Column]:
        """The inputs of the model, and which row is right."""
        from bert_keras3.inputs.feature_store import INPUT_COLUMNS, Column

        return {**INPUT_COLUMNS, TARGETS: Column("int32", stored="uint8")}

    def rows(self, example: ChoiceExample) -> Iterator[Mapping[str, Any]]:
        """Yields a row for each choice; `targets` is 1 for the right one.

        Raises:
            UserError: different choices would be cut to the same tokens.
        """
        try:
            rows, num_tokens, num_unknown = packed_choices(
                self._encoder.tokenizer,
                self._encoder.max_seq_length,
                example.context,
                example.question,
                example.choices,
            )
        except ValueError as error:
            raise UserError(
                f"{example.where}: {error}; give a "
                f"--max_seq_length above {self._encoder.max_seq_length}, or "
                "shorten the choices"
            ) from error
        self._encoder.survey.add_tokens(
            num_tokens, num_unknown, any(row.num_dropped for row in rows)
        )
        if len({tuple(row.input_ids) for row in rows}) < len(rows):
            self._num_equal += 1
        answer = None if self._labels is None else example.answer
        for index, row in enumerate(rows):
            yield {
                "input_ids": row.input_ids,
                "segment_ids": row.segment_ids,
                TARGETS: index == answer,
            }

    def notes(self) -> tuple[str, ...]:
        """Returns how many examples have choices that look the same."""
        if not self._num_equal:
            return ()
        have = "example has" if self._num_equal == 1 else "examples have"
        note = (
            f"note: {self._num_equal} {have} choices of the same tokens, "
            "which the model cannot tell apart"
        )
        return (note,)

    def finish(self, store: FeatureStore) -> tuple[Choice, FeatureStore]:
        """Returns the task and the same store."""
        return Choice(), store


def packed_choices(
    tokenizer: Tokenizer,
    max_seq_length: int,
    context: str | None,
    question: str | None,
    choices: Sequence[str],
) -> tuple[list[Packed], int, int]:
    """Tokenizes and packs an example; without a context, the question is one.

    Args:
        tokenizer: text → token ids.
        max_seq_length: most tokens of a row.
        context: what the question is about.
        question: what each choice answers or continues.
        choices: their texts.

    Returns:
        (a row for each choice, number of tokens before truncation, how many
        of these are unknown).

    Raises:
        UserError: `max_seq_length` leaves no room for two texts.
        ValueError: it makes different choices equal.
    """
    encode, vocab = tokenizer.encode, tokenizer.vocab
    ids_context = encode(context) if context else []
    ids_question = encode(question) if question else []
    if not ids_context:
        ids_context, ids_question = ids_question, []
    ids_choices = [encode(choice) for choice in choices]
    rows = pack_choices(
        ids_context,
        ids_question,
        ids_choices,
        max_seq_length=max_seq_length,
        cls_id=vocab["[CLS]"],
        sep_id=vocab["[SEP]"],
    )
    unknown = vocab[tokenizer.special_tokens[0]]
    parts = (ids_context, ids_question, *ids_choices)
    return (
        rows,
        sum(map(len, parts)),
        sum(part.count(unknown) for part in parts),
    )


@dataclasses.dataclass(frozen=True)
class Item:
    """An input of an exported model."""

    context: str
    question: str
    choices: tuple[str, ...]


class ChoiceAnswering:
    """Makes rows of a context with choices, and a prediction of their logits.

    See `task.Answering`.
    """

    def __init__(self, tokenizer: Tokenizer, max_seq_length: int) -> None:
        """Takes the tokenizer of the model, and the most tokens of a row."""
        self._tokenizer = tokenizer
        self._max_seq_length = max_seq_length

    @property
    def columns(self) -> Mapping[str, Column]:
        """The inputs of the model."""
        from bert_keras3.inputs.feature_store import INPUT_COLUMNS

        return INPUT_COLUMNS

    def item(self, given: Any) -> Item:
        """Takes (context, choices) or (context, question, choices).

        Raises:
            ValueError: it is neither, there are fewer than two choices, or
                one of them or all other text is empty.
        """
        wanted = (
            "an input must be (context, choices) or (context, question, "
            "choices), with strings and a list of at least two strings"
        )
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise ValueError(wanted)
        *before, choices = given
        if (
            not isinstance(choices, (tuple, list))
            or len(choices) < 2
            or not all(isinstance(one, (str, bytes)) for one in before)
            or not all(isinstance(one, (str, bytes)) for one in choices)
        ):
            raise ValueError(wanted)
        context, question = (*map(_valid, before), "")[:2]
        item = Item(context, question, tuple(map(_valid, choices)))
        if not (context + question).strip() or not all(
            map(str.strip, item.choices)
        ):
            raise ValueError(f"{wanted}; no choice may be empty")
        return item

    def rows(self, item: Item) -> Iterator[Mapping[str, Any]]:
        """Yields a row for each choice.

        Raises:
            UserError: different choices would be cut to the same tokens.
        """
        try:
            rows, _, _ = packed_choices(
                self._tokenizer,
                self._max_seq_length,
                item.context,
                item.question,
                item.choices,
            )
        except ValueError as error:
            raise UserError(
                f"{error}, as the model was trained; shorten the choices, "
                f"the first of which is {item.choices[0][:60]!r}"
            ) from error
        for row in rows:
            yield {"input_ids": row.input_ids, "segment_ids": row.segment_ids}

    def answers(
        self, items: Sequence[Item], store: FeatureStore, outputs: Outputs
    ) -> list[ChoicePrediction]:
        """Returns the most probable choice of each input."""
        groups = RowGroups.of(store.examples)
        log_probs = _log_softmax(groups, outputs["logits"][:, 0])
        chosen = (_best(groups, log_probs) - groups.first).tolist()
        rows = np.split(np.exp(log_probs), groups.first[1:])
        return [
            ChoicePrediction(item.choices[index], index, tuple(row.tolist()))
            for item, index, row in zip(items, chosen, rows, strict=True)
        ]


def _valid(text: str | bytes) -> str:
    """Returns a text without what is not valid UTF-8."""
    if isinstance(text, str):
        text = text.encode("utf-8", "ignore")
    return text.decode("utf-8", "ignore")
