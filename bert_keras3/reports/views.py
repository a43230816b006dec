"""The interface of what a report shows of one kind of task, and their table.

A view reads the lines of `eval_predictions.jsonl`, which the task of the same
name has written, and says how each example counts and how it is shown.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from bert_keras3.reports.resampling import Metric

if TYPE_CHECKING:
    from bert_keras3.reports.record import RunRecord
    from bert_keras3.reports.wording import Wording

RIGHT, MISSED, WRONG = "right", "missed", "wrong"
"""Of a stretch of text: found as expected; expected and not found; found and
not expected."""


class Mark(NamedTuple):
    """A stretch of a text.

    Attributes:
        start: its first character, from 0.
        end: the one behind its last.
        kind: `RIGHT`, `MISSED` or `WRONG`.
        label: such as the type of an entity; may be empty.
    """

    start: int
    end: int
    kind: str
    label: str = ""


class ShownText(NamedTuple):
    """A text of an example, with stretches that are marked."""

    text: str
    marks: Sequence[Mark] = ()


@dataclasses.dataclass(frozen=True)
class Shown:
    """How an example is shown in a table.

    Attributes:
        guid: its id.
        texts: its texts; none if they cannot be read.
        expected: its label, in words.
        predicted: the prediction, in words.
        pairs: (expected, predicted) labels in it, as a confusion matrix counts
            them; None for that of the example itself.
    """

    guid: str
    texts: Sequence[ShownText]
    expected: str
    predicted: str
    pairs: Sequence[tuple[str, str]] | None = None


@dataclasses.dataclass(frozen=True)
class Chart:
    """A picture between two paragraphs.

    Attributes:
        title: above it.
        svg: the picture.
        note: below it; may be empty.
        names: of its lines, in the order of their colours.
    """

    title: str
    svg: str
    note: str = ""
    names: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What E evaluated examples come to.

    Attributes:
        groups: int [E]; examples of a group count alike in every metric.
        metrics: functions of the counts of the groups.
        wrong: float [E]: 0 is right, 1 all wrong.
        confidence: float [E], of the predictions; NaN where there is none.
        doubt: float [E]: the greater, the less sure; None if nothing says so.
        cells: int [E]: examples with the same label and prediction have the
            same number; None if that says nothing.
        rows: int [E], the row of each in the evaluated file, from 1.
    """

    groups: np.ndarray
    metrics: Mapping[str, Metric]
    wrong: np.ndarray
    confidence: np.ndarray
    doubt: np.ndarray | None
    cells: np.ndarray | None
    rows: np.ndarray

    def __len__(self) -> int:
        """Returns the number of examples, E."""
        return len(self.groups)


class View(Protocol):
    """What a report shows of one kind of task."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        """Takes the labels of the task."""

    def outcomes(self, rows: Iterable[Mapping[str, Any]]) -> Outcomes:
        """Returns what the lines of a file of predictions come to."""

    def baselines(
        self, record: RunRecord, outcomes: Outcomes
    ) -> Mapping[str, Mapping[str, float]]:
        """Returns {baseline, a key of the wording: {metric: value}}.

        Raises:
            UserError: the data files cannot be read.
        """

    def charts(self, outcomes: Outcomes, wording: Wording) -> Sequence[Chart]:
        """Returns further pictures of the evaluation."""

    def suspects(self, outcomes: Outcomes, least: float) -> np.ndarray:
        """Returns examples whose label may be wrong, the likeliest first.

        Args:
            outcomes: of the examples.
            least: confidence of the model.

        Returns:
            int64 [K], numbers of examples.
        """

    def shown(self, row: Mapping[str, Any], example: Any) -> Shown:
        """Returns how an example is shown.

        Args:
            row: the line of it in the file of predictions.
            example: as it stands in the data file; None if that cannot be
                read.
        """


class ViewDefaults:
    """What a `View` has if it says nothing else."""

    def suspects(self, outcomes: Outcomes, least: float) -> np.ndarray:
        """Returns none: there is no second opinion."""
        return np.zeros(0, np.int64)


# {task: its view, in the file of the same name}
_VIEWS: Mapping[str, str] = {
    "single_label": "SingleLabelView",
    "multi_label": "MultiLabelView",
    "regression": "RegressionView",
    "choice": "ChoiceView",
    "span": "SpanView",
    "tagging": "TaggingView",
}


def view_of(task: str, labels: tuple[str, ...]) -> View | None:
    """Returns the view of a task; None if there is none."""
    name = _VIEWS.get(task)
    if name is None:
        return None
    module = importlib.import_module(f"bert_keras3.reports.{task}")
    view: View = getattr(module, name)(labels)
    return view


def overlaid(
    expected: Sequence[tuple[int, int, str]],
    found: Sequence[tuple[int, int, str]],
) -> list[Mark]:
    """Returns marks for what was expected and what was found.

    Where both overlap, a stretch is divided: at what is in both, expected
    only, and found only.

    Args:
        expected: (first character, the one behind the last, label).
        found: the same.
    """
    ends = sorted({end for one in (*expected, *found) for end in one[:2]})
    marks = []
    for start, end in itertools.pairwise(ends):
        wanted, given = (
            [label for first, last, label in both if first <= start < last]
            for both in (expected, found)
        )
        if wanted and given and wanted[0] == given[0]:
            marks.append(Mark(start, end, RIGHT, given[0]))
        elif wanted and given:
            marks.append(Mark(start, end, WRONG, f"{given[0]} ≠ {wanted[0]}"))
        elif wanted or given:
            label = (wanted or given)[0]
            marks.append(Mark(start, end, MISSED if wanted else WRONG, label))
    return marks


def texts_of(example: Any) -> list[ShownText]:
    """Returns the texts of an example that may be missing."""
    return [] if example is None else [ShownText(one) for one in example.texts]


def guid_of(row: Mapping[str, Any], example: Any) -> str:
    """Returns the id of an example, else the number of its row."""
    return str(row["row"] if example is None else example.guid)
