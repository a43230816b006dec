"""Gradients → updates: the optimisers of BERT and their schedule.

Running steps on data is `training`'s matter.
"""

from optimization.adam_weight_decay import AdamWeightDecay
from optimization.choices import (
    DEFAULT_OPTIMIZER,
    OPTIMIZERS,
    check_learning_rate,
    create_optimizer,
)
from optimization.lamb import Lamb
from optimization.lazy_rows import only_rows
from optimization.schedules import WarmupPolynomialDecay

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
