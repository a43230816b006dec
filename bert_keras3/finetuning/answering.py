"""Asks a classifier: evaluation of labelled rows, prediction of any.

How it became ready is the matter of `learning` and `readiness`; the files
that result are written by `results`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bert_keras3.finetuning import results, run_folder
from bert_keras3.finetuning.data import Split
from bert_keras3.finetuning.problem import Evaluation, Problem
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.finetuning.train import LabelledRows
from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.training.predict import Predictor
from bert_keras3.training.screen import Screen
from bert_keras3.training.state import read_numbers


@dataclasses.dataclass(frozen=True)
class ReadyClassifier:
    """A classifier with its weights, and what it is to be asked."""

    predictor: Predictor
    problem: Problem
    labels: tuple[str, ...]
    dev: LabelledRows | None
    """To evaluate on, if that is wanted."""
    test: Split | None
    """To predict, if that is wanted."""


def evaluate(
    classifier: ReadyClassifier,
    data: LabelledRows,
    folder: RunFolder,
    screen: Screen,
    limit: BatchLimit,
) -> None:
    """Writes and shows how a classifier does on labelled rows.

    Args:
        classifier: to be asked.
        data: rows and what they should come to.
        folder: where the results are written.
        screen: where they are shown.
        limit: of a batch.
    """
    logits = classifier.predictor(
        batches_by_length(data.store, data.rows, limit), len(data.rows)
    )["logits"]
    evaluation = classifier.problem.evaluate(
        logits, data.targets, classifier.labels
    )
    results.write_evaluation(
        folder,
        evaluation,
        classifier.labels,
        {"global_step": _steps_done(folder), "examples": len(data.rows)},
    )
    _show(evaluation, len(data.rows), screen)
    screen.say(f"written: {folder / run_folder.EVAL_JSON}")


def predict(
    classifier: ReadyClassifier,
    split: Split,
    folder: RunFolder,
    screen: Screen,
    limit: BatchLimit,
) -> None:
    """Writes what a classifier says of every row of a file.

    Args:
        classifier: to be asked.
        split: the encoded file.
        folder: where the predictions are written.
        screen: where it is said.
        limit: of a batch.
    """
    rows = np.arange(len(split.store))
    logits = classifier.predictor(
        batches_by_length(split.store, rows, limit), len(rows)
    )["logits"]
    results.write_predictions(
        folder,
        classifier.problem,
        classifier.labels,
        split.source,
        classifier.problem.probabilities(logits),
    )
    screen.say(f"predicted {len(rows)} rows: {folder / run_folder.PREDICTIONS}")


def _steps_done(folder: RunFolder) -> int:
    numbers = read_numbers(folder / run_folder.STATE)
    if numbers is None:
        return 0
    return int(numbers["best_step"] or numbers["step"])


def _show(evaluation: Evaluation, count: int, screen: Screen) -> None:
    screen.say(
        f"evaluation of {count} examples: "
        + ", ".join(
            f"{name} {value:.4f}" for name, value in evaluation.scalars.items()
        )
    )
    per_label = evaluation.details.get("per_label", {})
    if per_label:
        screen.table(
            ("label", "precision", "recall", "f1", "examples"),
            [
                (
                    label,
                    *(
                        f"{figures[name]:.3f}"
                        for name in ("precision", "recall", "f1")
                    ),
                    int(figures["support"]),
                )
                for label, figures in per_label.items()
            ],
        )
