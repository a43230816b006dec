"""Settings are dataclasses whose fields describe their flags.

    num_workers: int = flag(1, "Number of processes.", group="Data", least=1)

describes meaning, range and heading of `--num_workers`; `commands/flags.py`
defines the flags from these descriptions. No library is imported here.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from bert_keras3.safekeeping.errors import UserError

GROUPS = (
    "What to do",
    "Data",
    "Model",
    "Model inputs",
    "Vocabulary",
    "Teacher and student",
    "Training",
    "Evaluation and prediction",
    "Masking",
    "Words and entities",
    "Columns and labels",
    "Benchmarks",
    "Further training settings",
    "Several trainings",
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
    placeholder: str = ""
    """What `--help` shows for the value, such as FILE; empty: by the type."""
    least: float | None = None
    """The smallest number allowed."""
    above: float | None = None
    """Numbers must be greater than this."""
    most: float | None = None
    """The largest number allowed."""
    below: float | None = None
    """Numbers must be less than this."""
    hint: str = ""
    """What messages on other numbers add, such as the usual ones."""
    choices: tuple[str, ...] = ()
    """The only values allowed."""
    aliases: tuple[str, ...] = ()
    """Further names of the flag."""
    needs: tuple[str, ...] = ()
    """Flags, or flag=value, without all of which this one has no effect; those
    that a command lacks do not count."""
    unless: tuple[str, ...] = ()
    """Flags, or flag=value, with any of which this one has no effect."""
    implies: tuple[str, ...] = ()
    """Flags that others may need, which this one does as well."""
    found_out: bool = False
    """Whether the command detects the value where the flag is not given; the
    field's default is then for callers in Python."""


def flag(
    default: Any = dataclasses.MISSING,
    help: str = "",  # noqa: A002
    *,
    group: str,
    name: str = "",
    **more: Any,
) -> Any:
    """Returns a dataclass field that is a flag.

    Args:
        default: the field's; without one the flag must be given.
        help: see `Flag`.
        group: one of `GROUPS`.
        name: the flag's, where it is not the field's.
        **more: the other fields of `Flag`.
    """
    if group not in GROUPS:
        raise ValueError(f"{group} is none of {GROUPS}")
    about = Flag(help, group, name, **more)
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
    if about.choices:
        if value not in about.choices:
            raise wrong_value(about, value)
    elif isinstance(value, (int, float)) and not (
        math.isfinite(value)
        and (about.least is None or value >= about.least)
        and (about.above is None or value > about.above)
        and (about.most is None or value <= about.most)
        and (about.below is None or value < about.below)
    ):
        raise wrong_value(about, value)


def wrong_value(
    about: Flag, value: object, wanted: str = "number"
) -> UserError:
    """Returns the error for a value that the flag cannot have.

    Args:
        about: the flag.
        value: as it was given.
        wanted: what it should have been, for a flag without choices.
    """
    if about.choices:
        allowed = f"one of {', '.join(about.choices)}"
    else:
        limits = allowed_range(about)
        preposition = " of" if limits.startswith("at ") else ""
        allowed = f"a {wanted}{preposition} {limits}".rstrip()
    hint = f"; {about.hint}" if about.hint else ""
    return UserError(f"--{about.name}={value}: give {allowed}{hint}")


def allowed_range(about: Flag) -> str:
    """Returns the range in words; empty if every number is allowed."""
    if about.least is not None and about.most is not None:
        return f"from {about.least} to {about.most}"
    limits = {
        "at least": about.least,
        "above": about.above,
        "at most": about.most,
        "below": about.below,
    }
    return " and ".join(
        f"{word} {limit}" for word, limit in limits.items() if limit is not None
    )
