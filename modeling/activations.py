"""Activation functions by the names that configuration files use.

`gelu` is the tanh form, Google's; `gelu_erf` the exact one, which Hugging Face
calls gelu. They take each value by itself: [R, I] → [R, I].

    >>> import numpy as np
    >>> x = np.array([[-1.0, 0.0], [1.0, 3.0]], "float32")  # R=2, I=2
    >>> print(np.round(gelu(x), 4))
    [[-0.1588  0.    ]
     [ 0.8412  2.9964]]
    >>> get_activation("gelu") is gelu
    True
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
from keras import ops

from modeling.config import ACTIVATIONS, check_activation
from modeling.shapes import Tensor

Activation = Callable[[Tensor], Tensor]

# Factors of x and x³ in `gelu`, as the sigmoid wants them: twice the tanh's.
_FIRST = 2.0 * math.sqrt(2.0 / math.pi)
_THIRD = 0.044715 * _FIRST


def _keeping_input(function: Activation, slope: Activation) -> Activation:
    """Makes an activation keep x, and nothing else, for the backward pass.

    The gradient that its steps have by themselves keeps what each step reads:
    several tensors of the size of x, in the widest part of the model.

    Args:
        function: f, of the values one by one.
        slope: f′.

    Returns:
        f, with a gradient that computes f′ from x anew.
    """

    @ops.custom_gradient
    def activation(x: Tensor) -> Tensor:
        def gradient(*upstream: Tensor) -> Tensor:
            return upstream[-1] * slope(x)

        return function(x), gradient

    return activation


def _gate(x: Tensor) -> Tensor:
    """σ(2·√(2/π)·(x + 0.044715·x³)) = (1 + tanh(√(2/π)·(…))) / 2."""
    return ops.sigmoid(x * (_FIRST + _THIRD * ops.square(x)))


def _gelu_slope(x: Tensor) -> Tensor:
    gate = _gate(x)
    inner = _FIRST + 3.0 * _THIRD * ops.square(x)
    return gate + x * (gate - ops.square(gate)) * inner


def plain_gelu(x: Tensor) -> Tensor:
    """`gelu` with the gradient that its steps have by themselves."""
    # On the CPU, TensorFlow would put `ops.gelu` into the product before it,
    # where it takes twice the time of these steps.
    return x * _gate(x)


def gelu(x: Tensor) -> Tensor:
    """Gaussian error linear unit, tanh form (original: `modeling.gelu`).

    0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), Hendrycks & Gimpel 2016,
    section 2. The erf form differs from it by up to 4.7e-4.

    Args:
        x: float tensor of any shape.

    Returns:
        A tensor of the same shape and dtype.
    """
    if isinstance(x, keras.KerasTensor):
        return plain_gelu(x)
    return _keeping_input(plain_gelu, _gelu_slope)(x)


def _gelu_erf_slope(x: Tensor) -> Tensor:
    density = ops.exp(-0.5 * ops.square(x)) * (1.0 / math.sqrt(2.0 * math.pi))
    return 0.5 * (1.0 + ops.erf(x * math.sqrt(0.5))) + x * density


def plain_gelu_erf(x: Tensor) -> Tensor:
    """`gelu_erf` with the gradient that its steps have by themselves."""
    return ops.gelu(x, approximate=False)


def gelu_erf(x: Tensor) -> Tensor:
    """Gaussian error linear unit, exact form x·Φ(x).

    What Hugging Face folders mean by `"hidden_act": "gelu"`.

    Args:
        x: float tensor of any shape.

    Returns:
        A tensor of the same shape and dtype.
    """
    if isinstance(x, keras.KerasTensor):
        return plain_gelu_erf(x)
    return _keeping_input(plain_gelu_erf, _gelu_erf_slope)(x)


_ACTIVATIONS: dict[str, Activation | None] = dict(
    zip(
        ACTIVATIONS,
        (None, None, ops.relu, gelu, gelu_erf, ops.tanh),
        strict=True,
    )
)


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
    check_activation(activation_string)
    return _ACTIVATIONS[activation_string.lower()]
