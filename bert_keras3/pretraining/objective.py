"""The pretraining model, its loss and its figures: masked words, pairs.

    features: input_ids [B, S], masked_lm_positions [B, P], …
      → model → masked_lm_logits, next_sentence_logits → one loss

Devlin et al. 2019, section 3.1; original: `model_fn_builder` of
`run_pretraining.py`. An evaluation gives losses and accuracies of records.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from bert_keras3.inputs import records
from bert_keras3.optimization import only_rows
from bert_keras3.pretraining.checked_records import CheckedRecords
from bert_keras3.training.predict import Predictor
from modeling.bert_with_heads import BertWithHeads
from modeling.config import BertConfig
from modeling.losses import (
    NO_PREDICTIONS,
    log_likelihood_loss,
    masked_lm_loss,
    next_sentence_loss,
)

# What the question about two sentences is called in figures, by the name
# that --sentence_objective has for it; None: there is no such question.
SENTENCE_QUESTIONS: Mapping[str, str | None] = {
    "nsp": "next_sentence",
    "sop": "sentence_order",
    "none": None,
}

# (Σw + 1e-5) / B of the whole batch, once for each example: what makes the
# micro-batches of a batch add up to the loss of the whole, however it is cut.
PREDICTIONS_PER_EXAMPLE = "predictions_per_example"

# The words of the whole batch, int32 [B, R], once for each example, too: what
# lazy updates are of, however it is cut.
MOVED_WORDS = "moved_words"


def new_model(
    config: BertConfig,
    sentence_objective: str = "nsp",
    *,
    lazy_embeddings: bool = False,
) -> BertWithHeads:
    """Makes a model that predicts masked words and judges pairs.

    Weights: `bert/…`, `cls/predictions/…` and, but for the objective "none",
    `cls/seq_relationship/…`. Sentence order (Lan et al. 2020, section 3.1) is
    the same two logits over other pairs.

    Args:
        config: of the encoder.
        sentence_objective: one of `SENTENCE_QUESTIONS`. With "none" the
            pooler is there for later use, but stays as it is.
        lazy_embeddings: give the word embedding table a gradient only for
            the words that a batch reads or predicts; see
            `optimization.only_rows`.

    Returns:
        The model, with random weights.
    """
    has_pairs = SENTENCE_QUESTIONS[sentence_objective] is not None
    heads = ("masked_lm", "next_sentence") if has_pairs else ("masked_lm",)
    model = BertWithHeads(config, heads, name="pretraining")
    # No loss reaches it then, and decay alone would wear it down.
    model.bert.pooler.trainable = has_pairs
    if lazy_embeddings:
        model.use_output_table(
            lambda inputs, training: _output_table(model, inputs, training)
        )
    return model


def _output_table(
    model: BertWithHeads, inputs: Mapping[str, Any], training: bool | None
) -> Any:
    table = model.bert.get_embedding_table()
    if not training:
        return table
    words = [inputs[records.INPUT_IDS], inputs[records.MASKED_LM_IDS]]
    if MOVED_WORDS in inputs:
        words = [inputs[MOVED_WORDS][0]]
    return only_rows(table, *words)


def loss(
    model: BertWithHeads, features: Mapping[str, Any], training: bool
) -> Any:
    """The sum of both losses, as `training.step.LossFunction`.

    Args:
        model: which.
        features: a batch, or a part of one, under the keys of
            `records.masked_columns`; for a part, and at will for a whole
            batch, also `PREDICTIONS_PER_EXAMPLE`, float32 [B], and
            `MOVED_WORDS`.
        training: whether dropout is on.

    Returns:
        float32 scalar. Parts of a batch, weighted by their examples, add up
        to the loss of the batch.
    """
    weights = ops.reshape(features[records.MASKED_LM_WEIGHTS], (-1,))
    # Each that is not used would cost a product with the whole vocabulary.
    used = ops.where(weights > 0)[0]
    logits = model(dict(features), training=training, used=used)
    ids = ops.reshape(features[records.MASKED_LM_IDS], (-1,))
    return _sum_of_losses(
        logits, ops.take(ids, used), ops.take(weights, used), features
    )


def plain_loss(
    model: BertWithHeads, features: Mapping[str, Any], training: bool
) -> Any:
    """The same, computed as the original does; see `loss`.

    All masked positions are predicted, those that are not used too; with
    `model.unpad` off, padding is computed as well.
    """
    return _sum_of_losses(
        model(dict(features), training=training),
        features[records.MASKED_LM_IDS],
        features[records.MASKED_LM_WEIGHTS],
        features,
    )


def _sum_of_losses(
    logits: Mapping[str, Any],
    masked_lm_ids: Any,
    masked_lm_weights: Any,
    features: Mapping[str, Any],
) -> Any:
    share = features.get(PREDICTIONS_PER_EXAMPLE)
    total = masked_lm_loss(
        logits["masked_lm_logits"],
        masked_lm_ids,
        masked_lm_weights,
        None if share is None else ops.sum(share),
    )
    if "next_sentence_logits" in logits:
        total += next_sentence_loss(
            logits["next_sentence_logits"],
            features[records.NEXT_SENTENCE_LABELS],
        )
    return total


# The columns of `example_figures`.
_MASKED, _MASKED_RIGHT, _MASKED_LOSS, _RIGHT, _LOSS = range(5)


def example_figures(
    model: BertWithHeads, features: Mapping[str, Any]
) -> dict[str, Any]:
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
