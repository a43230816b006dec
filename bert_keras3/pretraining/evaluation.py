"""Figures of a pretraining model on records: losses and accuracies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from keras import ops

from bert_keras3.inputs import records
from bert_keras3.pretraining.checked_records import CheckedRecords
from bert_keras3.pretraining.objective import SENTENCE_QUESTIONS
from bert_keras3.training.predict import Predictor
from modeling.bert_with_heads import BertWithHeads
from modeling.losses import NO_PREDICTIONS, log_likelihood_loss
from modeling.shapes import Tensor

# The columns of `example_figures`.
_MASKED, _MASKED_RIGHT, _MASKED_LOSS, _RIGHT, _LOSS = range(5)


def example_figures(
    model: BertWithHeads, features: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Sums up each example; the outputs for a `training.predict.Predictor`.

    Args:
        model: which.
        features: a batch under the keys of `records.masked_columns`.

    Returns:
        `figures`, float32 [B, 5]: Σw, Σw·[predicted right] and Σw·ℓ over the
        masked tokens, then whether the pair was classified right and its loss
        (both 0 without that question).
    """
    logits = model(dict(features), training=False)
    ids = features[records.MASKED_LM_IDS]
    weights = ops.cast(features[records.MASKED_LM_WEIGHTS], "float32")
    words = logits["masked_lm_logits"]
    flat_ids = ops.reshape(ids, (-1,))
    right = ops.cast(
        ops.equal(ops.cast(ops.argmax(words, -1), ids.dtype), flat_ids),
        "float32",
    )
    columns = [
        ops.sum(weights, 1),
        ops.sum(weights * ops.reshape(right, ops.shape(ids)), 1),
        ops.sum(
            weights
            * ops.reshape(log_likelihood_loss(words, flat_ids), ops.shape(ids)),
            1,
        ),
    ]
    pairs = logits.get("next_sentence_logits")
    if pairs is None:
        columns += [ops.zeros_like(columns[0])] * 2
    else:
        labels = ops.reshape(features[records.NEXT_SENTENCE_LABELS], (-1,))
        judged = ops.cast(ops.argmax(pairs, -1), labels.dtype)
        columns += [
            ops.cast(ops.equal(judged, labels), "float32"),
            log_likelihood_loss(pairs, labels),
        ]
    return {"figures": ops.stack(columns, 1)}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Evaluates the present weights on the first batches of some records.

    Attributes:
        predictor: computes `example_figures`.
        records: what is evaluated.
        batch_size: examples of a batch.
        max_steps: batches at most.
        sentence_objective: one of `SENTENCE_QUESTIONS`.
    """

    predictor: Predictor
    records: CheckedRecords
    batch_size: int
    max_steps: int
    sentence_objective: str

    @property
    def num_examples(self) -> int:
        """How many records are evaluated."""
        return min(len(self.records), self.batch_size * self.max_steps)

    def __call__(self) -> dict[str, float]:
        """Returns the metrics."""
        batches = self.records.evaluation_batches(
            self.batch_size, self.max_steps
        )
        figures = self.predictor(batches, self.num_examples)["figures"]
        return metrics(figures, self.batch_size, self.sentence_objective)


def metrics(
    figures: np.ndarray, batch_size: int, sentence_objective: str
) -> dict[str, float]:
    """Returns the original's metrics of some records.

    Args:
        figures: [N, 5] of `example_figures`, in the order of the records.
        batch_size: how many made a batch.
        sentence_objective: one of `SENTENCE_QUESTIONS`.

    Returns:
        `masked_lm_accuracy` and `masked_lm_loss` over all masked tokens;
        the same of the pairs, called `next_sentence_…` as in the original or
        `sentence_order_…`; and `loss`, the mean over the batches of what is
        trained on (equal to the sum of the two losses only where all batches
        have equally many masked tokens).
    """
    sums = figures.astype(np.float64)
    masked = sums[:, _MASKED].sum()
    found = {
        "masked_lm_accuracy": sums[:, _MASKED_RIGHT].sum() / max(masked, 1),
        "masked_lm_loss": sums[:, _MASKED_LOSS].sum() / max(masked, 1),
    }
    question = SENTENCE_QUESTIONS[sentence_objective]
    if question is not None:
        found[f"{question}_accuracy"] = sums[:, _RIGHT].mean()
        found[f"{question}_loss"] = sums[:, _LOSS].mean()
    batches = np.split(sums, range(batch_size, len(sums), batch_size))
    found["loss"] = np.mean(
        [
            one[:, _MASKED_LOSS].sum()
            / (one[:, _MASKED].sum() + NO_PREDICTIONS)
            + one[:, _LOSS].mean()
            for one in batches
        ]
    )
    return {name: float(value) for name, value in sorted(found.items())}
