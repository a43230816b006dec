"""Adam's update of a whole weight in one pass over memory.

What is updated how is `adam_weight_decay`'s matter; here is only the faster
way to the same numbers where there is one.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

# TensorFlow's own operation for Adam would do it too, but it takes 1 − β₂ from
# β₂ in float32, which is 5e-5 too much.

# Below, what a compiled call costs is more than what it saves.
_MIN_ELEMENTS = 1 << 14


def can_update(*variables: Any) -> bool:
    """Returns whether `update` pays and takes these variables."""
    return not tf.distribute.has_strategy() and all(
        variable.dtype == "float32"
        and variable.shape.num_elements() >= _MIN_ELEMENTS
        for variable in map(_inner, variables)
    )


def update(
    weight: Any,
    m: Any,
    v: Any,
    gradient: tf.Tensor,
    rate: tf.Tensor,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float,
) -> None:
    """Moves a weight and its slots as `AdamWeightDecay` says.

    Args:
        weight: a variable, as the next two, Keras' or TensorFlow's.
        m: the slot of the mean.
        v: the slot of the mean square.
        gradient: of the whole weight.
        rate: float32 scalar.
        beta_1: β₁.
        beta_2: β₂.
        epsilon: ε.
        decay: λ, 0 for none.
    """
    _compiled(
        *map(_inner, (weight, m, v)),
        gradient,
        rate,
        beta_1,
        beta_2,
        epsilon,
        decay,
    )


@tf.function(jit_compile=True, autograph=False)
def _compiled(
    weight: tf.Variable,
    m: tf.Variable,
    v: tf.Variable,
    gradient: tf.Tensor,
    rate: tf.Tensor,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float,
) -> None:
    next_m = beta_1 * m + (1.0 - beta_1) * gradient
    next_v = beta_2 * v + (1.0 - beta_2) * tf.square(gradient)
    step = next_m / (tf.sqrt(next_v) + epsilon)
    if decay:
        step += decay * weight
    m.assign(next_m)
    v.assign(next_v)
    weight.assign_sub(rate * step)


def _inner(variable: Any) -> Any:
    return variable.value if isinstance(variable, keras.Variable) else variable
