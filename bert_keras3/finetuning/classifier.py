"""BERT with one layer on top: a sequence in, a logit for each label out.

What the logits mean and cost is told by the problem (`single_label`,
`multi_label`, `regression`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from modeling.bert import BertModel
from modeling.config import BertConfig
from modeling.heads import SequenceClassifier


@keras.saving.register_keras_serializable(package="bert")
class BertClassifier(keras.Model):
    """Original: `create_model` of `run_classifier.py`.

    Weights: `bert/…`, `output_weights` [C, D] and `output_bias` [C]. A saved
    model carries the names of its labels.

    Attributes:
        labels: their names.
        unpad: whether nothing is computed for padding. The answers are the
            same without; then everything is computed as in the original.
    """

    def __init__(
        self, config: BertConfig, labels: Sequence[str], **kwargs: Any
    ) -> None:
        """Builds the model with random weights.

        Args:
            config: of the encoder.
            labels: one name for each logit, C in all.
            **kwargs: of `keras.Model`.
        """
        super().__init__(**{"name": "classifier", **kwargs})
        self.labels = tuple(labels)
        self.unpad = True
        self.bert = BertModel(config)
        self.head = SequenceClassifier(len(self.labels), config.hidden_size)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes logits.

        Args:
            inputs: as for `BertModel`; further entries are ignored.
            training: whether dropout is on.

        Returns:
            float [B, C].
        """
        if self.unpad:
            pooled_output = self.bert.pooled_output(inputs, training=training)
        else:
            pooled_output = self.bert(inputs, training=training)[
                "pooled_output"
            ]
        return self.head(pooled_output, training=training)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same model."""
        return {
            "config": self.bert.config.to_dict(),
            "labels": list(self.labels),
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> BertClassifier:
        """Makes a model from `get_config`'s mapping, weights random."""
        rest = dict(config)
        return cls(BertConfig.from_dict(rest.pop("config")), **rest)
