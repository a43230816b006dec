"""Which variables of a model a TensorFlow checkpoint has values for.

Kept for code written for the original; `checkpointing.load` reads more
formats and reports what does not fit.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable
from typing import Any


def get_assignment_map_from_checkpoint(
    tvars: Iterable[Any], init_checkpoint: str
) -> tuple[dict[str, str], dict[str, int]]:
    """Maps checkpoint names to equal variable names (original: same name).

    Args:
        tvars: Keras variables (named by their path) or TensorFlow variables.
        init_checkpoint: prefix of a name-based checkpoint.

    Returns:
        (assignment_map, initialized_variable_names): the first maps every
        name that both sides have to itself; the second holds those names,
        with and without ":0", each with the value 1.
    """
    import tensorflow as tf

    names = {
        re.sub(r":\d+$", "", getattr(variable, "path", variable.name))
        for variable in tvars
    }
    assignment_map: dict[str, str] = collections.OrderedDict()
    initialized_variable_names: dict[str, int] = {}
    for name, _ in tf.train.list_variables(init_checkpoint):
        if name in names:
            assignment_map[name] = name
            initialized_variable_names[name] = 1
            initialized_variable_names[f"{name}:0"] = 1
    return assignment_map, initialized_variable_names
