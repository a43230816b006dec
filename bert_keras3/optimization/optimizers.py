"""Warm-up and decay of the learning rate, LAMB, the optimizers by name.

Weight decay and what is excluded from it are in `adam_weight_decay`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from bert_keras3.optimization.adam_weight_decay import (
    EXCLUDE_FROM_WEIGHT_DECAY,
    AdamWeightDecay,
)
from bert_keras3.optimization.updates import WORD_EMBEDDINGS, matches


@keras.saving.register_keras_serializable(package="bert")
class Lamb(AdamWeightDecay):
    """LAMB: AdamW whose update of each weight is scaled to the weight's norm.

    For very large batches (arXiv 1904.00962, algorithm 2):

        r = m̂ / (√v̂ + ε) + λ·param       (m̂, v̂ with bias correction)
        param ← param − learning_rate·(‖param‖ / ‖r‖)·r

    Each weight is a layer in the sense of the paper, whose φ is the identity.
    Where either norm is 0 the ratio is 1, so that weights that start at 0 can
    change. Updates of weights whose path matches
    `exclude_from_layer_adaptation`, by default those without weight decay, are
    not scaled. For a table of `lazy_rows` both norms are over the rows of the
    batch.
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

    def adapt_update(
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


@keras.saving.register_keras_serializable(package="bert")
class WarmupPolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, linear decay (original: `create_optimizer`).

    The learning rate of step i (the first is 0) is
    init_lr·i/num_warmup_steps while i < num_warmup_steps, and
    init_lr·(1 − i/num_train_steps) from then on. It is 0 in step 0; with 10 of
    100 steps of warm-up it rises to 0.9·init_lr in step 9, is 0.9·init_lr in
    step 10 and reaches 0 in step 100.
    """

    def __init__(
        self, init_lr: float, num_train_steps: int, num_warmup_steps: int = 0
    ) -> None:
        """Makes a schedule.

        Args:
            init_lr: the peak learning rate.
            num_train_steps: number of steps of the whole training; after
                them the learning rate is 0.
            num_warmup_steps: how many of these are warm-up.
        """
        super().__init__()
        self.init_lr = init_lr
        self.num_train_steps = num_train_steps
        self.num_warmup_steps = num_warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the float32 learning rate of a step, an int scalar."""
        step = ops.cast(step, "float32")
        total = float(max(self.num_train_steps, 1))
        decayed = self.init_lr * (1.0 - ops.minimum(step, total) / total)
        if not self.num_warmup_steps:
            return decayed
        warming = self.init_lr * (step / float(self.num_warmup_steps))
        return ops.where(step < self.num_warmup_steps, warming, decayed)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "init_lr": self.init_lr,
            "num_train_steps": self.num_train_steps,
            "num_warmup_steps": self.num_warmup_steps,
        }


@keras.saving.register_keras_serializable(package="bert")
class InverseSquareRootDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then as 1/√step (Vaswani et al. 2017, section 5.3).

    The learning rate of step i (the first is 0) is
    init_lr·i/num_warmup_steps while i < num_warmup_steps, and
    init_lr·√(num_warmup_steps/i) from then on. The paper's
    d⁻⁰·⁵·min(i⁻⁰·⁵, i·warmup⁻¹·⁵), d the hidden size, is this with an init_lr
    of 1/√(d·num_warmup_steps).
    """

    def __init__(self, init_lr: float, num_warmup_steps: int) -> None:
        """Makes a schedule.

        Args:
            init_lr: the peak learning rate.
            num_warmup_steps: number of steps of warm-up; 0 is taken for 1.
        """
        super().__init__()
        self.init_lr = init_lr
        self.num_warmup_steps = num_warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the float32 learning rate of a step, an int scalar."""
        step = ops.cast(step, "float32")
        warmup = float(max(self.num_warmup_steps, 1))
        falling = ops.sqrt(warmup / ops.maximum(step, warmup))
        return self.init_lr * ops.minimum(step / warmup, falling)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "init_lr": self.init_lr,
            "num_warmup_steps": self.num_warmup_steps,
        }


SCHEDULES = ("linear", "inverse_sqrt")
"""How the learning rate may fall after warm-up."""

OPTIMIZERS: dict[str, Callable[..., AdamWeightDecay]] = {
    # The original's.
    "adam_weight_decay": AdamWeightDecay,
    # With bias correction.
    "adamw": functools.partial(
        AdamWeightDecay, bias_correction=True, name="adamw"
    ),
    "lamb": Lamb,
}
DEFAULT_OPTIMIZER = "adam_weight_decay"


def create_optimizer(
    init_lr: float,
    num_train_steps: int,
    num_warmup_steps: int,
    *,
    name: str = DEFAULT_OPTIMIZER,
    lazy_embeddings: bool = False,
    schedule: str = "linear",
) -> AdamWeightDecay:
    """Returns the optimizer BERT was trained with (original: same name).

    Args:
        init_lr: the peak learning rate.
        num_train_steps: number of steps of the whole training.
        num_warmup_steps: how many of these are linear warm-up.
        name: key of `OPTIMIZERS`.
        lazy_embeddings: update only the word embeddings of tokens that occur
            in the batch.
        schedule: one of `SCHEDULES`.

    Raises:
        KeyError: there is no optimizer, or schedule, of that name.
    """
    learning_rate = {
        "linear": WarmupPolynomialDecay(
            init_lr, num_train_steps, num_warmup_steps
        ),
        "inverse_sqrt": InverseSquareRootDecay(init_lr, num_warmup_steps),
    }[schedule]
    return OPTIMIZERS[name](
        learning_rate,
        lazy_rows=WORD_EMBEDDINGS if lazy_embeddings else (),
    )
