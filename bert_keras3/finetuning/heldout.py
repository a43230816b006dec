"""Which rows are held out of training when there is no dev file."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

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
    targets: np.ndarray, fraction: float, seed: int, *, stratify: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows into those to train on and those to evaluate on.

    Stratified, every label has the same share in both parts; a label with a
    single row stays in training.

    Args:
        targets: [N, …]; label numbers [N] if stratified.
        fraction: of the rows that is held out, above 0 and below 1.
        seed: the same seed holds out the same rows.
        stratify: whether to split label by label.

    Returns:
        (training rows, held-out rows), int64, each ascending.

    Raises:
        UserError: there are too few rows to hold any out, or `fraction`
            leaves one part empty.
    """
    check_fraction(fraction)
    rows = np.arange(len(targets))
    splittable = rows
    strata = None
    if stratify:
        labels, counts = np.unique(targets, return_counts=True)
        splittable = rows[np.isin(targets, labels[counts > 1])]
        strata = targets[splittable]
    num_strata = len(np.unique(strata)) if strata is not None else 1
    # At least one row of each label, on both sides.
    num_held_out = max(num_strata, round(fraction * len(splittable)))
    if num_held_out > len(splittable) - num_strata or not num_strata:
        raise UserError(
            f"{len(targets)} rows are too few to hold {fraction:.0%} out with "
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
