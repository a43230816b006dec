"""Settings are dataclasses whose fields describe their flags.

    num_workers: int = flag(1, "Number of processes.", group="Data", least=1)

describes meaning, range and heading of `--num_workers`; `commands/flags.py`
defines the flags from these descriptions. No library is imported here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from bert_keras3.safekeeping.errors import UserError

GROUPS = (
    "What to do",
    "Data",
    "Model",
    "Model inputs",
    "Vocabulary",
    "Training",
    "Evaluation and prediction",
    "Masking",
    "Words and entities",
    "Columns and labels",
    "Benchmarks",
    "Further training settings",
    "Random numbers",
    "Checkpoints and logs",
    "Output files",
    "Inspection",
    "Export",
    "Speed and memory",
    "Several devices or machines",
    "Compatibility with google-research/bert",
)
"""Headings of `--help`, in order: what everybody needs comes first."""

_KEY = "flag"


@dataclasses.dataclass(frozen=True)
class Flag:
    """The description of a flag, without its type and its default."""

    help: str
    """Whole sentences that stand alone; units; what None means."""
    group: str
    """One of `GROUPS`."""
    name: str
    """As it is typed; empty: the field's."""
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    aliases: tuple[str, ...]
    found_out: bool
    """Whether the command detects the value where the flag is not given; the
    field's default is then for callers in Python."""


def flag(
    default: Any = dataclasses.MISSING,
    help: str = "",  # noqa: A002
    *,
    group: str,
    name: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    aliases: Sequence[str] = (),
    found_out: bool = False,
) -> Any:
    """Returns a dataclass field that is a flag.

    Args:
        default: the field's; without one the flag must be given.
        help: see `Flag`, as all others.
        group: one of `GROUPS`.
        name: the flag's, where it is not the field's.
        least: the smallest number allowed.
        most: the largest number allowed.
        choices: the only values allowed.
        aliases: further names of the flag.
        found_out: whether the command detects the value where the flag is
            left out, although the field has a default.
    """
    if group not in GROUPS:
        raise ValueError(f"{group} is none of {GROUPS}")
    about = Flag(
        help,
        group,
        name,
        least,
        most,
        tuple(choices),
        tuple(aliases),
        found_out,
    )
    return dataclasses.field(default=default, metadata={_KEY: about})


def flag_of(field: dataclasses.Field[Any]) -> Flag | None:
    """Returns the description of a field's flag; None if it is no flag."""
    found: Flag | None = field.metadata.get(_KEY)
    if found is None or found.name:
        return found
    return dataclasses.replace(found, name=field.name)


def check_ranges(settings: Any) -> None:
    """Checks the values of a dataclass against its fields' descriptions.

    Fields that are dataclasses themselves are not checked.

    Raises:
        UserError: a number is not a finite one of its range, or a value is
            none of its choices.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        about = flag_of(field)
        if about is not None and value is not None:
            check_value(about, value)


def check_value(about: Flag, value: Any) -> None:
    """Checks one value; see `check_ranges`."""
    if about.choices and value not in about.choices:
        raise UserError(
            f"--{about.name}={value} is not known; use "
            f"{', '.join(about.choices)}"
        )
    least, most = about.least, about.most
    if (least is None and most is None) or (
        math.isfinite(value)
        and (least is None or value >= least)
        and (most is None or value <= most)
    ):
        return
    raise UserError(
        f"--{about.name}={value}: give a number {allowed_range(about)}"
    )


def allowed_range(about: Flag) -> str:
    """Returns the range in words; empty if every number is allowed."""
    if about.least is not None and about.most is not None:
        return f"from {about.least} to {about.most}"
    if about.least is not None:
        return f"at least {about.least}"
    return "" if about.most is None else f"at most {about.most}"
