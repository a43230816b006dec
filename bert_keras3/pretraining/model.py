"""The encoder with its pretraining heads, and what its answers cost.

Where batches come from is `supply`'s matter, figures to report are
`evaluation`'s, and what the heads compute is in `modeling.heads`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from bert_keras3.inputs import records
from bert_keras3.optimization import only_rows
from modeling.bert import BertModel
from modeling.config import BertConfig
from modeling.heads import PreTrainingHeads
from modeling.losses import masked_lm_loss, next_sentence_loss

# What the question about two sentences is called in figures, by the name
# that --sentence_objective has for it; None: there is no such question.
SENTENCE_QUESTIONS: Mapping[str, str | None] = {
    "nsp": "next_sentence",
    "sop": "sentence_order",
    "none": None,
}

# (Σw + 1e-5) / B of the whole batch, once for each example: what makes the
# parts of a batch add up to the loss of the whole, however it is parted.
PREDICTIONS_PER_EXAMPLE = "predictions_per_example"

# The words of the whole batch, int32 [B, R], once for each example, too: what
# lazy updates are of, however it is parted.
MOVED_WORDS = "moved_words"


@keras.saving.register_keras_serializable(package="bert")
class BertForPreTraining(keras.Model):
    """BERT that guesses masked words and judges pairs of sentences.

    Devlin et al. 2019, section 3.1; original: `model_fn_builder` of
    `run_pretraining.py`. Weights: `bert/…`, `cls/predictions/…` and, but for
    the objective "none", `cls/seq_relationship/…`. Sentence order (Lan et al.
    2020, section 3.1) is the same two logits over other pairs.
    """

    def __init__(
        self,
        config: BertConfig,
        sentence_objective: str = "nsp",
        lazy_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        """Builds the model with random weights.

        Args:
            config: of the encoder.
            sentence_objective: one of `SENTENCE_QUESTIONS`. With "none" the
                pooler is there for later use, but stays as it is.
            lazy_embeddings: give the word table a gradient only for the words
                that a batch reads or asks for; see `optimization.only_rows`.
            **kwargs: of `keras.Model`.
        """
        super().__init__(**{"name": "pretraining", **kwargs})
        self.sentence_objective = sentence_objective
        self.lazy_embeddings = lazy_embeddings
        self.bert = BertModel(config)
        has_pairs = SENTENCE_QUESTIONS[sentence_objective] is not None
        self.cls = PreTrainingHeads(config, next_sentence=has_pairs)
        self.cls.build()
        # No loss reaches it then, and decay alone would wear it down.
        self.bert.pooler.trainable = has_pairs
        self.built = True

    def call(
        self,
        inputs: Mapping[str, Any],
        training: bool | None = None,
        used: Any = None,
    ) -> dict[str, Any]:
        """Computes logits, without work on padding.

        Args:
            inputs: `input_ids`, `input_mask` and `segment_ids`, int32 [B, S],
                and `masked_lm_positions`, int32 [B, P]; further entries are
                ignored.
            training: whether dropout is on.
            used: int [R], which of the B·P places are asked for; None: all.

        Returns:
            As `modeling.heads.PreTrainingHeads`; of masked words, the rows
            that are asked for.
        """
        outputs = self.bert.outputs_at(
            dict(inputs), inputs[records.MASKED_LM_POSITIONS], training=training
        )
        vectors = outputs["vectors"]
        if used is not None:
            vectors = ops.take(vectors, used, axis=0)
        return self.cls.of_vectors(
            vectors,
            outputs["pooled_output"],
            self._output_table(inputs, training),
        )

    def _output_table(
        self, inputs: Mapping[str, Any], training: bool | None
    ) -> Any:
        table = self.bert.get_embedding_table()
        if training and self.lazy_embeddings:
            words = [inputs[records.INPUT_IDS], inputs[records.MASKED_LM_IDS]]
            if MOVED_WORDS in inputs:
                words = [inputs[MOVED_WORDS][0]]
            table = only_rows(table, *words)
        return table

    def plain_logits(
        self, inputs: Mapping[str, Any], training: bool | None = None
    ) -> dict[str, Any]:
        """Computes the same the original's way: all tokens, then some.

        Args:
            inputs: as for `call`.
            training: whether dropout is on.

        Returns:
            As `call`.
        """
        return self.cls(
            self.bert(dict(inputs), training=training),
            inputs[records.MASKED_LM_POSITIONS],
            self.bert.get_embedding_table(),
        )

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same model."""
        return {
            "config": self.bert.config.to_dict(),
            "sentence_objective": self.sentence_objective,
            "lazy_embeddings": self.lazy_embeddings,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> BertForPreTraining:
        """Makes a model from `get_config`'s mapping, weights random."""
        rest = dict(config)
        return cls(BertConfig.from_dict(rest.pop("config")), **rest)


def loss(
    model: BertForPreTraining, features: Mapping[str, Any], training: bool
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
    # Places that are not used would cost a product with the word table each.
    used = ops.where(weights > 0)[0]
    logits = model(features, training=training, used=used)
    ids = ops.reshape(features[records.MASKED_LM_IDS], (-1,))
    return _sum_of_losses(
        logits, ops.take(ids, used), ops.take(weights, used), features
    )


def plain_loss(
    model: BertForPreTraining, features: Mapping[str, Any], training: bool
) -> Any:
    """The same, computed as the original does; see `loss`."""
    return _sum_of_losses(
        model.plain_logits(features, training=training),
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
