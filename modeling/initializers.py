"""How weights start: a truncated normal; biases start at 0."""

from __future__ import annotations

import keras


def create_initializer(
    initializer_range: float = 0.02,
) -> keras.initializers.Initializer:
    """Returns a truncated normal (original: `create_initializer`).

    A Keras initializer draws the same numbers each time it is called, so
    every weight needs one of its own.

    Args:
        initializer_range: standard deviation before truncation at two of
            them.
    """
    return keras.initializers.TruncatedNormal(stddev=initializer_range)
