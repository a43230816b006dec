"""Exports trained classifiers, and predicts with an exported model.

`export` converts a run folder to SavedModel, LiteRT or ONNX; `Predictor` loads
any of these in Python, and imports TensorFlow only for a SavedModel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bert_keras3.finetuning.multi_label import LabelSetPrediction
from bert_keras3.finetuning.regression import ValuePrediction
from bert_keras3.finetuning.single_label import Prediction
from bert_keras3.serving.formats import FORMATS
from bert_keras3.serving.predictor import Predictor

if TYPE_CHECKING:
    from bert_keras3.serving.exporter import export

__all__ = [
    "FORMATS",
    "LabelSetPrediction",
    "Prediction",
    "Predictor",
    "ValuePrediction",
    "export",
]


def __getattr__(name: str) -> Any:
    """Imports `export`, and TensorFlow with it, on first access."""
    if name != "export":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bert_keras3.serving.exporter import export

    return export
