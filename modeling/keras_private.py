"""Private parts of Keras that the project uses, all but the optimizers'.

Those of optimizers are in `bert_keras3/optimization/keras_private.py`. Each
was seen to exist, and to do what is said here, in Keras 3.12.0 and 3.15.1.

    >>> pooler = keras.layers.Dense(6, name="pooler")
    >>> model = keras.Sequential([pooler], name="model")
    >>> [layer.name for layer in flatten_layers(model)]
    ['model', 'pooler']
"""

from __future__ import annotations

import keras


def flatten_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a layer or model and all layers in it, at every depth.

    `keras.layers.Layer._flatten_layers`. The public `keras.Model.layers`
    holds the outermost layers only, and a layer that is no model has no
    public list of its parts.

    Args:
        layer: the outermost one.

    Returns:
        Each layer once, `layer` first, every layer before its own parts.
    """
    layers: list[keras.layers.Layer] = layer._flatten_layers()
    return layers
