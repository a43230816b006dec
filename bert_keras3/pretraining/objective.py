"""The pretraining model and what its answers cost: masked words, pairs.

    features: input_ids [B, S], masked_lm_positions [B, P], …
      → model → masked_lm_logits, next_sentence_logits → one loss

Devlin et al. 2019, section 3.1; original: `model_fn_builder` of
`run_pretraining.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras import ops

from bert_keras3.inputs import records
from bert_keras3.optimization import only_rows
from modeling.bert_with_heads import BertWithHeads
from modeling.config import BertConfig
from modeling.losses import masked_lm_loss, next_sentence_loss
from modeling.shapes import Tensor

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
    model: BertWithHeads, inputs: Mapping[str, Tensor], training: bool | None
) -> Tensor:
    table = model.bert.get_embedding_table()
    if not training:
        return table
    words = [inputs[records.INPUT_IDS], inputs[records.MASKED_LM_IDS]]
    if MOVED_WORDS in inputs:
        words = [inputs[MOVED_WORDS][0]]
    return only_rows(table, *words)


def loss(
    model: BertWithHeads, features: Mapping[str, Tensor], training: bool
) -> Tensor:
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
    model: BertWithHeads, features: Mapping[str, Tensor], training: bool
) -> Tensor:
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
    logits: Mapping[str, Tensor],
    masked_lm_ids: Tensor,
    masked_lm_weights: Tensor,
    features: Mapping[str, Tensor],
) -> Tensor:
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
