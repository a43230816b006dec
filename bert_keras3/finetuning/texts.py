"""What the tasks over one or two texts share: features and predictions.csv.

An example becomes one row, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, with one
target, which each task defines.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bert_keras3.finetuning.task import TARGETS, Examples, LabelSource, Task
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

if TYPE_CHECKING:
    from bert_keras3.finetuning.encoding import TextEncoder
    from bert_keras3.inputs.examples import InputExample
    from bert_keras3.inputs.feature_store import Column, FeatureStore

MODEL_INPUTS = ("input_ids", "input_mask", "segment_ids")
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


class TextReader:
    """Converts examples of one or two texts into one row each."""

    def __init__(
        self,
        encoder: TextEncoder,
        targets: Targets | None,
        make_task: Callable[[tuple[str, ...]], Task],
    ) -> None:
        """Makes a reader.

        Args:
            encoder: of the texts.
            targets: of the labels; None for a test file.
            make_task: label names → the task.
        """
        self._encoder = encoder
        self._targets = targets
        self._make_task = make_task

    @property
    def columns(self) -> Mapping[str, Column]:
        """The inputs of the model; `finish` adds the targets."""
        from bert_keras3.inputs.feature_store import INPUT_COLUMNS

        return INPUT_COLUMNS

    def rows(self, example: InputExample) -> Iterator[Mapping[str, Any]]:
        """Yields the one row of an example.

        Raises:
            UserError: its label does not fit the task.
        """
        if self._targets is not None:
            self._targets.add(example)
        yield self._encoder.pack(example)

    def finish(self, store: FeatureStore) -> tuple[Task, FeatureStore]:
        """Returns the task, and the store with the targets.

        Raises:
            UserError: no model can be trained on the labels.
        """
        from bert_keras3.inputs.feature_store import Column

        if self._targets is None:
            return self._make_task(()), store
        labels, array = self._targets.finish()
        column = Column(array.dtype.name, shape=array.shape[1:])
        return self._make_task(labels), store.with_column(
            TARGETS, column, array
        )

    def notes(self) -> tuple[str, ...]:
        """Returns nothing; the report on the file says it all."""
        return ()


def ordered_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Sorts labels: numbers by value, words alphabetically."""
    from bert_keras3.inputs.examples import is_number

    if all(map(is_number, labels)):
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    return tuple(sorted(labels))


def unknown_label(
    source: LabelSource, example: InputExample, label: str
) -> UserError:
    """Returns the error for a label that the training data does not have."""
    known = source.labels or ()
    listed = ", ".join(known[:_MOST_LISTED])
    more = " …" if len(known) > _MOST_LISTED else ""
    return UserError(
        f"{source.path}, line {example.line}: the label {label!r} is not "
        f"among the labels of the training data: {listed}{more}. Correct the "
        "row, or train on data that has this label."
    )


def write_text_predictions(
    folder: pathlib.Path,
    examples: Examples,
    scores: np.ndarray,
    decisions: Sequence[str],
    probability_names: Sequence[str],
) -> pathlib.Path:
    """Writes `predictions.csv` and the original's `test_results.tsv`.

    The first has the columns `id` (from the id column, else the row number),
    `label` and one column `probability_<label>` for each name; the second has
    the scores, tab-separated, without a header.

    Args:
        folder: of the run.
        examples: the N examples.
        scores: float [N, C].
        decisions: the predicted label or value of each example.
        probability_names: C labels; none if scores are not probabilities.

    Returns:
        The path of `predictions.csv`.
    """
    with atomic_write(folder / TEST_TSV) as file:
        for row in scores:
            file.write("\t".join(str(value) for value in row) + "\n")
    path = folder / PREDICTIONS
    with atomic_write(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "id",
                "label",
                *(f"probability_{label}" for label in probability_names),
            ]
        )
        for example, decision, row in zip(
            examples.source, decisions, scores, strict=True
        ):
            cells: list[Any] = [example.guid, decision]
            if probability_names:
                cells += [f"{value:.6f}" for value in row]
            writer.writerow(cells)
    return path
