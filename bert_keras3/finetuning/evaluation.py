"""What an evaluation says of a model: metrics, tables, faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bert_keras3.training.session import Screen


@dataclasses.dataclass(frozen=True)
class Table:
    """A table for the screen."""

    title: str
    headers: tuple[str, ...]
    rows: Sequence[Sequence[object]]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The metrics of predictions."""

    scalars: Mapping[str, float]
    """{metric: value}, with `loss` at least."""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Results that are not one number, such as `per_label`."""
    confusion: np.ndarray | None = None
    """int [C, C]: rows are true labels, columns predicted ones."""
    confusion_labels: tuple[str, ...] = ()
    """The names of its C labels, if they are not the task's."""
    tables: Sequence[Table] = ()
    """What else is printed."""
    fault: str | None = None
    """What is wrong with the model as a whole, in a line."""
    remedy: str = ""
    """What usually helps against it."""
    rows: Callable[[], Iterable[Mapping[str, Any]]] | None = None
    """Returns what was expected of each example and what was predicted, in
    their order, as JSON values; made only where they are kept."""

    def show(self, screen: Screen, num_examples: int) -> None:
        """Prints the metrics, and those of each label as a table."""
        scalars = (
            f"{name} {value:.4f}" for name, value in self.scalars.items()
        )
        screen.say(
            f"evaluation of {num_examples} examples: " + ", ".join(scalars)
        )
        per_label = self.details.get("per_label", {})
        if per_label:
            names = ("precision", "recall", "f1")
            screen.table(
                ("label", *names, "examples"),
                [
                    (
                        label,
                        *(f"{figures[name]:.3f}" for name in names),
                        int(figures["support"]),
                    )
                    for label, figures in per_label.items()
                ],
            )
        for table in self.tables:
            screen.table(table.headers, table.rows, table.title)
        if self.fault is not None:
            screen.say(f"note: {self.fault}. {self.remedy}")
