"""The table of tasks, and how to tell which one the labels of a file need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bert_keras3.finetuning.multi_label import MultiLabel
from bert_keras3.finetuning.regression import Regression, as_number
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.task import Task

TASKS: Mapping[str, type[Task]] = {
    task.name: task for task in (SingleLabel, MultiLabel, Regression)
}

# More distinct whole numbers than this are a quantity, not names of classes.
_MOST_NUMBERED_CLASSES = 50


def find_task(
    cells: Sequence[str | tuple[str, ...] | None],
    separator: str | None = None,
) -> tuple[Task, str]:
    """Tells the task from the label cells of some rows.

    Args:
        cells: label cells as in `InputExample.label`.
        separator: what separates several labels in one cell, if the user
            said so.

    Returns:
        The task, without labels, and why, in words.
    """
    if any(isinstance(cell, tuple) for cell in cells):
        return MultiLabel(), "there are several label columns"
    if separator is not None:
        return MultiLabel(), f"labels are separated by {separator!r}"
    numbers = [as_number(str(cell)) for cell in cells]
    known = [number for number in numbers if number is not None]
    if known and len(known) == len(numbers):
        if any(number != int(number) for number in known):
            return Regression(), "labels are numbers with fractions"
        if len(set(known)) > _MOST_NUMBERED_CLASSES:
            return Regression(), "labels are many different numbers"
    return (
        SingleLabel(),
        f"{len(set(cells))} different labels in {len(cells)} rows looked at",
    )
