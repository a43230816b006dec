"""Activation functions by the names that configuration files use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

Activation = Callable[[Any], Any]

_SQRT_2_PI = math.sqrt(2.0 / math.pi)


def gelu(x: Any) -> Any:
    """Gaussian error linear unit, tanh form (original: `modeling.gelu`).

    0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), Hendrycks & Gimpel 2016,
    section 2. The erf form differs from it by up to 4.7e-4.

    Args:
        x: float tensor of any shape.

    Returns:
        A tensor of the same shape and dtype.
    """
    # On the CPU, TensorFlow would put `ops.gelu` into the product before it,
    # where it takes twice the time of these passes over memory.
    half = 0.5 * x
    return half + half * ops.tanh(
        x * (_SQRT_2_PI + (_SQRT_2_PI * 0.044715) * ops.square(x))
    )


def gelu_erf(x: Any) -> Any:
    """Gaussian error linear unit, exact form x·Φ(x).

    What Hugging Face folders mean by `"hidden_act": "gelu"`.

    Args:
        x: float tensor of any shape.

    Returns:
        A tensor of the same shape and dtype.
    """
    return ops.gelu(x, approximate=False)


_ACTIVATIONS: dict[str, Activation | None] = {
    "": None,
    "linear": None,
    "relu": ops.relu,
    "gelu": gelu,
    "gelu_erf": gelu_erf,
    "tanh": ops.tanh,
}


def get_activation(
    activation_string: str | Activation | None,
) -> Activation | None:
    """Maps a name to a function (original: `modeling.get_activation`).

    Args:
        activation_string: a name, in any case; anything that is not a string
            is returned as it is.

    Returns:
        The function; None for no name, the empty name and "linear".

    Raises:
        ValueError: the name is not known.
    """
    if not isinstance(activation_string, str):
        return activation_string
    try:
        return _ACTIVATIONS[activation_string.lower()]
    except KeyError:
        known = ", ".join(name for name in _ACTIVATIONS if name)
        raise ValueError(
            f"unknown activation {activation_string!r}; known are {known}"
        ) from None
