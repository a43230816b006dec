"""What the tasks over one or two texts share: features and predictions.csv.

An example becomes one row, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, with one
target, which each task defines.
"""

from __future__ import annotations

import array as arrays
import csv
import dataclasses
import decimal
import pathlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.task import (
    EXAMPLE_WEIGHTS,
    TARGETS,
    LabelSource,
    Task,
)
from bert_keras3.inputs.examples import MISSING_TEXTS, plain_number
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

if TYPE_CHECKING:
    from bert_keras3.finetuning.encoding import TextEncoder
    from bert_keras3.finetuning.long_texts import LongTexts
    from bert_keras3.inputs.examples import InputExample
    from bert_keras3.inputs.feature_store import Column, FeatureStore

PREDICTIONS = "predictions.csv"
TEST_TSV = "test_results.tsv"

# Maximum number of labels listed in a message.
_MOST_LISTED = 20


class Targets(Protocol):
    """Converts label cells into an array, one example after the other."""

    def add(self, example: InputExample) -> None:
        """Adds the label of an example.

        Raises:
            UserError: the label is missing, unknown or not a number.
        """

    def finish(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Returns the C label names and the targets [N, …].

        Raises:
            UserError: no model can be trained on these labels.
        """

    def notes(self) -> tuple[str, ...]:
        """Returns what was met in the labels, a line each."""


class TextReader:
    """Converts examples of one or two texts into rows; see `LongTexts`."""

    def __init__(
        self,
        encoder: TextEncoder,
        targets: Targets | None,
        task: LongTexts,
    ) -> None:
        """Makes a reader.

        Args:
            encoder: of the texts.
            targets: of the labels; None for a test file.
            task: the task, a dataclass; its labels are ignored.
        """
        self._encoder = encoder
        self._targets = targets
        self._task: Any = task
        self._weights = arrays.array("f")

    @property
    def columns(self) -> Mapping[str, Column]:
        """The inputs of the model; `finish` adds the targets."""
        columns: Mapping[str, Column] = self._task.row_columns
        return columns

    def rows(self, example: InputExample) -> Iterator[Mapping[str, Any]]:
        """Yields the row of an example, or its windows.

        Raises:
            UserError: its label does not fit the task.
        """
        if self._targets is not None:
            self._targets.add(example)
            self._weights.append(example.weight)
        yield from self._task.rows_of(self._encoder, example)

    def finish(self, store: FeatureStore) -> tuple[Task, FeatureStore]:
        """Returns the task, and the store with the targets.

        Raises:
            UserError: no model can be trained on the labels.
        """
        from bert_keras3.inputs.feature_store import Column

        if self._targets is None:
            return dataclasses.replace(self._task, labels=()), store
        labels, array = self._targets.finish()
        column = Column(array.dtype.name, shape=array.shape[1:])
        task = dataclasses.replace(self._task, labels=labels)
        # The same in all rows of an example.
        store = store.with_column(TARGETS, column, array[store.examples])
        weights = np.frombuffer(self._weights, np.float32)
        if (weights != 1).any():
            store = store.with_column(
                EXAMPLE_WEIGHTS, Column("float32"), weights[store.examples]
            )
        return task, store

    def notes(self) -> tuple[str, ...]:
        """Returns what was met in the labels, a line each."""
        return () if self._targets is None else self._targets.notes()


class LabelIds:
    """Numbers labels as they occur, from 0 or in a given order.

    Labels that are equal as numbers are one class: of 1, 1.0 and 0, the first
    two. The class has the shortest spelling. 007 is another label than 7, as
    every number that is written in its own way (1e3, +1).
    """

    def __init__(self, source: LabelSource) -> None:
        """Takes the allowed labels, if they are known."""
        self._source = source
        self.names = list(source.labels or ())
        """The classes, by their number."""
        self._ids = {name: number for number, name in enumerate(self.names)}
        self._by_value: dict[decimal.Decimal, int] = {}
        for number, name in enumerate(self.names):
            value = plain_number(name)
            if value is not None:
                self._by_value.setdefault(value, number)
        self._other_spellings: dict[int, list[str]] = {}

    def of(self, example: InputExample, label: str) -> int:
        """Returns the number of a label.

        Raises:
            UserError: it is none of the allowed labels.
        """
        number = self._ids.get(label)
        return self._new(example, label) if number is None else number

    def _new(self, example: InputExample, label: str) -> int:
        """Returns the number of a spelling that did not occur before."""
        value = plain_number(label)
        number = None if value is None else self._by_value.get(value)
        if number is None:
            if self._source.labels is not None:
                raise unknown_label(self._source, example, label)
            number = len(self.names)
            self.names.append(label)
            if value is not None:
                self._by_value[value] = number
        else:
            name = self.names[number]
            others = self._other_spellings.setdefault(number, [])
            if self._source.labels is None and len(label) < len(name):
                self.names[number] = label
                others.append(name)
            else:
                others.append(label)
        self._ids[label] = number
        return number

    def notes(self) -> tuple[str, ...]:
        """Returns a line for labels that are, or may be, spellings of one."""
        notes = [
            f"note: the label {self.names[number]} is also written "
            f"{', '.join(others)}; being equal numbers, they are one class"
            for number, others in self._other_spellings.items()
        ]
        if self._source.labels is None:
            alike: dict[str, list[str]] = {}
            for name in self.names:
                alike.setdefault(_folded(name), []).append(name)
            notes += [
                f"note: the labels {', '.join(map(repr, names))} differ only "
                f"in case, spaces or width, and are {len(names)} classes; if "
                "they mean the same, write them alike in the data"
                for names in alike.values()
                if len(names) > 1
            ]
            notes += [
                f"note: the label {name!r} is a class of its own; if it means "
                "that the label is missing, leave these rows out with "
                f"--skip_labels={name}"
                for name in self.names
                if name in MISSING_TEXTS
            ]
        return tuple(notes)


def ordered_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Sorts labels: numbers by value, words alphabetically."""
    from bert_keras3.inputs.examples import is_number

    if all(map(is_number, labels)):
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    return tuple(sorted(labels))


def _folded(label: str) -> str:
    """A label without its case, its spaces and the width of its letters."""
    plain = unicodedata.normalize("NFKC", label)
    seen = (one for one in plain if unicodedata.category(one) != "Cf")
    return "".join("".join(seen).split()).casefold()


def unknown_label(
    source: LabelSource, example: InputExample, label: str
) -> UserError:
    """Returns the error for a label that the training data does not have."""
    known = source.labels or ()
    alike = [name for name in known if _folded(name) == _folded(label)]
    hint = "".join(
        f" (it differs from {name!r} only in case, spaces or width)"
        for name in alike[:1]
    )
    listed = ", ".join(known[:_MOST_LISTED])
    more = " …" if len(known) > _MOST_LISTED else ""
    return UserError(
        f"{source.place(example)}: the label {label!r}"
        f"{hint} is not "
        f"among the labels of the training data: {listed}{more}. Correct the "
        "row, or train on data that has this label."
    )


class TextAnswer(NamedTuple):
    """What is predicted for one example.

    Attributes:
        guid: the id of the example.
        label: the predicted label or value.
        scores: float [C].
    """

    guid: str
    label: str
    scores: np.ndarray


def text_answers(
    examples: Examples, scores: np.ndarray, decisions: Sequence[str]
) -> Iterator[TextAnswer]:
    """Yields the answer for each example.

    Args:
        examples: N examples.
        scores: float [N, C].
        decisions: the predicted label or value of each.
    """
    for example, decision, row in zip(
        examples.source, decisions, scores, strict=True
    ):
        yield TextAnswer(example.guid, decision, row)


def write_text_predictions(
    folder: pathlib.Path,
    answers: Iterable[TextAnswer],
    probability_names: Sequence[str],
) -> pathlib.Path:
    """Writes `predictions.csv` and the original's `test_results.tsv`.

    The first has the columns `id` (from the id column, else the row number),
    `label` and one column `probability_<label>` for each name; the second has
    the scores, tab-separated, without a header.

    Args:
        folder: of the run.
        answers: of the examples.
        probability_names: C labels; none if scores are not probabilities.

    Returns:
        The path of `predictions.csv`.
    """
    path = folder / PREDICTIONS
    with (
        atomic_write(folder / TEST_TSV) as tsv,
        atomic_write(path, newline="") as file,
    ):
        writer = csv.writer(file)
        names = (f"probability_{label}" for label in probability_names)
        writer.writerow(["id", "label", *names])
        for guid, label, scores in answers:
            tsv.write("\t".join(str(value) for value in scores) + "\n")
            cells: list[Any] = [guid, label]
            if probability_names:
                cells += [f"{value:.6f}" for value in scores]
            writer.writerow(cells)
    return path
