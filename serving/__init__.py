"""Trained classifiers for use elsewhere: exported folders and warm answers.

`export` writes a run folder out as SavedModel, LiteRT or ONNX; `Predictor`
answers from a SavedModel in Python. How a model is trained, and what lies in
its run folder, is `finetuning`'s matter.
"""

from serving.answers import LabelSetPrediction, Prediction, ValuePrediction
from serving.exporter import FORMATS, export
from serving.predictor import Predictor

__all__ = [
    "FORMATS",
    "LabelSetPrediction",
    "Prediction",
    "Predictor",
    "ValuePrediction",
    "export",
]
