"""The learning rate of each step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="bert")
class WarmupPolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, linear decay (original: `create_optimizer`).

    The rate of step i (the first is 0) is init_lr·i/num_warmup_steps while
    i < num_warmup_steps, and init_lr·(1 − i/num_train_steps) from then on:
    step 0 has rate 0, and the rate drops at the end of warm-up to
    init_lr·(1 − num_warmup_steps/num_train_steps).
    """

    def __init__(
        self, init_lr: float, num_train_steps: int, num_warmup_steps: int = 0
    ) -> None:
        """Makes a schedule.

        Args:
            init_lr: the rate that both lines aim at.
            num_train_steps: steps of the whole training; 0 afterwards.
            num_warmup_steps: steps of warm-up, part of the former.
        """
        super().__init__()
        self.init_lr = init_lr
        self.num_train_steps = num_train_steps
        self.num_warmup_steps = num_warmup_steps

    def __call__(self, step: Any) -> Any:
        """Returns the float32 rate of a step, an int scalar."""
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
