"""Computing a layer again in the backward pass instead of keeping its insides.

`keras.remat` does that; here the second time drops the same values as the
first. Which layers are computed again is decided in `encoder`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


def rematerialized(
    layer: keras.layers.Layer, call: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Returns a call whose insides are not kept for the backward pass.

    Args:
        layer: what is called, for its random states.
        call: (tensor) → tensor, a call of the layer in which every random
            state is used once.

    Returns:
        (tensor) → tensor, with the same numbers and the same gradients.
    """

    def run(x: Any) -> Any:
        # Drawn here, so that the graph has these numbers once and not anew
        # whenever the layer is computed.
        drawn = [
            (part.seed_generator.state, part.seed_generator.next())
            for part in layer._flatten_layers()
            if isinstance(part, keras.layers.Dropout) and part.rate > 0
        ]

        def call_again(x: Any) -> Any:
            with keras.StatelessScope(state_mapping=drawn):
                return call(x)

        return keras.remat(call_again)(x)

    return run
