"""Exports trained models, and predicts with an exported model.

`export` converts a run folder to SavedModel, LiteRT or ONNX; `Predictor` loads
any of these in Python, and imports TensorFlow only for a SavedModel. What it
predicts has a class for each task. `MaskedLM` asks a pretrained checkpoint,
`Encoder` makes vectors of texts, and `Explainer` says which tokens made an
answer.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bert_keras3.serving.formats import FORMATS
from bert_keras3.serving.predictor import Predictor

if TYPE_CHECKING:
    from bert_keras3.explaining.explainer import Explainer, Explanation
    from bert_keras3.finetuning.choice import ChoicePrediction
    from bert_keras3.finetuning.multi_label import LabelSetPrediction
    from bert_keras3.finetuning.regression import ValuePrediction
    from bert_keras3.finetuning.single_label import Prediction
    from bert_keras3.finetuning.span import SpanPrediction
    from bert_keras3.mask_filling.masked_lm import MaskedLM
    from bert_keras3.serving.encoder import Encoder, Hit
    from bert_keras3.serving.exporter import export, export_vectors
    from bert_keras3.tagging.answering import EntityPrediction
    from bert_keras3.vectors.whitening import Whitening

__all__ = [
    "FORMATS",
    "ChoicePrediction",
    "Encoder",
    "EntityPrediction",
    "Explainer",
    "Explanation",
    "Hit",
    "LabelSetPrediction",
    "MaskedLM",
    "Prediction",
    "Predictor",
    "SpanPrediction",
    "ValuePrediction",
    "Whitening",
    "export",
    "export_vectors",
]

# Imported on first access: what loads TensorFlow, and tasks one by one.
_FILES = {
    "ChoicePrediction": "finetuning.choice",
    "Encoder": "serving.encoder",
    "EntityPrediction": "tagging.answering",
    "Explainer": "explaining.explainer",
    "Explanation": "explaining.explainer",
    "Hit": "serving.encoder",
    "LabelSetPrediction": "finetuning.multi_label",
    "MaskedLM": "mask_filling.masked_lm",
    "Prediction": "finetuning.single_label",
    "SpanPrediction": "finetuning.span",
    "ValuePrediction": "finetuning.regression",
    "Whitening": "vectors.whitening",
    "export": "serving.exporter",
    "export_vectors": "serving.exporter",
}


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"bert_keras3.{_FILES[name]}")
    return getattr(module, name)
