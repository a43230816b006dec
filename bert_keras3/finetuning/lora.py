"""Low-rank adaptation (LoRA): trains two thin matrices beside frozen kernels.

Hu et al. 2021, section 4.1, by Keras' `Dense.enable_lora`. For a kernel W
[768, 768] and rank 8, A [768, 8] and B [8, 768] are trained, and the layer
multiplies with W + A·B. The run folder has that sum as its model, a plain
BERT, and A and B in a file of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

import keras
from safetensors.numpy import save_file

from modeling import BertWithHeads
from modeling.keras_private import flatten_layers


def add_lora(model: BertWithHeads, rank: int) -> None:
    """Freezes the encoder and adds A and B to each of its dense layers.

    A is random and B zero, so at first the outputs stay the same. The head
    stays trainable. Weight decay applies to A and B, not to frozen weights.

    Args:
        model: with its initial weights; changed in place.
        rank: of A·B.
    """
    for weight in model.bert.weights:
        weight.trainable = False
    for layer in _dense_layers(model):
        layer.enable_lora(rank)


def has_lora(model: BertWithHeads) -> bool:
    """Returns whether the model was changed by `add_lora`."""
    return any(layer.lora_enabled for layer in _dense_layers(model))


@contextlib.contextmanager
def merged_in_float32(model: BertWithHeads) -> Iterator[None]:
    """Makes Keras save W + A·B in float32 in the block.

    It would round the sum to the 16 bits of mixed precision, though W, A and B
    are float32.

    Args:
        model: perhaps changed by `add_lora`; not to be called in the block.
    """
    layers = [one for one in _dense_layers(model) if one.lora_enabled]
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def save_lora(path: str | os.PathLike[str], model: BertWithHeads) -> None:
    """Writes the trained weights: A and B of each layer, and the head.

    Args:
        path: of a safetensors file with `<layer>/lora_kernel_a`, `…_b`, and
            the rank and the factor of A·B as metadata.
        model: changed by `add_lora`.
    """
    layers = _dense_layers(model)
    metadata = {"rank": layers[0].lora_rank, "alpha": layers[0].lora_alpha}
    save_file(
        {weight.path: weight.numpy() for weight in model.trainable_weights},
        path,
        {"lora": json.dumps(metadata)},
    )


def _dense_layers(model: BertWithHeads) -> list[keras.layers.Dense]:
    return [
        layer
        for layer in flatten_layers(model.bert)
        if isinstance(layer, keras.layers.Dense)
    ]
