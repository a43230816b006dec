"""LAMB: steps as long as the weight is large, for very large batches.

arXiv 1904.00962, algorithm 2. Everything but the length of the steps is as in
`adam_weight_decay`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bert_keras3.optimization.adam_weight_decay import (
    EXCLUDE_FROM_WEIGHT_DECAY,
    AdamWeightDecay,
)
from bert_keras3.optimization.updates import matches


@keras.saving.register_keras_serializable(package="bert")
class Lamb(AdamWeightDecay):
    """AdamW whose update of each weight is scaled to the weight's norm.

        r = m̂ / (√v̂ + ε) + λ·param       (m̂, v̂ with bias correction)
        param ← param − learning_rate·(‖param‖ / ‖r‖)·r

    One weight is one layer of the paper, and its φ is the identity. Where
    either norm is 0 the ratio is 1, so that weights that start at 0 can
    move. Weights whose path matches `exclude_from_layer_adaptation` keep
    their update as it is; by default those that are not decayed. Of a table
    of `lazy_rows` both norms are over the rows of the batch.
    """

    def __init__(
        self,
        learning_rate: Any = 5e-5,
        exclude_from_layer_adaptation: Sequence[str] = (
            EXCLUDE_FROM_WEIGHT_DECAY
        ),
        name: str = "lamb",
        *,
        bias_correction: bool = True,
        **kwargs: Any,
    ) -> None:
        """Makes an optimizer.

        Args:
            learning_rate: a number or a Keras schedule.
            exclude_from_layer_adaptation: regular expressions that are
                searched for in a weight's path.
            name: first part of the slots' paths.
            bias_correction: as in the paper's algorithm.
            **kwargs: of `AdamWeightDecay`.
        """
        super().__init__(
            learning_rate, name=name, bias_correction=bias_correction, **kwargs
        )
        self.exclude_from_layer_adaptation = tuple(
            exclude_from_layer_adaptation
        )

    def adapted(
        self, update: tf.Tensor, weight: tf.Tensor, path: str
    ) -> tf.Tensor:
        """Returns the update times ‖weight‖ / ‖update‖; see the class."""
        if matches(path, self.exclude_from_layer_adaptation):
            return update
        weight_norm, norm = tf.norm(weight), tf.norm(update)
        both = (weight_norm > 0) & (norm > 0)
        return update * tf.where(
            both, tf.math.divide_no_nan(weight_norm, norm), 1
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "exclude_from_layer_adaptation": self.exclude_from_layer_adaptation,
        }
