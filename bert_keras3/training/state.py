"""The saved state of a training, from which it resumes bit for bit.

The state is one safetensors file: weights, states of random number generators,
optimizer slots and, as JSON metadata, the numbers of the training loop. Among
these is the identity of the training (data, learning rate, seed, …): a state
with another identity is refused.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path
from bert_keras3.training.devices import Devices

Path = str | os.PathLike[str]

# A message lists so many differences and counts the others.
_DIFFERENCES_SHOWN = 5

# What messages say of a checksum instead of its value.
_CHECKSUMS = {
    "data": "the data is not the same (a file was edited, or this training was "
    "begun by an earlier version of the program, which read it differently)",
    "first_weights": "the weights to begin with are not the same",
}


def save(
    path: Path,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    numbers: Mapping[str, Any],
) -> None:
    """Writes the state; an earlier file is replaced once this one is whole.

    Args:
        path: of the state file.
        model: its variables are written, with the states of random number
            generators.
        optimizer: its variables are written, with the step number.
        numbers: further values of the loop, JSON values.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    arrays = {
        key: np.asarray(keras.ops.convert_to_numpy(variable), order="C")
        for key, variable in _keyed_variables(model, optimizer).items()
    }
    with atomic_path(path) as temporary:
        try:
            save_file(arrays, temporary, {"numbers": json.dumps(dict(numbers))})
        except SafetensorError as error:
            raise _as_os_error(path, error) from error


def read_numbers(path: Path) -> dict[str, Any] | None:
    """Returns the `numbers` of a state file, None if there is no file.

    Raises:
        UserError: the file is not a whole state file.
    """
    if not pathlib.Path(path).exists():
        return None
    with _open(path) as file:
        metadata = file.metadata() or {}
        if "numbers" not in metadata:
            raise UserError(_not_a_state(path, "it has no record of a step"))
        numbers: dict[str, Any] = json.loads(metadata["numbers"])
        return numbers


def restore(
    path: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Assigns the saved values to the variables of model and optimizer.

    Args:
        path: of the state file.
        model: built as it was when the state was saved.
        optimizer: built on that model.

    Raises:
        UserError: the file is truncated or of another model; then nothing is
            assigned.
    """
    variables = _keyed_variables(model, optimizer)
    with _open(path) as file:
        names = set(file.keys())
        if names != set(variables):
            differing = sorted(names ^ set(variables))
            raise UserError(
                _not_a_state(
                    path,
                    f"it is of another model; {differing[0]} and "
                    f"{len(differing) - 1} more names differ",
                )
            )
        for key, variable in variables.items():
            shape = tuple(file.get_slice(key).get_shape())
            if shape != tuple(variable.shape):
                raise UserError(
                    _not_a_state(
                        path,
                        f"{key} has shape {shape} there and "
                        f"{tuple(variable.shape)} in this model",
                    )
                )
        for key, variable in variables.items():
            variable.assign(file.get_tensor(key))


def align(
    devices: Devices, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Copies the chief's state to every device of a training.

    Args:
        devices: of the training.
        model: the same on every worker.
        optimizer: built on that model.
    """
    variables = [*model.variables, *optimizer.variables]
    devices.align(variables, [one for one in variables if _is_random(one)])


def _keyed_variables(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, Any]:
    """Returns {index and path: variable}.

    The path of a random state depends on how many models the process has
    made, so its key has the index only.
    """
    return {
        f"{owner}/{number}/"
        + ("random_state" if _is_random(variable) else variable.path): variable
        for owner, variables in (
            ("model", model.variables),
            ("optimizer", optimizer.variables),
        )
        for number, variable in enumerate(variables)
    }


def _is_random(variable: keras.Variable) -> bool:
    return variable.path.endswith("/seed_generator_state")


def _as_os_error(path: Path, error: SafetensorError) -> OSError:
    """Returns safetensors' error, such as a full disk, as an `OSError`."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    if number is None:
        return OSError(f"{path}: {error}")
    return OSError(int(number[1]), str(error), os.fspath(path))


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise UserError(_not_a_state(path, str(error))) from error


def _not_a_state(path: Path, reason: str) -> str:
    return (
        f"{path}: is not the state of this training: {reason}. "
        "Start anew with --overwrite_output_dir."
    )


def checksum(*arrays: np.ndarray) -> int:
    """Returns the CRC-32 of the bytes of all arrays.

    Args:
        *arrays: their order matters.
    """
    total = 0
    for array in arrays:
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return total


def check_same_training(state_path: Path, identity: Mapping[str, Any]) -> None:
    """Checks that a saved state, if there is one, is of this training.

    Args:
        state_path: of the state file.
        identity: of this training.

    Raises:
        UserError: the state is of another training or damaged.
    """
    numbers = read_numbers(state_path)
    changed = numbers and differences(numbers["identity"], identity)
    if changed:
        raise UserError(
            f"{pathlib.Path(state_path).parent}: holds a training with other "
            f"settings: {changed}. Give the same command to go "
            "on, another --output_dir, or --overwrite_output_dir to start "
            "anew."
        )


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describes the differences of two identities; "" if there are none."""
    earlier, now = _flat(earlier), _flat(now)
    changed = [
        _CHECKSUMS.get(name)
        or f"{name} was {earlier.get(name)!r} and is now {now.get(name)!r}"
        for name in sorted({*earlier, *now})
        if earlier.get(name) != now.get(name)
    ]
    if len(changed) > _DIFFERENCES_SHOWN:
        rest = len(changed) - _DIFFERENCES_SHOWN
        changed[_DIFFERENCES_SHOWN:] = [f"and {rest} more"]
    return "; ".join(changed)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flattens nested mappings: {"config": {"a": 1}} → {"config.a": 1}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat
