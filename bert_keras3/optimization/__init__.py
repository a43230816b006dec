"""Gradients → updates: the optimisers of BERT and their schedule.

Running steps on data is `training`'s matter.
"""

from bert_keras3.optimization.adam_weight_decay import AdamWeightDecay
from bert_keras3.optimization.choices import (
    DEFAULT_OPTIMIZER,
    OPTIMIZERS,
    check_learning_rate,
    create_optimizer,
)
from bert_keras3.optimization.lamb import Lamb
from bert_keras3.optimization.lazy_rows import only_rows
from bert_keras3.optimization.schedules import WarmupPolynomialDecay

__all__ = [
    "DEFAULT_OPTIMIZER",
    "OPTIMIZERS",
    "AdamWeightDecay",
    "Lamb",
    "WarmupPolynomialDecay",
    "check_learning_rate",
    "create_optimizer",
    "only_rows",
]
