"""Quantizes the kernels of dense layers to int8, in the way of each format.

Keras' `quantize` for SavedModels, the converter's dynamic-range quantization
for LiteRT, integer products for ONNX. All of them round kernels once, and
activations while computing; none needs data. A kernel takes a quarter of the
bytes, and on some runtimes less time.
"""

from __future__ import annotations

import os
from typing import Any

import keras
import tensorflow as tf

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.exported_model import ExportedModel
from modeling.keras_private import flatten_layers

INT8 = "int8"


def quantize_dense_layers(model: ExportedModel) -> None:
    """Quantizes every dense layer of a Keras model to int8.

    A kernel has a scale for each output, activations one for each token.

    Args:
        model: changed in place; it cannot be trained afterwards.
    """
    for layer in flatten_layers(model):
        if isinstance(layer, keras.layers.Dense):
            layer.quantize(INT8)


def litert_options() -> dict[str, Any]:
    """Returns the LiteRT converter's options for dynamic-range int8."""
    return {"optimizations": [tf.lite.Optimize.DEFAULT]}


def quantize_onnx(path: str | os.PathLike[str]) -> None:
    """Replaces an ONNX file by its int8 form.

    The encoder's products are rounded as Keras rounds them: kernels have a
    scale for each output, activations one for each token. ONNX Runtime's own
    quantizer has one scale for a whole tensor, so that a prediction depends
    on the other texts in its batch. Pooler and classifier, small and last,
    stay in float32.

    Args:
        path: the file, of opset 17.

    Raises:
        UserError: no product was found; the file is as it was.
    """
    import onnx

    from bert_keras3.serving.onnx_rewriting import Rewriting

    model = onnx.load(path)
    rewriting = Rewriting(model.graph)
    # These save the time that the scales of the tokens take.
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
