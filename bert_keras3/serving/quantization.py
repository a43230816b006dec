"""Kernels in int8: a quarter of the size, and on some runtimes the speed.

Each format has its own means: Keras' `quantize` for SavedModels, the
converter's dynamic-range quantization for LiteRT, a graph of integer products
by `onnx_rewriting` for ONNX. All of them round the kernels of dense layers
once, channel by channel or as a whole, and activations while computing; none
needs data. What is quantized stays otherwise as `saved_model` and
`id_formats` write it.
"""

from __future__ import annotations

import os
from typing import Any

import keras
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from modeling import BertWithHeads
from modeling.keras_private import flatten_layers

INT8 = "int8"
MODES = (INT8,)


def quantize_dense_layers(model: BertWithHeads) -> None:
    """Makes every dense layer of a model compute in int8, Keras' way.

    A kernel gets a scale for each output, the activations one for each row.

    Args:
        model: changed in place; it can no longer be trained.
    """
    for layer in flatten_layers(model):
        if isinstance(layer, keras.layers.Dense):
            layer.quantize(INT8)


def litert_options() -> dict[str, Any]:
    """Returns what to tell the LiteRT converter: dynamic-range int8."""
    return {"optimizations": [tf.lite.Optimize.DEFAULT]}


def quantize_onnx(path: str | os.PathLike[str]) -> None:
    """Replaces an ONNX file by its int8 form.

    The encoder's products are rounded as Keras rounds them: kernels get a
    scale for each output, activations one for each row. ONNX Runtime's own
    quantizer has one scale for a whole tensor, by which the answer to a text
    depends on the largest values of the others in its batch. Pooler and
    classifier, small and last, stay in float32.

    Args:
        path: of the file, opset 17.

    Raises:
        UserError: no product was found; the file is as it was.
    """
    import onnx

    from bert_keras3.serving.onnx_rewriting import Rewriting

    model = onnx.load(path)
    rewriting = Rewriting(model.graph)
    # They win back the time that the scales of the rows take.
    rewriting.name_layer_norms()
    rewriting.divide_before_erf()
    if not rewriting.round_products("/encoder"):
        # Another version of an exporter may give other names.
        raise UserError(
            "--quantize=int8: the exported graph has no product under the "
            "name of the encoder, so there is nothing to round; export with "
            "the versions of requirements-dev.lock, or without --quantize"
        )
    onnx.checker.check_model(model)
    onnx.save(model, path)
