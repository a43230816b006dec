"""Classification into exclusive classes: softmax over the labels.

    labels = ("ham", "spam")
    logits  [[0.0, 1.1]]  →  probabilities [[0.25, 0.75]]  →  "spam"

Original: `create_model` of `run_classifier.py`.
"""

from __future__ import annotations

import array
import dataclasses
import pathlib
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.evaluation import Evaluation, Table
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
from bert_keras3.safekeeping.errors import UserError

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.inputs.examples import InputExample
    from modeling.shapes import Tensor


# Of each evaluated example as many are kept.
_MOST_PROBABILITIES = 5

# In fewer rows, labels that occur once say nothing.
_FEWEST_ROWS = 10

UNSURE = "unsure"
"""What is said of a text whose highest probability is too low."""

_AGAINST_COLLAPSE = (
    "What usually helps: a smaller --learning_rate, more epochs, a larger "
    "--warmup_proportion, another --seed (--num_restarts=5 tries five); "
    "--class_weight=balanced if the other labels are rare"
)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The predicted label of a text."""

    label: str
    """One of the labels, or `UNSURE`."""
    label_id: int
    """Index of the label; −1 for `UNSURE`."""
    probabilities: tuple[float, ...]
    """One for each label; their sum is 1."""


@dataclasses.dataclass(frozen=True)
class SingleLabel(LongTexts):
    """Each text has exactly one label."""

    name: ClassVar[str] = "single_label"
    default_metric: ClassVar[str] = "accuracy"
    has_classes: ClassVar[bool] = True
    result_files: ClassVar[tuple[str, ...]] = (PREDICTIONS, TEST_TSV)
    score_name: ClassVar[str] = "probabilities"
    calibrates: ClassVar[bool] = True

    labels: tuple[str, ...] = ()
    temperature: float = 1.0
    """What logits are divided by."""
    unsure_below: float = 0.0
    """Texts whose highest probability is below this are `UNSURE`."""

    def label_reader(self, labels: LabelSource) -> Targets:
        """See `LongTexts`."""
        return _Targets(labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `Task`."""
        always = ("loss", "accuracy", "macro_f1", "mcc")
        return (*always, "f1") if len(self.labels) in (2, 0) else always

    def loss_of(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None
    ) -> Tensor:
        """Mean cross-entropy of `logits` [B, C] and `targets` int [B]."""
        from modeling.losses import classification_loss

        return classification_loss(logits, targets, weights)

    def divergence(
        self,
        logits: Tensor,
        of_teacher: Tensor,
        temperature: float,
        weights: Tensor | None,
    ) -> Tensor:
        """See `LongTexts`."""
        from modeling.losses import soft_classification_loss

        return soft_classification_loss(
            logits, of_teacher, temperature, weights
        )

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns how often each label occurs."""
        counts = np.bincount(
            examples.values(TARGETS), minlength=len(self.labels)
        )
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Accuracy, F1, MCC and loss; labels that never occur count as 0."""
        import scipy.special
        from sklearn import metrics

        from bert_keras3.finetuning.metrics import figures_per_label, macro_f1

        logits = self.logits_of(outputs, examples)
        targets = examples.values(TARGETS)
        log_probs = scipy.special.log_softmax(
            logits.astype(np.float64) / self.temperature, -1
        )
        predicted = logits.argmax(-1)
        per_label = figures_per_label(targets, predicted, self.labels)
        scalars = {
            "loss": float(-log_probs[np.arange(len(targets)), targets].mean()),
            "accuracy": float(metrics.accuracy_score(targets, predicted)),
            "macro_f1": macro_f1(per_label),
            "mcc": _matthews(targets, predicted),
        }
        if "f1" in self.metrics:
            # Of the second label, as in GLUE.
            scalars["f1"] = per_label[self.labels[1]]["f1"]
        confusion = metrics.confusion_matrix(
            targets, predicted, labels=range(len(self.labels))
        )
        details: dict[str, Any] = {"per_label": per_label}
        tables: list[Table] = []
        if self.temperature != 1 or self.unsure_below:
            from bert_keras3.finetuning.calibration import Reliability

            found = Reliability(log_probs, targets)
            details["calibration"] = found.values(self.temperature)
            tables = found.tables(self.unsure_below)
        return Evaluation(
            scalars,
            details,
            confusion,
            tables=tables,
            fault=self._collapsed(targets, predicted),
            remedy=_AGAINST_COLLAPSE,
            rows=lambda: self._rows(np.exp(log_probs), targets),
        )

    def _collapsed(
        self, targets: np.ndarray, predicted: np.ndarray
    ) -> str | None:
        """Returns a line on a model that gives all texts the same label."""
        if len(np.unique(predicted)) > 1 or len(np.unique(targets)) == 1:
            return None
        return (
            f"the training has collapsed to one label: all {len(targets)} "
            f"texts are predicted to be {self.labels[predicted[0]]!r}"
        )

    def _rows(
        self, probabilities: np.ndarray, targets: np.ndarray
    ) -> Iterator[dict[str, Any]]:
        """Yields label, prediction and the highest probabilities."""
        number = min(_MOST_PROBABILITIES, len(self.labels))
        best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :number]
        for row, target, order in zip(
            probabilities, targets.tolist(), best.tolist(), strict=True
        ):
            yield {
                "label": self.labels[target],
                "predicted": self.labels[order[0]],
                "label_probability": round(float(row[target]), 5),
                "probabilities": {
                    self.labels[one]: round(float(row[one]), 5) for one in order
                },
            }

    def calibrated(self, outputs: Outputs, examples: Examples) -> SingleLabel:
        """Fits the temperature: the least loss of these examples."""
        from bert_keras3.finetuning.calibration import fit_temperature

        temperature = fit_temperature(
            self.logits_of(outputs, examples), examples.values(TARGETS)
        )
        return dataclasses.replace(self, temperature=temperature)

    def fitted(self) -> dict[str, str]:
        """See `Task`."""
        return {"temperature": f"{self.temperature:.4f}"}

    def answers(
        self, outputs: Outputs, examples: Examples
    ) -> Iterator[TextAnswer]:
        """The most probable label of each text and all probabilities."""
        probabilities = self.scores_of(self.logits_of(outputs, examples))
        decisions = [one.label for one in self.predictions(probabilities)]
        return text_answers(examples, probabilities, decisions)

    def write_answers(
        self,
        folder: pathlib.Path,
        source: Source,
        answers: Iterable[TextAnswer],
    ) -> pathlib.Path:
        """See `Task`."""
        return write_text_predictions(folder, answers, self.labels)

    def scores_of(self, logits: np.ndarray) -> np.ndarray:
        """Logits [N, C] → probabilities [N, C]."""
        import scipy.special

        if self.temperature != 1:
            logits = logits / np.float32(self.temperature)
        probabilities: np.ndarray = scipy.special.softmax(logits, axis=-1)
        return probabilities

    @property
    def score_shape(self) -> tuple[int, ...]:
        """A probability for each label."""
        return (len(self.labels),)

    def scores(self, outputs: Tensors) -> Tensor:
        """Logits [N, C] → probabilities [N, C]."""
        from keras import ops

        return ops.softmax(outputs["logits"] / self.temperature)

    def decisions(self, scores: Any) -> dict[str, Any]:
        """Probabilities [N, C] → `label` string [N], `label_id` int32 [N]."""
        import tensorflow as tf

        label_id = tf.argmax(scores, -1, tf.int32)
        label = tf.gather(list(self.labels), label_id)
        if self.unsure_below:
            is_sure = tf.reduce_max(scores, -1) >= self.unsure_below
            label = tf.where(is_sure, label, UNSURE)
            label_id = tf.where(is_sure, label_id, -1)
        return {"label": label, "label_id": label_id}

    def predictions(self, scores: np.ndarray) -> list[Prediction]:
        """Probabilities [N, C] → N predictions."""
        label_ids = np.where(
            scores.max(-1) >= np.float32(self.unsure_below),
            scores.argmax(-1),
            -1,
        )
        names = (*self.labels, UNSURE)  # of −1 the last
        return [
            Prediction(names[label_id], label_id, tuple(row))
            for label_id, row in zip(
                label_ids.tolist(), scores.tolist(), strict=True
            )
        ]


class _Targets:
    """Collects label ids; sorts the labels at the end."""

    def __init__(self, source: LabelSource) -> None:
        self._source = source
        self._ids = LabelIds(source)
        self._seen = array.array("i")

    def add(self, example: InputExample) -> None:
        label = example.label
        if not isinstance(label, str):
            raise UserError(
                f"{self._source.place(example)}: the example has "
                f"{'no label' if label is None else 'several labels'}; each "
                "needs exactly one (--problem_type=multi_label is for more)"
            )
        self._seen.append(self._ids.of(example, label))

    def notes(self) -> tuple[str, ...]:
        notes = self._ids.notes()
        seen = np.frombuffer(self._seen, np.int32)
        alone = int((np.bincount(seen) == 1).sum())
        is_new = self._source.labels is None and len(seen) >= _FEWEST_ROWS
        if is_new and alone > len(seen) / 2:
            note = (
                f"note: {alone} of {len(seen)} rows have a label that no other "
                f"row has; is {' '.join(self._source.columns) or 'this'} the "
                "label column? Name it with --label_column"
            )
            return (*notes, note)
        return notes

    def finish(self) -> tuple[tuple[str, ...], np.ndarray]:
        seen = np.frombuffer(self._seen, np.int32)
        if self._source.labels is not None:
            return self._source.labels, seen
        names = self._ids.names
        if len(names) < 2:
            only = next(iter(names), None)
            raise UserError(
                f"{self._source.path}: all {len(seen)} rows have the same "
                f"label, {only!r}; a classifier needs at least two. Is "
                f"{' '.join(self._source.columns) or 'this'} the label "
                "column? Name it with --label_column."
            )
        labels = ordered_labels(names)
        new_ids = {label: number for number, label in enumerate(labels)}
        return labels, np.array([new_ids[one] for one in names], np.int32)[seen]


def _matthews(targets: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn import metrics

    with warnings.catch_warnings():  # for a single class, where it is 0
        warnings.simplefilter("ignore")
        return float(metrics.matthews_corrcoef(targets, predicted))
