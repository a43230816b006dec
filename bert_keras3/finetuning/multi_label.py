"""Any number of labels per example: a sigmoid for each label.

labels = ("late", "rude", "dirty")
logits  [[2.0, -1.0, 0.5]]  →  probabilities [[0.88, 0.27, 0.62]]
  →  "late|dirty"
"""

from __future__ import annotations

import array
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.evaluation import Evaluation
from bert_keras3.finetuning.long_texts import LongTexts
from bert_keras3.finetuning.task import TARGETS, LabelSource, Tensors
from bert_keras3.finetuning.texts import (
    PREDICTIONS,
    TEST_TSV,
    LabelIds,
    Targets,
    TextAnswer,
    ordered_labels,
    text_answers,
    write_text_predictions,
)
from bert_keras3.inputs.examples import as_list, label_of
from bert_keras3.safekeeping.errors import UserError

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.inputs.examples import InputExample
    from modeling.shapes import Tensor

# Of each evaluated example as many are kept.
_MOST_PROBABILITIES = 100

DEFAULT_SEPARATOR = "|"
THRESHOLD = 0.5
"""The minimum probability of a predicted label, where none is fitted."""

_YES_OR_NO = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "x"), True),
    **dict.fromkeys(("", "0", "0.0", "false", "no", "n"), False),
}


@dataclasses.dataclass(frozen=True)
class LabelSetPrediction:
    """The predicted labels of a text, none or several."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    """One for each label of the model, each between 0 and 1."""


@dataclasses.dataclass(frozen=True)
class MultiLabel(LongTexts):
    """Each text has any number of labels."""

    name: ClassVar[str] = "multi_label"
    default_metric: ClassVar[str] = "micro_f1"
    result_files: ClassVar[tuple[str, ...]] = (PREDICTIONS, TEST_TSV)
    score_name: ClassVar[str] = "probabilities"
    calibrates: ClassVar[bool] = True

    labels: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    """The minimum probability of each label; none: `THRESHOLD` of all."""

    def label_reader(self, labels: LabelSource) -> Targets:
        """See `LongTexts`."""
        return _Targets(labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `Task`."""
        of_labels = ("loss", "accuracy", "micro_f1", "macro_f1")
        return (*of_labels, "ranking_average_precision")

    def loss_of(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None
    ) -> Tensor:
        """Mean binary cross-entropy of `logits` and `targets`, [B, C]."""
        from modeling.losses import multi_label_loss

        return multi_label_loss(logits, targets, weights)

    def divergence(
        self,
        logits: Tensor,
        of_teacher: Tensor,
        temperature: float,
        weights: Tensor | None,
    ) -> Tensor:
        """See `LongTexts`."""
        from modeling.losses import soft_multi_label_loss

        return soft_multi_label_loss(logits, of_teacher, temperature, weights)

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns how often each label occurs."""
        counts = examples.values(TARGETS).sum(0, dtype=int)
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Accuracy (all labels right), F1, loss, and how labels are ranked.

        The ranking average precision is, for each label of a text, the share
        of right ones among the labels at least as probable; it needs no
        threshold.
        """
        import scipy.special
        from sklearn import metrics

        from bert_keras3.finetuning.metrics import figures_per_label, macro_f1

        logits = self.logits_of(outputs, examples).astype(np.float64)
        truth = examples.values(TARGETS).astype(np.int64)
        # −log σ(z) for 1, −log σ(−z) for 0
        losses = np.logaddexp(0.0, np.where(truth > 0, -logits, logits))
        is_label = self._exceed(scipy.special.expit(logits))
        predicted = is_label.astype(np.int64)
        per_label = figures_per_label(truth, predicted, self.labels)
        scalars = {
            "loss": float(losses.mean()),
            "accuracy": float((truth == predicted).all(-1).mean()),
            "micro_f1": float(
                metrics.f1_score(
                    truth, predicted, average="micro", zero_division=0.0
                )
            ),
            "macro_f1": macro_f1(per_label),
            "ranking_average_precision": float(
                metrics.label_ranking_average_precision_score(truth, logits)
            ),
        }
        return Evaluation(
            scalars,
            {"per_label": per_label},
            rows=lambda: self._rows(scipy.special.expit(logits), truth),
        )

    def _rows(
        self, probabilities: np.ndarray, truth: np.ndarray
    ) -> Iterator[dict[str, Any]]:
        """Yields labels, predicted ones and the highest probabilities."""
        flags = self._exceed(probabilities)
        number = min(_MOST_PROBABILITIES, len(self.labels))
        best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :number]
        for row, true, predicted, order in zip(
            probabilities, truth, flags, best.tolist(), strict=True
        ):
            yield {
                "labels": list(itertools.compress(self.labels, true)),
                "predicted": list(itertools.compress(self.labels, predicted)),
                "probabilities": {
                    self.labels[one]: round(float(row[one]), 4) for one in order
                },
            }

    def answers(
        self, outputs: Outputs, examples: Examples
    ) -> Iterator[TextAnswer]:
        """The labels of each text and all probabilities."""
        probabilities = self.scores_of(self.logits_of(outputs, examples))
        decisions = [
            DEFAULT_SEPARATOR.join(itertools.compress(self.labels, flags))
            for flags in self._exceed(probabilities)
        ]
        return text_answers(examples, probabilities, decisions)

    def write_answers(
        self,
        folder: pathlib.Path,
        source: Source,
        answers: Iterable[TextAnswer],
    ) -> pathlib.Path:
        """See `Task`."""
        return write_text_predictions(folder, answers, self.labels)

    def calibrated(self, outputs: Outputs, examples: Examples) -> MultiLabel:
        """Fits the threshold of each label: the best F1 of these examples."""
        from bert_keras3.finetuning.calibration import fit_thresholds

        thresholds = fit_thresholds(
            self.scores_of(self.logits_of(outputs, examples)),
            examples.values(TARGETS),
        )
        return dataclasses.replace(self, thresholds=thresholds)

    def fitted(self) -> dict[str, str]:
        """See `Task`."""
        pairs = zip(self.labels, self.thresholds, strict=True)
        listed = ", ".join(f"{label} {value:.3f}" for label, value in pairs)
        return {"thresholds": listed}

    def _exceed(self, probabilities: Any) -> Any:
        """Whether each label is predicted, bool [N, C]."""
        if not self.thresholds:
            return probabilities >= THRESHOLD
        return probabilities >= np.array(self.thresholds, np.float32)

    def scores_of(self, logits: np.ndarray) -> np.ndarray:
        """Logits [N, C] → probabilities [N, C]."""
        import scipy.special

        probabilities: np.ndarray = scipy.special.expit(logits)
        return probabilities

    @property
    def score_shape(self) -> tuple[int, ...]:
        """A probability for each label."""
        return (len(self.labels),)

    def scores(self, outputs: Tensors) -> Tensor:
        """Logits [N, C] → probabilities [N, C]."""
        from keras import ops

        return ops.sigmoid(outputs["logits"])

    def decisions(self, scores: Any) -> dict[str, Any]:
        """Probabilities [N, C] → `label` string [N], `is_label` bool [N, C].

        Several labels of a text are joined by |.
        """
        import tensorflow as tf

        is_label = self._exceed(scores)  # [N, C]
        # The first label of a text has no separator before it.
        before = tf.cumsum(tf.cast(is_label, tf.int32), axis=1, exclusive=True)
        names = tf.where(
            before > 0,
            [DEFAULT_SEPARATOR + label for label in self.labels],
            self.labels,
        )
        label = tf.strings.reduce_join(tf.where(is_label, names, ""), axis=1)
        return {"label": label, "is_label": is_label}

    def predictions(self, scores: np.ndarray) -> list[LabelSetPrediction]:
        """Probabilities [N, C] → N predictions."""
        return [
            LabelSetPrediction(
                tuple(itertools.compress(self.labels, flags)), tuple(row)
            )
            for flags, row in zip(
                self._exceed(scores).tolist(), scores.tolist(), strict=True
            )
        ]


class _Targets:
    """Reads one cell with several labels, or one cell of 0 or 1 per label."""

    def __init__(self, source: LabelSource) -> None:
        self._source = source
        self._separator = source.separator or DEFAULT_SEPARATOR
        # Label ids in order of occurrence, and the row of each of them: a few
        # bytes per row.
        self._ids = LabelIds(source)
        self._labels = array.array("i")
        self._rows = array.array("q")
        self._num_rows = 0

    def add(self, example: InputExample) -> None:
        if isinstance(example.label, tuple):
            names = self._from_columns(example)
        else:
            cell = example.label or ""
            found = None if self._source.separator else as_list(cell)
            if found is None:
                found = cell.split(self._separator)
            names = frozenset(filter(None, map(label_of, found)))
        for name in names:
            self._labels.append(self._ids.of(example, name))
            self._rows.append(self._num_rows)
        self._num_rows += 1

    def notes(self) -> tuple[str, ...]:
        return self._ids.notes()

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
                    f"{self._source.place(example)}: column "
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
                else ordered_labels(self._ids.names)
            )
        if not labels:
            raise UserError(
                f"{self._source.path}: no row has a label, so there is "
                "nothing to learn"
            )
        numbers = {label: number for number, label in enumerate(labels)}
        places = np.array([numbers[label] for label in self._ids.names], int)
        targets = np.zeros((self._num_rows, len(labels)), np.uint8)
        targets[
            np.frombuffer(self._rows, np.int64),
            places[np.frombuffer(self._labels, np.int32)],
        ] = 1
        return labels, targets
