"""The table of problem shapes, and how to tell which one labels call for."""

from __future__ import annotations

from collections.abc import Sequence

from bert_keras3.finetuning.label_sets import DEFAULT_SEPARATOR
from bert_keras3.finetuning.multi_label import MULTI_LABEL
from bert_keras3.finetuning.problem import Problem
from bert_keras3.finetuning.regression import REGRESSION, as_number
from bert_keras3.finetuning.single_label import SINGLE_LABEL

PROBLEMS: dict[str, Problem] = {
    problem.name: problem for problem in (SINGLE_LABEL, MULTI_LABEL, REGRESSION)
}

# More distinct whole numbers than this are a quantity, not names of classes.
_MOST_NUMBERED_CLASSES = 50


def find_problem(
    cells: Sequence[str | tuple[str, ...] | None],
    separator: str | None = None,
) -> tuple[Problem, str]:
    """Tells the problem from the label cells of some rows.

    Args:
        cells: label cells as in `InputExample.label`.
        separator: what separates several labels in one cell, if the user
            said so.

    Returns:
        The problem, and why, in words.
    """
    if any(isinstance(cell, tuple) for cell in cells):
        return MULTI_LABEL, "there are several label columns"
    if separator is not None:
        return MULTI_LABEL, f"labels are separated by {separator!r}"
    numbers = [as_number(str(cell)) for cell in cells]
    known = [number for number in numbers if number is not None]
    if known and len(known) == len(numbers):
        if any(number != int(number) for number in known):
            return REGRESSION, "labels are numbers with fractions"
        if len(set(known)) > _MOST_NUMBERED_CLASSES:
            return REGRESSION, "labels are many different numbers"
    return (
        SINGLE_LABEL,
        f"{len(set(cells))} different labels in {len(cells)} rows looked at",
    )


__all__ = ["DEFAULT_SEPARATOR", "PROBLEMS", "find_problem"]
