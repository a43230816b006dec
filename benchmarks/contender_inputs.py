"""What every contender of a model benchmark computes: weights and batches.

`weights` and `batches` make them. Nothing heavy is imported here, since it
would count as a contender's memory.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Batch = Mapping[str, np.ndarray]

SPAN, TAG = "span", "tag"
LENGTHS: Mapping[str, int] = {SPAN: 384, TAG: 128}
"""The longest row of tasks with an output per token, as in the scripts."""


class ContenderInputs(NamedTuple):
    """Paths of everything that a contender reads or writes.

    Attributes:
        weights: a Hugging Face folder.
        cache: for what the contenders make of it.
        batches: a file of `save_batches`.
        model_dir: the folder of a fine-tuning run, where one is compared.
    """

    weights: pathlib.Path
    cache: pathlib.Path
    batches: pathlib.Path
    model_dir: pathlib.Path


def save_batches(path: pathlib.Path, batches: Sequence[Batch]) -> None:
    """Writes batches for the contenders' processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        f"{number} {name}": array
        for number, batch in enumerate(batches)
        for name, array in batch.items()
    }
    np.savez(path, **arrays)


def load_batches(path: pathlib.Path) -> list[Batch]:
    """Reads what `save_batches` wrote."""
    batches: list[dict[str, np.ndarray]] = []
    with np.load(path) as arrays:
        for key in arrays.files:
            number, name = key.split()
            if int(number) == len(batches):
                batches.append({})
            batches[int(number)][name] = arrays[key]
    return list(batches)


def head_weights(num_outputs: int, hidden_size: int) -> np.ndarray:
    """Returns the weights of everybody's head, float32 [C, D]."""
    random = np.random.default_rng(2)
    return random.normal(0, 0.02, (num_outputs, hidden_size)).astype(np.float32)


def num_tags(batches: list[Batch]) -> int:
    """Returns the number of tags that occur."""
    return 1 + max(int(batch["tags"].max()) for batch in batches)
