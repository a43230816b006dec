"""What tells one training from another, and that another one is refused.

Which values make an identity is decided where a training is begun; it is
saved by `state`.
"""

from __future__ import annotations

import os
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.state import read_numbers

# More of what was changed is only counted.
_DIFFERENCES_SHOWN = 5

# Numbers that mean nothing to a person.
_SUMS = {
    "data": "the data is not the same",
    "first_weights": "the weights to begin with are not the same",
}


def checksum(*arrays: np.ndarray) -> int:
    """Returns a number that differs if any byte of the arrays does.

    Args:
        *arrays: in an order that counts.

    Returns:
        The CRC-32 of their bytes, one after the other.
    """
    total = 0
    for array in arrays:
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return total


def refuse_another_training(
    state_path: str | os.PathLike[str], identity: Mapping[str, Any]
) -> None:
    """Checks that a state, if there is one, is of this training.

    `fit` checks it too; who writes other files before can ask first.

    Args:
        state_path: as for `fit`, as the next.
        identity: what makes this training what it is.

    Raises:
        UserError: the state is of another training or broken.
    """
    numbers = read_numbers(state_path)
    if numbers is not None:
        refuse_another(state_path, numbers["identity"], identity)


def refuse_another(
    state_path: str | os.PathLike[str],
    earlier: Mapping[str, Any],
    identity: Mapping[str, Any],
) -> None:
    """Checks that a saved training is this one.

    Args:
        state_path: where it is saved, for the message.
        earlier: its identity.
        identity: of this training.

    Raises:
        UserError: they differ.
    """
    changed = differences(earlier, identity)
    if changed:
        raise UserError(
            f"{pathlib.Path(state_path).parent}: holds a training with other "
            f"settings: {changed}. Give the same command to go "
            "on, another --output_dir, or --overwrite_output_dir to start "
            "anew."
        )


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns what differs between two identities, in words; "" if nothing."""
    earlier, now = _flat(earlier), _flat(now)
    changed = [
        _SUMS.get(name)
        or f"{name} was {earlier.get(name)!r} and is now {now.get(name)!r}"
        for name in sorted({*earlier, *now})
        if earlier.get(name) != now.get(name)
    ]
    if len(changed) > _DIFFERENCES_SHOWN:
        rest = len(changed) - _DIFFERENCES_SHOWN
        changed[_DIFFERENCES_SHOWN:] = [f"and {rest} more"]
    return "; ".join(changed)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Names what a configuration in an identity holds, one by one."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat
