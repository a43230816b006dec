"""Kernels in int8: a quarter of the size, and on some runtimes the speed.

Each format has its own means: Keras' `quantize` for SavedModels, the
converter's dynamic-range quantization for LiteRT, ONNX Runtime's dynamic
quantization for ONNX. All of them round the kernels of dense layers once,
channel by channel or as a whole, and activations while computing; none needs
data. What is quantized stays otherwise as `saved_model` and `id_formats`
write it.
"""

from __future__ import annotations

import logging
import os
import pathlib
import tempfile
from typing import Any

import keras
import tensorflow as tf

from finetuning.classifier import BertClassifier

INT8 = "int8"
MODES = (INT8,)


def quantize_dense_layers(model: BertClassifier) -> None:
    """Makes every dense layer of a model compute in int8, Keras' way.

    A kernel gets a scale for each output, the activations one for each row.

    Args:
        model: changed in place; it can no longer be trained.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.quantize(INT8)


def litert_options() -> dict[str, Any]:
    """Returns what to tell the LiteRT converter: dynamic-range int8."""
    return {"optimizations": [tf.lite.Optimize.DEFAULT]}


def quantize_onnx(path: str | os.PathLike[str]) -> None:
    """Replaces an ONNX file by its int8 form.

    Kernels get a scale for each output; there is one for a whole tensor of
    activations.

    Args:
        path: of the file.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        result = pathlib.Path(folder, path.name)
        # It recommends steps that are for other kinds of models.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(
                path,
                result,
                per_channel=True,
                # CPUs without VNNI overflow with eight bits on both sides.
                reduce_range=True,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["MatMul"],
            )
        finally:
            logging.disable(logging.NOTSET)
        os.replace(result, path)
