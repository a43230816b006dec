"""Which labels are contradicted by models that have not learnt them.

A row with one label answers one question, which of C classes it is. A row
with several labels answers C questions, whether it has each label. cleanlab
(Northcutt et al. 2021, "Confident Learning") says of each question which
answers are doubtful.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bert_keras3.finetuning.multi_label import DEFAULT_SEPARATOR, MultiLabel
from bert_keras3.finetuning.single_label import SingleLabel
from bert_keras3.finetuning.task import Task
from bert_keras3.safekeeping.errors import UserError

TIMES_AS_PROBABLE = 10
"""A row is left out if another answer is so many times as probable."""

# Models that are not this much better than the commonest label know nothing.
_LEAST_LEARNT = 0.05
# Of one of several labels, the least area under the ROC curve (chance: 0.5).
_LEAST_AREA = 0.7
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Question:
    """What some rows answer, and how probable each answer is.

    Attributes:
        rows: int64 [N], ascending.
        given: int64 [N], their answers, from 0.
        probabilities: float64 [N, K], of the K answers.
    """

    rows: np.ndarray
    given: np.ndarray
    probabilities: np.ndarray


class GivenLabels(Protocol):
    """The labels of E rows as they stand in a file.

    Attributes:
        looked_at: int64, rows whose labels are questioned.
        strata: int64 [E]; each fold has the same share of each value.
        notes: on what is not looked at.
    """

    looked_at: np.ndarray
    strata: np.ndarray
    notes: list[str]

    def shown(self, row: int) -> str:
        """Returns the label, or the labels, of a row."""

    def questions(self, probabilities: np.ndarray) -> list[Question]:
        """Returns what is asked, given probabilities [E, C] of the labels."""

    def suggested(
        self, found: Sequence[np.ndarray], probabilities: np.ndarray
    ) -> list[str]:
        """Returns the labels that the models would give to each row.

        Args:
            found: bool [N] for each question: which answers are doubtful.
            probabilities: [E, C].
        """

    def learnt(self, probabilities: np.ndarray) -> tuple[str, str | None]:
        """Returns how good the models are, and a note if they know nothing."""


@dataclasses.dataclass(frozen=True)
class Doubts:
    """What is doubtful.

    Attributes:
        scores: float64 [E], the probability of the label that is given; of
            several, that of the least probable answer. 1 where none was asked.
        unlikely: int64, rows with a doubtful label.
        left_out: int64, those of them for which another answer is
            `TIMES_AS_PROBABLE`, of the rows with the same answer half at most.
        suggested: the labels of each row that are more probable.
    """

    scores: np.ndarray
    unlikely: np.ndarray
    left_out: np.ndarray
    suggested: list[str]


def given_labels(task: Task, targets: np.ndarray, folds: int) -> GivenLabels:
    """Returns the labels of a task's rows.

    Args:
        task: with its C labels.
        targets: [E] label ids of one label, [E, C] of 0 and 1 of several.
        folds: a label is looked at if it has as many rows.

    Raises:
        UserError: it is no task with labels, or too few have so many rows.
    """
    if isinstance(task, SingleLabel):
        return OneLabel(task.labels, targets.astype(np.int64), folds)
    if isinstance(task, MultiLabel):
        return LabelSets(task.labels, targets.astype(np.int64), folds)
    raise UserError(
        f"--find_label_errors is for problems with labels; this one is "
        f"{task.name}. Leave it out"
    )


def find_doubts(given: GivenLabels, probabilities: np.ndarray) -> Doubts:
    """Returns which labels are doubtful.

    Args:
        given: the labels of E rows.
        probabilities: float64 [E, C], of models that have not learnt them.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    number = len(probabilities)
    scores, unlikely = np.ones(number), np.zeros(number, bool)
    left_out, found = np.zeros(number, bool), []
    for one in given.questions(probabilities):
        own = get_label_quality_scores(one.given, one.probabilities)
        # As many as there are probably errors, those of the lowest scores.
        is_found = find_label_issues(
            one.given,
            one.probabilities,
            filter_by="low_self_confidence",
            n_jobs=1,
        )
        # The score is the probability of the answer that is given.
        best = one.probabilities.max(-1)
        is_plain = is_found & (best >= TIMES_AS_PROBABLE * own)
        plain = half_at_most(np.flatnonzero(is_plain), one.given, own)
        scores[one.rows] = np.minimum(scores[one.rows], own)
        unlikely[one.rows] |= is_found
        left_out[one.rows[plain]] = True
        found.append(is_found)
    return Doubts(
        scores,
        np.flatnonzero(unlikely),
        np.flatnonzero(left_out),
        given.suggested(found, probabilities),
    )


def half_at_most(
    doubtful: np.ndarray, given: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Returns the rows to leave out: of each answer half of its rows at most.

    Where a model has not learnt a label, all its rows are unlikely, and none
    would be left.

    Args:
        doubtful: int, numbers of rows.
        given: int [N], the answers of all rows.
        scores: float [N]; the lowest are left out.
    """
    order = doubtful[np.argsort(scores[doubtful], kind="stable")]
    left_out = []
    for answer in np.unique(given[doubtful]):
        mine = order[given[order] == answer]
        left_out.append(mine[: (given == answer).sum() // 2])
    return np.sort(np.concatenate([np.zeros(0, int), *left_out]))


class OneLabel:
    """Rows with one label each."""

    def __init__(
        self, labels: Sequence[str], targets: np.ndarray, folds: int
    ) -> None:
        """Takes the C labels and the label id of each row."""
        counts = np.bincount(targets, minlength=len(labels))
        is_common = counts >= folds
        # Rows of rarer labels are learnt from and not looked at.
        self._classes = np.flatnonzero(is_common)
        self._labels, self._targets = labels, targets
        self.looked_at = np.flatnonzero(is_common[targets])
        self.strata = targets
        if len(self._classes) < 2:
            raise UserError(
                f"--folds={folds}: fewer than two labels have so many "
                f"examples, which each fold needs one of; the commonest has "
                f"{counts.max()}. Give fewer folds"
            )
        self.notes = _rare_notes(labels, counts, folds)

    def shown(self, row: int) -> str:
        """See `GivenLabels`."""
        return self._labels[self._targets[row]]

    def questions(self, probabilities: np.ndarray) -> list[Question]:
        """See `GivenLabels`: one, among the labels that are looked at."""
        rows, classes = self.looked_at, self._classes
        some = probabilities[np.ix_(rows, classes)]
        # Without the other labels, their sum is 1 again.
        some = some / some.sum(-1, keepdims=True)
        given = np.searchsorted(classes, self._targets[rows])
        return [Question(rows, given, some)]

    def suggested(
        self, found: Sequence[np.ndarray], probabilities: np.ndarray
    ) -> list[str]:
        """See `GivenLabels`: the most probable one."""
        return [self._labels[one] for one in self._best(probabilities)]

    def learnt(self, probabilities: np.ndarray) -> tuple[str, str | None]:
        """See `GivenLabels`: the accuracy, beside the commonest label."""
        rows = self.looked_at
        given = self._targets[rows]
        accuracy = (self._best(probabilities)[rows] == given).mean()
        commonest = np.bincount(given).max() / len(rows)
        note = None
        if accuracy < commonest + _LEAST_LEARNT:
            note = (
                "that is hardly better than always the commonest label "
                f"({commonest:.4f})"
            )
        return f"accuracy of labels that were not learnt: {accuracy:.4f}", note

    def _best(self, probabilities: np.ndarray) -> np.ndarray:
        # Labels that are not looked at are suggested to nobody.
        classes = self._classes
        best: np.ndarray = classes[probabilities[:, classes].argmax(-1)]
        return best


class LabelSets:
    """Rows with any number of labels."""

    def __init__(
        self, labels: Sequence[str], targets: np.ndarray, folds: int
    ) -> None:
        """Takes the C labels, and 0 or 1 for each row and label, [E, C]."""
        counts = targets.sum(0)
        rarer = np.minimum(counts, len(targets) - counts)
        self._places = np.flatnonzero(rarer >= folds)
        self._labels, self._targets = labels, targets
        self.looked_at = np.arange(len(targets))
        if not len(self._places):
            raise UserError(
                f"--folds={folds}: no label has so many examples with it and "
                "without it, one of which each fold needs. Give fewer folds"
            )
        # By the rarest label of each row, which is the hardest to spread.
        strata = np.full(len(targets), len(labels))
        by_count = sorted(self._places, key=lambda place: -counts[place])
        for place in by_count:
            strata[targets[:, place] == 1] = place
        sizes = np.bincount(strata)
        self.strata = np.where(sizes[strata] < folds, sizes.argmax(), strata)
        self.notes = _rare_notes(labels, counts, folds)

    def shown(self, row: int) -> str:
        """See `GivenLabels`."""
        return self._joined(self._targets[row])

    def questions(self, probabilities: np.ndarray) -> list[Question]:
        """See `GivenLabels`: of each label that is learnt, who has it."""
        found = []
        for place in self._learnt(probabilities):
            has_it = probabilities[:, place]
            answers = np.stack([1 - has_it, has_it], -1)
            given = self._targets[:, place]
            found.append(Question(self.looked_at, given, answers))
        return found

    def suggested(
        self, found: Sequence[np.ndarray], probabilities: np.ndarray
    ) -> list[str]:
        """See `GivenLabels`: the given ones but for the doubtful answers."""
        answers = self._targets.copy()
        places = self._learnt(probabilities)
        for place, is_found in zip(places, found, strict=True):
            answers[is_found, place] ^= 1
        return [self._joined(row) for row in answers]

    def learnt(self, probabilities: np.ndarray) -> tuple[str, str | None]:
        """See `GivenLabels`: the area under the ROC curve of each label."""
        areas = self._areas(probabilities)
        unlearnt = ", ".join(
            f"{self._labels[place]} ({area:.2f})"
            for place, area in areas.items()
            if area < _LEAST_AREA
        )
        note = None
        if unlearnt:
            note = f"too little is learnt to look at {unlearnt}"
        area = float(np.mean([*areas.values()]))
        said = "mean area under the ROC curve of labels that were not learnt"
        return f"{said}: {area:.4f}", note

    def _learnt(self, probabilities: np.ndarray) -> list[int]:
        areas = self._areas(probabilities)
        return [place for place, area in areas.items() if area >= _LEAST_AREA]

    def _areas(self, probabilities: np.ndarray) -> dict[int, float]:
        """Returns {label: area under its ROC curve} of those looked at."""
        from sklearn.metrics import roc_auc_score

        return {
            int(place): float(
                roc_auc_score(self._targets[:, place], probabilities[:, place])
            )
            for place in self._places
        }

    def _joined(self, row: np.ndarray) -> str:
        return DEFAULT_SEPARATOR.join(itertools.compress(self._labels, row))


def _rare_notes(
    labels: Sequence[str], counts: np.ndarray, folds: int
) -> list[str]:
    rare = [
        f"{label} ({number})"
        for label, number in zip(labels, counts, strict=True)
        if 0 < number < folds
    ]
    if not rare:
        return []
    listed = ", ".join(rare[:_SHOWN]) + " …" * (len(rare) > _SHOWN)
    return [
        (
            f"note: {len(rare)} labels have fewer examples than there are "
            f"folds; these are learnt from, and not looked at: {listed}"
        )
    ]
