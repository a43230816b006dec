"""Which examples are held out of training when there is no dev file."""

from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.model_selection import train_test_split

from bert_keras3.finetuning.task import TARGETS, Examples
from bert_keras3.safekeeping.errors import UserError


def check_fraction(fraction: float) -> None:
    """Checks that a part is neither nothing nor everything.

    Raises:
        UserError: it is.
    """
    if not 0 < fraction < 1:
        raise UserError(
            f"--dev_fraction={fraction:g} leaves no rows to "
            f"{'train' if fraction else 'evaluate'} on; give a number "
            "between 0 and 1, or a --dev_file, or train without --do_eval"
        )


def hold_out(
    examples: Examples, fraction: float, seed: int, *, stratify: bool
) -> tuple[Examples, Examples]:
    """Splits examples into those to train on and those to evaluate on.

    All rows of an example are on one side. Stratified, every label has the
    same share in both parts; a label with a single example stays in training.

    Args:
        examples: of a file; with one label number each if stratified.
        fraction: of the examples that is held out, above 0 and below 1.
        seed: the same seed holds out the same examples.
        stratify: whether to split label by label.

    Returns:
        (to train on, to evaluate on).

    Raises:
        UserError: there are too few examples to hold any out, or `fraction`
            leaves one part empty.
    """
    check_fraction(fraction)
    labels = examples.column(TARGETS) if stratify else None
    train, held_out = _split(len(examples), labels, fraction, seed)
    return (
        dataclasses.replace(examples, numbers=examples.numbers[train]),
        dataclasses.replace(examples, numbers=examples.numbers[held_out]),
    )


def _split(
    number: int, labels: np.ndarray | None, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of `number` examples are trained on, which held out."""
    rows = np.arange(number)
    splittable = rows
    strata = None
    if labels is not None:
        found, counts = np.unique(labels, return_counts=True)
        splittable = rows[np.isin(labels, found[counts > 1])]
        strata = labels[splittable]
    num_strata = len(np.unique(strata)) if strata is not None else 1
    # At least one example of each label, on both sides.
    num_held_out = max(num_strata, round(fraction * len(splittable)))
    if num_held_out > len(splittable) - num_strata or not num_strata:
        raise UserError(
            f"{number} rows are too few to hold {fraction:.0%} out with "
            "every label on both sides; give a --dev_file, or train without "
            "--do_eval"
        )
    _, held_out = train_test_split(
        splittable,
        test_size=num_held_out,
        random_state=seed,
        stratify=strata,
    )
    held_out = np.sort(held_out)
    return np.setdiff1d(rows, held_out), held_out
