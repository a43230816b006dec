"""The pretraining model and its loss: masked tokens and sentence pairs.

    input_ids [B, S], masked_lm_positions [B, P], …
      → model → masked_lm_logits [B·P, V], next_sentence_logits [B, 2]
      → loss, the sum of both cross-entropies

Devlin et al. 2019, section 3.1; original: `model_fn_builder` of
`run_pretraining.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from keras import ops

from bert_keras3.inputs import records
from bert_keras3.optimization import only_rows
from modeling.bert_with_heads import BertWithHeads
from modeling.config import BertConfig
from modeling.losses import masked_lm_loss, next_sentence_loss
from modeling.shapes import Tensor

if TYPE_CHECKING:
    import keras

    from bert_keras3.checkpointing import Checkpoint
    from bert_keras3.training.session import Session
    from bert_keras3.training.step import LossFunction

# {--sentence_objective: prefix of the metrics}; None: no sentence pairs.
SENTENCE_METRICS: Mapping[str, str | None] = {
    "nsp": "next_sentence",
    "sop": "sentence_order",
    "none": None,
}

# Name of a feature, float32 [B]: (Σw + 1e-5) / B of the whole batch, for each
# example. With it the losses of micro-batches add up to that of the batch.
PREDICTIONS_PER_EXAMPLE = "predictions_per_example"

# Name of a feature, int32 [B, R]: the R different token ids of the whole batch,
# for each example. Lazy updates are of these, also in micro-batches.
TOKENS_TO_UPDATE = "tokens_to_update"


def heads_for(sentence_objective: str) -> tuple[str, ...]:
    """Returns the heads that a pretraining trains.

    Args:
        sentence_objective: one of `SENTENCE_METRICS`.
    """
    if SENTENCE_METRICS[sentence_objective] is None:
        return ("masked_lm",)
    return ("masked_lm", "next_sentence")


def new_model(
    config: BertConfig,
    heads: Sequence[str] = ("masked_lm", "next_sentence"),
    *,
    lazy_embeddings: bool = False,
) -> BertWithHeads:
    """Creates a model with the pretraining heads and random weights.

    Weights: `bert/…`, `cls/predictions/…` and, with pairs of sentences,
    `cls/seq_relationship/…`. Sentence order prediction (Lan et al. 2020,
    section 3.1) has the same head; only the pairs differ.

    Args:
        config: of the encoder.
        heads: returned by `heads_for`, or none. Without `next_sentence` the
            pooler exists but is not trained.
        lazy_embeddings: limit the gradient of the word embedding table to the
            tokens that a batch reads or predicts.
    """
    model = BertWithHeads(config, heads, name="pretraining")
    # Without a gradient, weight decay alone would shrink it.
    model.bert.pooler.trainable = "next_sentence" in heads
    if lazy_embeddings:
        model.use_output_table(
            lambda inputs, training: _output_table(model, inputs, training)
        )
    return model


def _output_table(
    model: BertWithHeads, inputs: Mapping[str, Tensor], training: bool | None
) -> Tensor:
    table = model.bert.get_embedding_table()
    if not training:
        return table
    ids = [inputs[records.INPUT_IDS], inputs[records.MASKED_LM_IDS]]
    if TOKENS_TO_UPDATE in inputs:
        ids = [inputs[TOKENS_TO_UPDATE][0]]
    return only_rows(table, *ids)


def loss(
    model: BertWithHeads, features: Mapping[str, Tensor], training: bool
) -> Tensor:
    """Returns the training loss (a `training.step.LossFunction`).

    Args:
        model: from `new_model`.
        features: a batch with the keys of `records.masked_columns`. A part of
            a batch must also have `PREDICTIONS_PER_EXAMPLE` and, for lazy
            updates, `TOKENS_TO_UPDATE`.
        training: whether dropout is on.

    Returns:
        float32 scalar. The losses of the parts of a batch, weighted by their
        numbers of examples, add up to the loss of the batch.
    """
    weights = ops.reshape(features[records.MASKED_LM_WEIGHTS], (-1,))
    # Unused positions would cost a product with the whole vocabulary each.
    used = ops.where(weights > 0)[0]
    logits = model(dict(features), training=training, used=used)
    ids = ops.reshape(features[records.MASKED_LM_IDS], (-1,))
    return sum_of_losses(
        logits, ops.take(ids, used), ops.take(weights, used), features
    )


def plain_loss(
    model: BertWithHeads, features: Mapping[str, Tensor], training: bool
) -> Tensor:
    """Returns the same loss, computed as in the original.

    All positions are predicted, also unused ones; with `model.unpad` off,
    padding is computed as well.
    """
    return sum_of_losses(
        model(dict(features), training=training),
        features[records.MASKED_LM_IDS],
        features[records.MASKED_LM_WEIGHTS],
        features,
    )


def sum_of_losses(
    logits: Mapping[str, Tensor],
    masked_lm_ids: Tensor,
    masked_lm_weights: Tensor,
    features: Mapping[str, Tensor],
) -> Tensor:
    """Returns the sum of the losses of all heads.

    Args:
        logits: of the heads, by name; `masked_lm_logits` [R, V].
        masked_lm_ids: int [R], or of that many numbers.
        masked_lm_weights: float likewise.
        features: of the batch.
    """
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


class Guide(Protocol):
    """What a job asks of a teacher, in this order."""

    def start(self, checkpoint: Checkpoint) -> Checkpoint:
        """Returns what the model starts from.

        Args:
            checkpoint: that of the job's flags.

        Raises:
            UserError: teacher and model do not fit together.
        """

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads of the model."""

    def objective(
        self, session: Session, model: BertWithHeads
    ) -> tuple[keras.Model, LossFunction, Mapping[str, Any]]:
        """Returns what the training minimizes.

        Args:
            session: whose devices the model was created on.
            model: to train, with its initial weights.

        Returns:
            What is trained: the model, or something around it; its loss; and
            what identifies the training beside data and settings.
        """
