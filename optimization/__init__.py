"""Gradients → updates: the optimiser BERT was trained with and its schedule.

Running steps on data is `training`'s matter.
"""

from optimization.adam_weight_decay import AdamWeightDecay, create_optimizer
from optimization.schedules import WarmupPolynomialDecay

__all__ = ["AdamWeightDecay", "WarmupPolynomialDecay", "create_optimizer"]
