"""Everything a training needs to go on as if it had never stopped.

One file: weights, random states, optimizer slots, and the loop's own numbers,
among them the identity of the training: another one is refused. What the loop
does with the file is in `fit`.
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

# More of what was changed is only counted.
_DIFFERENCES_SHOWN = 5

# Numbers that mean nothing to a person.
_CHECKSUMS = {
    "data": "the data is not the same",
    "first_weights": "the weights to begin with are not the same",
}


def save(
    path: Path,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    numbers: Mapping[str, Any],
) -> None:
    """Writes the state; the file that was there stays until this is whole.

    Args:
        path: of the state file (safetensors).
        model: its variables are written, random states included.
        optimizer: its variables are written, the step number included.
        numbers: whatever else the loop wants back; JSON-able.

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
    """Returns the loop's numbers from a state file, None without a file.

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
    """Puts the saved values into the variables of both.

    Args:
        path: of the state file.
        model: built as it was when the state was saved.
        optimizer: built on that model.

    Raises:
        UserError: the file is cut short or is of another model; nothing has
            been assigned then.
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
    """Gives every device of a training the chief's state.

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
    """Names every variable by its place and its path.

    Keras numbers random states anew for every model of a process, so those
    go by their place alone.
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
    """Returns the error that the library gives as text: of a full disk."""
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
    state_path: Path, identity: Mapping[str, Any]
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
    state_path: Path,
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
    """Names what a configuration in an identity holds, one by one."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return flat
