"""Regression: one output per example, trained on the squared error.

logits  [[3.7]]  →  value 3.7
"""

from __future__ import annotations

import array
import dataclasses
import math
import pathlib
import warnings
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
    Targets,
    TextAnswer,
    text_answers,
    write_text_predictions,
)
from bert_keras3.inputs.examples import as_number
from bert_keras3.safekeeping.errors import UserError

if TYPE_CHECKING:
    from bert_keras3.finetuning.dataset import Source
    from bert_keras3.inputs.examples import InputExample
    from modeling.shapes import Tensor


@dataclasses.dataclass(frozen=True)
class ValuePrediction:
    """The predicted number of a text."""

    value: float


@dataclasses.dataclass(frozen=True)
class Regression(LongTexts):
    """Each text has a number; the only label is the name of its column."""

    name: ClassVar[str] = "regression"
    default_metric: ClassVar[str] = "pearson"
    repeats_labels: ClassVar[bool] = False
    result_files: ClassVar[tuple[str, ...]] = (PREDICTIONS, TEST_TSV)
    score_name: ClassVar[str] = "value"
    score_shape: ClassVar[tuple[int, ...]] = ()

    labels: tuple[str, ...] = ()

    def label_reader(self, labels: LabelSource) -> Targets:
        """See `LongTexts`."""
        return _Targets(labels)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See `Task`."""
        return ("loss", "mean_absolute_error", "pearson", "spearman")

    def loss_of(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None
    ) -> Tensor:
        """Mean squared error of `logits` [B, 1] and `targets` [B]."""
        from modeling.losses import regression_loss

        return regression_loss(logits, targets, weights)

    def divergence(
        self,
        logits: Tensor,
        of_teacher: Tensor,
        temperature: float,
        weights: Tensor | None,
    ) -> Tensor:
        """See `LongTexts`: the squared error, at any temperature."""
        from modeling.losses import regression_loss

        return regression_loss(logits, of_teacher[:, 0], weights)

    def count(self, examples: Examples) -> dict[str, float]:
        """Returns the range of the numbers and their mean."""
        targets = examples.values(TARGETS)
        return {
            "least": float(targets.min()),
            "mean": float(targets.mean(dtype=np.float64)),
            "most": float(targets.max()),
        }

    def evaluate(self, outputs: Outputs, examples: Examples) -> Evaluation:
        """Both correlations, the mean absolute and the squared error."""
        import scipy.stats

        logits = self.logits_of(outputs, examples)
        predicted = logits[:, 0].astype(np.float64)
        targets = examples.values(TARGETS)
        errors = predicted - targets
        with warnings.catch_warnings():  # for constants, r is undefined
            warnings.simplefilter("ignore")
            pearson = float(scipy.stats.pearsonr(predicted, targets)[0])
            spearman = float(scipy.stats.spearmanr(predicted, targets)[0])
        return Evaluation(
            {
                "loss": float(np.square(errors).mean()),
                "mean_absolute_error": float(np.abs(errors).mean()),
                "pearson": pearson if math.isfinite(pearson) else 0.0,
                "spearman": spearman if math.isfinite(spearman) else 0.0,
            },
            rows=lambda: (
                {"label": round(target, 6), "predicted": round(value, 6)}
                for target, value in zip(
                    targets.tolist(), predicted.tolist(), strict=True
                )
            ),
        )

    def answers(
        self, outputs: Outputs, examples: Examples
    ) -> Iterator[TextAnswer]:
        """The number of each text."""
        values = self.logits_of(outputs, examples)
        decisions = [f"{value:.6g}" for value in values[:, 0]]
        return text_answers(examples, values, decisions)

    def write_answers(
        self,
        folder: pathlib.Path,
        source: Source,
        answers: Iterable[TextAnswer],
    ) -> pathlib.Path:
        """See `Task`."""
        return write_text_predictions(folder, answers, ())

    def scores_of(self, logits: np.ndarray) -> np.ndarray:
        """Logits [N, 1] → values [N]."""
        return logits[:, 0]

    def scores(self, outputs: Tensors) -> Tensor:
        """Logits [N, 1] → values [N]."""
        return outputs["logits"][:, 0]

    def decisions(self, scores: Any) -> dict[str, Any]:
        """Returns no further outputs."""
        return {}

    def predictions(self, scores: np.ndarray) -> list[ValuePrediction]:
        """Values [N] → N predictions."""
        return [ValuePrediction(value) for value in scores.tolist()]


class _Targets:
    """Reads numbers; the output is named after their column."""

    def __init__(self, source: LabelSource) -> None:
        self._source = source
        self._values = array.array("f")

    def add(self, example: InputExample) -> None:
        cell = example.label if isinstance(example.label, str) else ""
        value = as_number(cell)
        if value is None:
            raise UserError(
                f"{self._source.place(example)}: {cell!r} is no "
                "number, as --problem_type=regression needs. Correct the "
                "row, or say "
                "--problem_type=single_label."
            )
        self._values.append(value)

    def finish(self) -> tuple[tuple[str, ...], np.ndarray]:
        labels = self._source.labels or self._source.columns or ("score",)
        return labels[:1], np.frombuffer(self._values, np.float32)

    def notes(self) -> tuple[str, ...]:
        return ()
