"""Trains a model on encoded examples and keeps the best weights.

The original's number of steps, weights per example, and the evaluations
between the steps; the loop itself is `training.fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bert_keras3.finetuning.settings import TrainingSettings
from bert_keras3.finetuning.task import (
    EXAMPLE_WEIGHTS,
    TARGETS,
    Examples,
)
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, Column
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.identity import checksum


def steps_of(
    num_examples: int, training: TrainingSettings
) -> tuple[int, tuple[int, ...]]:
    """Returns how many steps there are, and after which an epoch ends.

    As in the original: int(examples / batch size · epochs).

    Raises:
        UserError: not even one step comes of it.
    """
    in_an_epoch = num_examples / training.train_batch_size
    num_steps = int(in_an_epoch * training.num_train_epochs)
    if num_steps < 1:
        raise UserError(
            f"{num_examples} examples in batches of "
            f"--train_batch_size={training.train_batch_size}, "
            f"--num_train_epochs={training.num_train_epochs} times: that is "
            "not one whole step. Give smaller batches or more epochs."
        )
    ends = (
        int(in_an_epoch * epoch)
        for epoch in range(1, int(training.num_train_epochs) + 1)
    )
    return num_steps, tuple(sorted({end for end in ends if end}))


def with_class_weights(
    examples: Examples, num_labels: int, class_weight: str
) -> Examples:
    """Adds a column with a weight for each example, by its label.

    "balanced" weighs a label by examples / (labels · examples with this
    label), as scikit-learn does.

    Args:
        examples: to train on; their targets are label numbers.
        num_labels: how many there are, C.
        class_weight: "balanced".

    Returns:
        The examples with a column of weights, float32; other examples of the
        file have 1.
    """
    weights = np.ones(len(examples.store), np.float32)
    weights[examples.rows] = example_weights(
        examples.column(TARGETS), num_labels, class_weight
    )
    store = examples.store.with_column(
        EXAMPLE_WEIGHTS, Column(weights.dtype.name), weights
    )
    return Examples(examples.source, store, examples.numbers)


def example_weights(
    targets: np.ndarray, num_labels: int, class_weight: str
) -> np.ndarray:
    """Returns the weight of each target's label, float32 [N]."""
    from sklearn.utils.class_weight import compute_class_weight

    numbers = np.unique(targets)
    weights = np.ones(num_labels, np.float32)
    weights[numbers] = compute_class_weight(
        class_weight, classes=numbers, y=targets
    )
    return weights[targets]


def data_checksum(train: Examples, dev: Examples | None) -> int:
    """Returns a checksum of what is trained and evaluated on."""
    return checksum(
        train.store.arrays["input_ids"],
        train.store.offsets,
        train.rows,
        *_targets(train),
        *(() if dev is None else (dev.rows, *_targets(dev))),
    )


def _targets(examples: Examples) -> list[np.ndarray]:
    """Returns the columns that are no inputs, of these examples."""
    columns = examples.store.columns
    return [
        examples.column(name)
        for name in columns
        if name not in (*INPUT_COLUMNS, EXAMPLE_WEIGHTS)
    ]
