"""Low-rank adaptation: training two thin matrices beside each frozen kernel.

Hu et al. 2021, section 4.1, through Keras' own `Dense.enable_lora`. What a run
folder has as its model is the sum, a plain BERT; the thin matrices lie beside
it in a file of their own.
"""

from __future__ import annotations

import json
import os

import keras
from safetensors.numpy import save_file

from modeling import BertWithHeads
from modeling.keras_private import flatten_layers


def add_lora(model: BertWithHeads, rank: int) -> None:
    """Freezes the encoder and lets every dense layer in it learn A·B.

    A kernel W [I, O] becomes W + A·B with A [I, rank], random, and B [rank,
    O], zero: at first nothing changes. The head stays trainable. A and B are
    decayed as kernels are, what is frozen is not.

    Args:
        model: its first weights assigned; changed in place.
        rank: of A·B.
    """
    for weight in model.bert.weights:
        weight.trainable = False
    for layer in _dense_layers(model):
        layer.enable_lora(rank)


def has_lora(model: BertWithHeads) -> bool:
    """Returns whether `add_lora` was there."""
    return any(layer.lora_enabled for layer in _dense_layers(model))


def save_lora(path: str | os.PathLike[str], model: BertWithHeads) -> None:
    """Writes what was learnt beside the frozen weights.

    Args:
        path: of a safetensors file: `<layer>/lora_kernel_a`, `…_b` and the
            head, with the rank and the factor of A·B as metadata.
        model: as `add_lora` left it.
    """
    layers = _dense_layers(model)
    told = {"rank": layers[0].lora_rank, "alpha": layers[0].lora_alpha}
    save_file(
        {weight.path: weight.numpy() for weight in model.trainable_weights},
        path,
        {"lora": json.dumps(told)},
    )


def _dense_layers(model: BertWithHeads) -> list[keras.layers.Dense]:
    return [
        layer
        for layer in flatten_layers(model.bert)
        if isinstance(layer, keras.layers.Dense)
    ]
