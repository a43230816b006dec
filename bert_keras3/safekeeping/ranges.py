"""Numbers that users give, and which of them make sense.

Which flags there are and what their numbers may be is their readers' matter.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from bert_keras3.safekeeping.errors import UserError


class Range(NamedTuple):
    """Which values a number may have; `most` None: any above `least`."""

    name: str
    least: float
    most: float | None = None


def check_range(value: Any, allowed: Range) -> None:
    """Checks one number; None is none.

    Raises:
        UserError: it is not a finite number of the range.
    """
    if value is None:
        return
    _, least, most = allowed
    if (
        math.isfinite(value)
        and value >= least
        and (most is None or value <= most)
    ):
        return
    wanted = f"at least {least}"
    if most is not None:
        wanted = f"from {least} to {most}"
    raise UserError(f"--{allowed.name}={value}: give a number {wanted}")
