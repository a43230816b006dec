"""Adam as BERT was trained with: decoupled weight decay, no bias correction.

The learning rate and its warm-up are in `optimizers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bert_keras3.optimization import updates
from bert_keras3.optimization.keras_private import OptimizerInternals
from bert_keras3.optimization.updates import (
    Gradient,
    Variable,
    bias_corrected,
    matches,
    merge_slices,
    of_rows,
    read,
    require_slices,
    summed_over_replicas,
    update_mean,
    whole_gradient,
)

EXCLUDE_FROM_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")


@keras.saving.register_keras_serializable(package="bert")
class AdamWeightDecay(OptimizerInternals):
    """Original: `AdamWeightDecayOptimizer`, with its clipping built in.

        m ← β₁·m + (1 − β₁)·g        v ← β₂·v + (1 − β₂)·g²
        param ← param − learning_rate·(m / (√v + ε) + λ·param)

    There is no bias correction, unlike in Keras' AdamW: with it the first
    hundred steps would be up to seven times larger. With `bias_correction`
    m / (1 − β₁ᵗ) and v / (1 − β₂ᵗ) stand in for m and v at step t, from 1:
    AdamW (arXiv 1711.05101, algorithm 2). λ is left out for weights whose
    path matches one of `exclude_from_weight_decay`.

    Gradients are first clipped to the global norm `clip_norm`, computed as in
    the original: where a table is only gathered from, its gradient is a list
    of slices, one for each token, and the norm is over these slices. So a
    token that occurs twice in a batch adds the squares of two gradients, not
    the square of their sum. The update itself uses the sum. (In pretraining
    the word embedding table is the output layer as well, and its gradient
    comes summed.) For tables of `lazy_rows`, which the original does not have,
    the norm is that of the sum, independent of micro-batches and devices.
    """

    def __init__(
        self,
        learning_rate: Any = 5e-5,
        weight_decay_rate: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        exclude_from_weight_decay: Sequence[str] = EXCLUDE_FROM_WEIGHT_DECAY,
        clip_norm: float | None = 1.0,
        name: str = "adam_weight_decay",
        *,
        bias_correction: bool = False,
        lazy_rows: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """Makes an optimizer.

        Args:
            learning_rate: a number or a Keras schedule.
            weight_decay_rate: λ.
            beta_1: β₁.
            beta_2: β₂.
            epsilon: ε, outside the root.
            exclude_from_weight_decay: regular expressions that are searched
                for in a weight's path.
            clip_norm: global norm that gradients are clipped to, or None.
            name: first part of the slots' paths.
            bias_correction: see the class.
            lazy_rows: regular expressions for paths of embedding tables:
                rows that do not occur in a batch keep their values and their
                slots, and are not decayed.
            **kwargs: of `keras.optimizers.Optimizer`.
        """
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.weight_decay_rate = weight_decay_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.exclude_from_weight_decay = tuple(exclude_from_weight_decay)
        self.clip_norm = clip_norm
        self.bias_correction = bias_correction
        self.lazy_rows = tuple(lazy_rows)

    def build(self, variables: Sequence[Variable]) -> None:
        """Creates the slots `adam_m` and `adam_v` of every weight."""
        if self.built:
            return
        super().build(variables)
        self._adam_m, self._adam_v = (
            [
                self.add_variable_from_reference(variable, name)
                for variable in variables
            ]
            for name in ("adam_m", "adam_v")
        )
        self._paths = [variable.path for variable in variables]

    def uses_weight_decay(self, path: str) -> bool:
        """Returns whether the weight of this path is decayed."""
        return bool(self.weight_decay_rate) and not matches(
            path, self.exclude_from_weight_decay
        )

    def apply(
        self,
        grads: Sequence[Gradient | None],
        trainable_variables: Sequence[Variable] | None = None,
    ) -> None:
        """Clips the gradients and updates the weights.

        Inside `tf.distribute.Strategy.run` the gradients of all devices are
        summed first.

        Raises:
            ValueError: the gradient of a table of `lazy_rows` is dense.
        """
        grads = summed_over_replicas(grads)
        if self.lazy_rows:
            grads = self._with_merged_slices(grads, trainable_variables)
        if self.clip_norm is not None:
            grads, _ = tf.clip_by_global_norm(grads, self.clip_norm)
        super().apply(grads, trainable_variables)

    def _with_merged_slices(
        self,
        grads: Sequence[Gradient | None],
        variables: Sequence[Variable] | None,
    ) -> list[Gradient | None]:
        """Merges the slices in gradients of lazy tables: one for each row."""
        variables = self.weights_of(variables)
        return [
            merge_slices(require_slices(gradient, variable.path))
            if gradient is not None and matches(variable.path, self.lazy_rows)
            else gradient
            for gradient, variable in zip(grads, variables, strict=True)
        ]

    def update_step(
        self, gradient: Gradient, variable: Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one weight and its slots, float32 throughout."""
        index = self.index_of(variable)
        path = self._paths[index]
        if matches(path, self.lazy_rows):
            gradient, rows = gradient.values, gradient.indices
        else:
            gradient, rows = whole_gradient(gradient)
        learning_rate = tf.cast(learning_rate, variable.dtype)
        slots = self._adam_m[index], self._adam_v[index]
        if self._is_plain(rows) and updates.can_fuse(variable, *slots):
            decays = self.uses_weight_decay(path)
            constants = updates.AdamConstants(
                self.beta_1,
                self.beta_2,
                self.epsilon,
                self.weight_decay_rate if decays else 0.0,
            )
            updates.fused_update(
                variable, *slots, gradient, learning_rate, constants
            )
            return

        m = update_mean(self, slots[0], gradient, self.beta_1, rows)
        v = update_mean(self, slots[1], tf.square(gradient), self.beta_2, rows)
        if self.bias_correction:
            m = bias_corrected(m, self.beta_1, self.iterations)
            v = bias_corrected(v, self.beta_2, self.iterations)
        update = m / (tf.sqrt(v) + self.epsilon)
        weight = read(variable, rows)
        if self.uses_weight_decay(path):
            update += self.weight_decay_rate * weight
        update = self.adapt_update(update, weight, path)
        self.assign_sub(variable, of_rows(learning_rate * update, rows))

    def _is_plain(self, rows: tf.Tensor | None) -> bool:
        """Whether the update is that of the original, of a whole weight."""
        return (
            type(self) is AdamWeightDecay
            and not self.bias_correction
            and rows is None
        )

    def adapt_update(
        self, update: tf.Tensor, weight: tf.Tensor, path: str
    ) -> tf.Tensor:
        """Returns the update unchanged; `Lamb` scales it.

        Args:
            update: of a weight, weight decay included, without the learning
                rate.
            weight: its value, of the same shape; both have only the rows of
                the batch in lazy updates.
            path: of the weight.
        """
        return update

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        for name in (
            "weight_decay_rate",
            "beta_1",
            "beta_2",
            "epsilon",
            "exclude_from_weight_decay",
            "clip_norm",
            "bias_correction",
            "lazy_rows",
        ):
            config[name] = getattr(self, name)
        return config
