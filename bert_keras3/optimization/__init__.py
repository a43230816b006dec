"""Gradients → updates: the optimizers of BERT and their schedule."""

from bert_keras3.optimization.adam_weight_decay import AdamWeightDecay
from bert_keras3.optimization.optimizers import (
    DEFAULT_OPTIMIZER,
    OPTIMIZERS,
    Lamb,
    WarmupPolynomialDecay,
    create_optimizer,
)
from bert_keras3.optimization.updates import only_rows

__all__ = [
    "DEFAULT_OPTIMIZER",
    "OPTIMIZERS",
    "AdamWeightDecay",
    "Lamb",
    "WarmupPolynomialDecay",
    "create_optimizer",
    "only_rows",
]
