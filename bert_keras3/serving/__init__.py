"""Trained classifiers for use elsewhere: exported folders and warm answers.

`export` writes a run folder out as SavedModel, LiteRT or ONNX; `Predictor`
answers from each of them in Python, and loads TensorFlow for a SavedModel
alone. How a model is trained, and what lies in its run folder, is
`finetuning`'s matter.
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
    """Loads `export`, and TensorFlow with it, when it is asked for."""
    if name != "export":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bert_keras3.serving.exporter import export

    return export
