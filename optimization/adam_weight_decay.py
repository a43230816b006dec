"""Adam as BERT was trained with: decoupled decay, no bias correction.

The rate of each step comes from `schedules`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from optimization.schedules import WarmupPolynomialDecay

EXCLUDE_FROM_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")


@keras.saving.register_keras_serializable(package="bert")
class AdamWeightDecay(keras.optimizers.Optimizer):
    """Original: `AdamWeightDecayOptimizer`, with its clipping built in.

        m ← β₁·m + (1 − β₁)·g        v ← β₂·v + (1 − β₂)·g²
        param ← param − rate·(m / (√v + ε) + λ·param)

    There is no bias correction, unlike in Keras' AdamW: with it the first
    hundred steps would be up to seven times larger. λ is left out for
    weights whose path matches one of `exclude_from_weight_decay`.

    Gradients are clipped together to `clip_norm` before. The norm is the
    original's: the gradient of a gathered table counts slice by slice, as it
    comes from the tape, so a word that occurs twice in a batch adds its two
    gradients' squares and not the square of their sum. (In pretraining, where
    the word table is also the output layer, the table's whole gradient from
    there counts as further slices.) The update itself uses the sum.
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
        **kwargs: Any,
    ) -> None:
        """Makes an optimiser.

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
            **kwargs: of `keras.optimizers.Optimizer`.
        """
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.weight_decay_rate = weight_decay_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.exclude_from_weight_decay = tuple(exclude_from_weight_decay)
        self.clip_norm = clip_norm

    def build(self, variables: Any) -> None:
        """Makes the slots `adam_m` and `adam_v` of every weight."""
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
        self._is_decayed = [
            self.uses_weight_decay(variable.path) for variable in variables
        ]

    def uses_weight_decay(self, path: str) -> bool:
        """Returns whether a weight is decayed (by its path)."""
        return bool(self.weight_decay_rate) and not any(
            re.search(pattern, path)
            for pattern in self.exclude_from_weight_decay
        )

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Clips, then updates; see the class."""
        grads = list(grads)
        if self.clip_norm is not None:
            grads, _ = tf.clip_by_global_norm(grads, self.clip_norm)
        super().apply(grads, trainable_variables)

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        """Updates one weight and its slots, float32 throughout."""
        index = self._get_variable_index(variable)
        m, v = self._adam_m[index], self._adam_v[index]
        rate = tf.cast(learning_rate, variable.dtype)
        # A sparse gradient is summed here: every row's momentum moves on.
        gradient = tf.convert_to_tensor(gradient)

        next_m = self.beta_1 * m + (1.0 - self.beta_1) * gradient
        next_v = self.beta_2 * v + (1.0 - self.beta_2) * tf.square(gradient)
        update = next_m / (tf.sqrt(next_v) + self.epsilon)
        if self._is_decayed[index]:
            update += self.weight_decay_rate * variable
        self.assign(m, next_m)
        self.assign(v, next_v)
        self.assign_sub(variable, rate * update)

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
        ):
            config[name] = getattr(self, name)
        return config


def create_optimizer(
    init_lr: float, num_train_steps: int, num_warmup_steps: int
) -> AdamWeightDecay:
    """Returns the optimiser BERT was trained with (original: same name).

    Args:
        init_lr: the rate at the end of warm-up and the start of decay.
        num_train_steps: steps of the whole training.
        num_warmup_steps: steps of linear warm-up, part of the former.
    """
    return AdamWeightDecay(
        WarmupPolynomialDecay(init_lr, num_train_steps, num_warmup_steps)
    )
