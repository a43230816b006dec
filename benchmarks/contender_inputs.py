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
