"""How sure a metric is: the bootstrap; whether two runs differ: McNemar.

Examples that count alike are one group, so that a metric is a function of how
often each group was drawn: of a classifier's examples, those with the same
label and the same prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

NUM_DRAWS = 1000
"""Bootstrap samples."""
_MOST_DRAWN = 20_000_000  # numbers; with more groups there are fewer samples
_MOST_NUMBERS = 4_000_000  # in memory at a time
_SEED = 0

Metric = Callable[[np.ndarray], np.ndarray]
"""Counts of the groups [B, U] → a value for each of B samples."""


def intervals(
    groups: np.ndarray, metrics: Mapping[str, Metric]
) -> dict[str, tuple[float, float, float]]:
    """Returns metrics with their 95 % bootstrap percentile intervals.

    Args:
        groups: int [E], the group of each example, from 0.
        metrics: functions of the counts of the groups.

    Returns:
        {metric: (value, lower end, upper end)}.
    """
    sizes = np.bincount(groups)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
    rng = np.random.default_rng(_SEED)
    num_draws = max(100, min(NUM_DRAWS, _MOST_DRAWN // len(sizes)))
    at_once = max(1, _MOST_NUMBERS // len(sizes))
    for first in range(0, num_draws, at_once):
        number = min(at_once, num_draws - first)
        counts = rng.multinomial(
            len(groups), sizes / len(groups), number
        ).astype(np.float64)
        for name, metric in metrics.items():
            drawn[name].append(metric(counts))
    whole = sizes[None].astype(np.float64)
    found = {}
    for name, metric in metrics.items():
        low, high = np.quantile(np.concatenate(drawn[name]), (0.025, 0.975))
        found[name] = (float(metric(whole)[0]), float(low), float(high))
    return found


def mean_of(values: np.ndarray) -> Metric:
    """Returns the metric that is the mean of a value of each group [U]."""
    return lambda counts: counts @ values / counts.sum(-1)


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the p-value of McNemar's test, two-sided.

    Where the classifiers are equally good, each example that only one of them
    has right is as likely to be the first's as the second's. Exact, by the
    binomial distribution (McNemar 1947, Psychometrika 12).

    Args:
        only_first: number of examples that only the first has right.
        only_second: the same of the second.
    """
    import scipy.stats

    total = only_first + only_second
    if not total:
        return 1.0
    return float(scipy.stats.binomtest(only_first, total, 0.5).pvalue)


def paired_p_value(differences: np.ndarray) -> float:
    """Returns the p-value of a paired comparison of scores that are no 0 or 1.

    The signs of the differences are drawn at random, 10,000 times: how often
    is their mean as far from 0 as the one that was found?

    Args:
        differences: float [E].
    """
    rng = np.random.default_rng(_SEED)
    values = differences[differences != 0].astype(np.float64)
    if not len(values):
        return 1.0
    found = abs(values.sum())
    draws, exceeding = 10_000, 0
    at_once = max(1, _MOST_NUMBERS // len(values))
    for first in range(0, draws, at_once):
        number = min(at_once, draws - first)
        signs = rng.integers(0, 2, (number, len(values)), np.int8) * 2 - 1
        sums = np.abs(signs @ values)
        exceeding += int(np.sum(sums >= found - 1e-12 * math.fabs(found)))
    return (exceeding + 1) / (draws + 1)
