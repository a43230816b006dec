"""What a person gets: figures, predictions, the confusion matrix, as files.

The original's two files are written as the original writes them; the others
say which label is which.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.problem import Evaluation, Problem
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.inputs.examples import InputExample
from bert_keras3.safekeeping.files import atomic_write


def write_evaluation(
    folder: RunFolder,
    evaluation: Evaluation,
    labels: Sequence[str],
    context: Mapping[str, Any],
) -> None:
    """Writes the figures of an evaluation.

    Args:
        folder: of the run.
        evaluation: the figures.
        labels: names, in order.
        context: more for the JSON file; `global_step` also goes into the
            text file.
    """
    scalars = evaluation.scalars
    # Where the original has figures, its names and no other.
    if "accuracy" in scalars:
        scalars = {name: scalars[name] for name in ("accuracy", "loss")}
    lines = {
        **{f"eval_{name}": value for name, value in scalars.items()},
        "global_step": context["global_step"],
        "loss": scalars["loss"],
    }
    with atomic_write(folder / run_folder.EVAL_TEXT) as file:
        for name in sorted(lines):
            file.write(f"{name} = {lines[name]}\n")
    with atomic_write(folder / run_folder.EVAL_JSON) as file:
        json.dump(
            {
                **evaluation.scalars,
                **evaluation.details,
                "labels": list(labels),
                **context,
            },
            file,
            ensure_ascii=False,
            indent=2,
        )
        file.write("\n")
    if evaluation.confusion is not None:
        with atomic_write(folder / run_folder.CONFUSION, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["true \\ predicted", *labels])
            for label, counts in zip(labels, evaluation.confusion, strict=True):
                writer.writerow([label, *(int(count) for count in counts)])


def write_predictions(
    folder: RunFolder,
    problem: Problem,
    labels: Sequence[str],
    examples: Iterable[InputExample],
    probabilities: np.ndarray,
) -> None:
    """Writes what is predicted of each example.

    `predictions.csv` has the columns `id` (the id column's cell, else the
    number of the row), `label` and, where there are probabilities, one
    column `probability_<label>` for each; `test_results.tsv` has the
    original's: probabilities alone, no header.

    Args:
        folder: of the run.
        problem: tells what probabilities say.
        labels: names, in order, C in all.
        examples: the N examples in the order of the probabilities.
        probabilities: [N, C].
    """
    with atomic_write(folder / run_folder.TEST_TSV) as file:
        for row in probabilities:
            file.write("\t".join(str(value) for value in row) + "\n")
    decisions = problem.decide(probabilities, labels)
    header = ["id", "label"]
    if problem.has_probabilities:
        header += [f"probability_{label}" for label in labels]
    with atomic_write(folder / run_folder.PREDICTIONS, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for example, decision, row in zip(
            examples, decisions, probabilities, strict=True
        ):
            cells: list[Any] = [example.guid, decision]
            if problem.has_probabilities:
                cells += [f"{value:.6f}" for value in row]
            writer.writerow(cells)
