"""Each example has any number of labels: one sigmoid for each of them."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
import scipy.special
from sklearn import metrics

from bert_keras3.finetuning.label_sets import DEFAULT_SEPARATOR, THRESHOLD
from bert_keras3.finetuning.metrics import figures_per_label, macro_f1
from bert_keras3.finetuning.problem import Evaluation, LabelSource, Problem
from bert_keras3.finetuning.single_label import ordered_labels, unknown_label
from bert_keras3.inputs.examples import InputExample
from bert_keras3.safekeeping.errors import UserError
from modeling.losses import multi_label_loss

_YES_OR_NO = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "x"), True),
    **dict.fromkeys(("", "0", "0.0", "false", "no", "n"), False),
}


class _Targets:
    """Reads one cell with several names, or a yes-or-no cell for each."""

    def __init__(self, source: LabelSource) -> None:
        self._source = source
        self._separator = source.separator or DEFAULT_SEPARATOR
        # Labels in the order in which they come, and for each row with any
        # a run of their numbers: a few bytes a row.
        self._numbers: dict[str, int] = {
            label: number for number, label in enumerate(source.labels or ())
        }
        self._labels = array.array("i")
        self._rows = array.array("q")
        self._num_rows = 0

    def add(self, example: InputExample) -> None:
        if isinstance(example.label, tuple):
            names = self._from_columns(example)
        else:
            cell = example.label or ""
            names = frozenset(
                name.strip()
                for name in cell.split(self._separator)
                if name.strip()
            )
        for name in names:
            number = self._numbers.get(name)
            if number is None:
                if self._source.labels is not None:
                    raise unknown_label(self._source, example, name)
                number = self._numbers[name] = len(self._numbers)
            self._labels.append(number)
            self._rows.append(self._num_rows)
        self._num_rows += 1

    def _from_columns(self, example: InputExample) -> frozenset[str]:
        names = []
        for name, cell in zip(
            self._source.columns, example.label or (), strict=True
        ):
            try:
                if _YES_OR_NO[cell.strip().lower()]:
                    names.append(name)
            except KeyError:
                raise UserError(
                    f"{self._source.path}, line {example.line}: column "
                    f"{name!r} says {cell!r}; a label column must say 1 "
                    "or 0 (or yes or no, true or false)"
                ) from None
        return frozenset(names)

    def finish(self) -> tuple[tuple[str, ...], np.ndarray]:
        labels = self._source.labels
        if labels is None:
            several = len(self._source.columns) > 1
            labels = (
                self._source.columns
                if several
                else ordered_labels(list(self._numbers))
            )
        if not labels:
            raise UserError(
                f"{self._source.path}: no row has a label, so there is "
                "nothing to learn"
            )
        numbers = {label: number for number, label in enumerate(labels)}
        places = np.array([numbers[label] for label in self._numbers], int)
        targets = np.zeros((self._num_rows, len(labels)), np.uint8)
        targets[
            np.frombuffer(self._rows, np.int64),
            places[np.frombuffer(self._labels, np.int32)],
        ] = 1
        return labels, targets


def _decide(probabilities: np.ndarray, labels: Sequence[str]) -> list[str]:
    return [
        DEFAULT_SEPARATOR.join(
            label
            for label, probability in zip(labels, row, strict=True)
            if probability >= THRESHOLD
        )
        for row in probabilities
    ]


def _evaluate(
    logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]
) -> Evaluation:
    logits = logits.astype(np.float64)
    # −log σ(z) for a yes, −log σ(−z) for a no
    losses = np.logaddexp(0.0, np.where(targets > 0, -logits, logits))
    truth = targets.astype(np.int64)
    predicted = (scipy.special.expit(logits) >= THRESHOLD).astype(np.int64)
    per_label = figures_per_label(truth, predicted, labels)
    scalars = {
        "loss": float(losses.mean()),
        "accuracy": float((truth == predicted).all(-1).mean()),
        "micro_f1": float(
            metrics.f1_score(
                truth, predicted, average="micro", zero_division=0.0
            )
        ),
        "macro_f1": macro_f1(per_label),
    }
    return Evaluation(scalars, {"per_label": per_label})


MULTI_LABEL = Problem(
    name="multi_label",
    make_targets=_Targets,
    loss=multi_label_loss,
    probabilities=scipy.special.expit,
    decide=_decide,
    evaluate=_evaluate,
    metrics=lambda num_labels: ("loss", "accuracy", "micro_f1", "macro_f1"),
    count=lambda targets, labels: dict(
        zip(labels, targets.sum(0, dtype=int).tolist(), strict=True)
    ),
    default_metric="micro_f1",
)
