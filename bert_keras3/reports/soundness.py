"""What is odd about the data: repeated, contradicting, shared texts.

The counts of each file were made when it was encoded; here are the rows.
"""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.finetuning.dataset import Source
from bert_keras3.reports.baselines import chosen, fingerprint
from bert_keras3.reports.record import RunRecord

# Of each kind of finding so many are shown, and of a text so many rows.
_MOST_SHOWN = 15
_MOST_ROWS = 4


@dataclasses.dataclass(frozen=True)
class Finding:
    """A text that stands in several rows.

    Attributes:
        text: its first texts.
        rows: (split, row from 1, label) of some of them.
        times: in how many rows it is.
    """

    text: str
    rows: Sequence[tuple[str, int, str]]
    times: int


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was found in the files of a run; [] where nothing was."""

    contradicting: Sequence[Finding]
    repeated: Sequence[Finding]
    shared: Sequence[Finding]


class _Scanned:
    """The fingerprints of the texts and labels of a file."""

    def __init__(self, split: str, source: Source) -> None:
        self.split, self.source = split, source
        texts, labels = array.array("Q"), array.array("Q")
        for example in source:
            texts.append(fingerprint(example.texts))
            labels.append(fingerprint([_label_of(example)]))
        self.texts = np.array(texts, np.uint64)
        self.labels = np.array(labels, np.uint64)

    def findings(
        self, groups: Sequence[tuple[np.ndarray, int]]
    ) -> list[Finding]:
        """Reads the rows of some groups.

        Args:
            groups: (numbers of rows from 0, in how many rows the text is).
        """
        wanted = sorted({int(row) + 1 for rows, _ in groups for row in rows})
        examples = dict(chosen(self.source, np.array(wanted, np.int64)))
        return [
            Finding(
                " ⏐ ".join(examples[int(rows[0]) + 1].texts),
                [
                    (
                        self.split,
                        int(row) + 1,
                        _label_of(examples[int(row) + 1]),
                    )
                    for row in rows
                ],
                times,
            )
            for rows, times in groups
        ]


def find(record: RunRecord) -> Findings:
    """Reads the files of a run.

    Raises:
        UserError: a file cannot be read.
    """
    train = _Scanned("train", record.trained_on())
    order = np.argsort(train.texts, kind="stable")
    texts, labels = train.texts[order], train.labels[order]
    starts = np.flatnonzero(np.r_[True, texts[1:] != texts[:-1]])
    sizes = np.diff(np.r_[starts, len(texts)])
    repeated = [
        (order[start : start + size][:_MOST_ROWS], int(size))
        for start, size in sorted(
            zip(starts[sizes > 1], sizes[sizes > 1], strict=True),
            key=lambda one: -one[1],
        )[:_MOST_SHOWN]
    ]
    contradicting = []
    if record.settings.task.repeats_labels:
        for start, size in zip(
            starts[sizes > 1], sizes[sizes > 1], strict=True
        ):
            rows = order[start : start + size]
            _, first = np.unique(
                labels[start : start + size], return_index=True
            )
            if len(first) > 1:
                contradicting.append((np.sort(rows[first])[:_MOST_ROWS], size))
    contradicting.sort(key=lambda one: int(one[0][0]))
    return Findings(
        train.findings(contradicting[:_MOST_SHOWN]),
        train.findings(repeated),
        _shared(record, train.texts),
    )


def _shared(record: RunRecord, trained_on: np.ndarray) -> list[Finding]:
    """Returns evaluated texts that were trained on as well."""
    if not record.results:
        return []
    dev = _Scanned("dev", record.evaluated())
    known, counts = np.unique(trained_on, return_counts=True)
    if record.held_out is not None:
        # They stand in the training file, too, and were not trained on.
        mine, of_mine = np.unique(dev.texts, return_counts=True)
        places = np.searchsorted(known, mine)
        counts[places] -= of_mine
        known = known[counts > 0]
    rows = np.flatnonzero(np.isin(dev.texts, known))
    _, first = np.unique(dev.texts[rows], return_index=True)
    return dev.findings(
        [(rows[[one]], 1) for one in np.sort(first)[:_MOST_SHOWN]]
    )


def _label_of(example: Any) -> str:
    label = getattr(example, "label", None)
    if label is None:
        return ""
    return label if isinstance(label, str) else ", ".join(label)


def label_counts(
    record: RunRecord,
) -> list[tuple[str, dict[str, float]]]:
    """Returns (label, {split: how often}); [] where labels are no classes."""
    if record.settings.problem == "regression":
        return []
    splits = {
        split: about["labels"]
        for split, about in record.data_report.items()
        if isinstance(about.get("labels"), dict)
    }
    return [
        (
            label,
            {split: counts.get(label, 0) for split, counts in splits.items()},
        )
        for label in splits.get("train", {})
    ]


def rare_labels(record: RunRecord, below: int) -> list[str]:
    """Returns labels that are rare in training, at most 50.

    Args:
        record: of the run.
        below: how often a label is that is not rare.
    """
    counted = label_counts(record) if record.settings.labels else []
    rare = [label for label, times in counted if times["train"] < below]
    return rare[:50]


def counts_of(
    report: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, float]]:
    """Returns {split: {what: how much}} of the reports on data files."""
    return {
        split: {
            name: about[name]
            for name in (
                *("rows", "empty", "duplicates"),
                *("duplicates_with_another_label", "truncated"),
                *("unknown_rate", "mean_characters", "most_characters"),
            )
            if name in about
        }
        for split, about in report.items()
    }
