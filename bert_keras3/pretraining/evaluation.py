"""Losses and accuracies of a pretraining model on records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from keras import ops

from bert_keras3.inputs import records
from bert_keras3.pretraining.checked_records import CheckedRecords
from bert_keras3.pretraining.objective import SENTENCE_METRICS
from bert_keras3.training.predict import Predictor
from modeling.bert_with_heads import BertWithHeads
from modeling.losses import NO_PREDICTIONS, log_likelihood_loss
from modeling.shapes import Tensor

# The columns of `example_figures`.
_MASKED, _MASKED_CORRECT, _MASKED_LOSS, _CORRECT, _LOSS = range(5)


def example_figures(
    model: BertWithHeads, features: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Returns the sums of each example; the outputs of a `Predictor`.

    Args:
        model: from `objective.new_model`.
        features: a batch with the keys of `records.masked_columns`.

    Returns:
        `figures`, float32 [B, 5]: Σw, Σw·[correct] and Σw·loss over the
        masked tokens (weights w), then whether the pair was classified
        correctly and its loss, both 0 without sentence pairs.
    """
    logits = model(dict(features), training=False)
    ids = features[records.MASKED_LM_IDS]
    weights = ops.cast(features[records.MASKED_LM_WEIGHTS], "float32")
    token_logits = logits["masked_lm_logits"]
    flat_ids = ops.reshape(ids, (-1,))
    correct = ops.cast(
        ops.equal(ops.cast(ops.argmax(token_logits, -1), ids.dtype), flat_ids),
        "float32",
    )
    losses = log_likelihood_loss(token_logits, flat_ids)
    columns = [
        ops.sum(weights, 1),
        ops.sum(weights * ops.reshape(correct, ops.shape(ids)), 1),
        ops.sum(weights * ops.reshape(losses, ops.shape(ids)), 1),
    ]
    pair_logits = logits.get("next_sentence_logits")
    if pair_logits is None:
        columns += [ops.zeros_like(columns[0])] * 2
    else:
        labels = ops.reshape(features[records.NEXT_SENTENCE_LABELS], (-1,))
        predicted = ops.cast(ops.argmax(pair_logits, -1), labels.dtype)
        columns += [
            ops.cast(ops.equal(predicted, labels), "float32"),
            log_likelihood_loss(pair_logits, labels),
        ]
    return {"figures": ops.stack(columns, 1)}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Evaluates the current weights on the first batches of some records.

    Attributes:
        predictor: computes `example_figures`.
        records: to evaluate on.
        batch_size: number of examples per batch.
        max_steps: maximum number of batches.
        sentence_objective: one of `SENTENCE_METRICS`.
    """

    predictor: Predictor
    records: CheckedRecords
    batch_size: int
    max_steps: int
    sentence_objective: str

    @property
    def num_examples(self) -> int:
        """Number of records that are evaluated."""
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
    """Returns the metrics of the original.

    Args:
        figures: [N, 5] from `example_figures`, in the order of the records.
        batch_size: number of examples per batch.
        sentence_objective: one of `SENTENCE_METRICS`.

    Returns:
        `masked_lm_accuracy` and `masked_lm_loss` over all masked tokens;
        the same for sentence pairs, named `next_sentence_…` as in the
        original, or `sentence_order_…`; and `loss`, the mean over the batches
        of the training loss (equal to the sum of the two losses only if all
        batches have equally many masked tokens).
    """
    sums = figures.astype(np.float64)
    masked = sums[:, _MASKED].sum()
    found = {
        "masked_lm_accuracy": sums[:, _MASKED_CORRECT].sum() / max(masked, 1),
        "masked_lm_loss": sums[:, _MASKED_LOSS].sum() / max(masked, 1),
    }
    prefix = SENTENCE_METRICS[sentence_objective]
    if prefix is not None:
        found[f"{prefix}_accuracy"] = sums[:, _CORRECT].mean()
        found[f"{prefix}_loss"] = sums[:, _LOSS].mean()
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
