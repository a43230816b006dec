"""Finds out what extra columns hold, from all rows of a training file."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bert_keras3.inputs.examples import is_date
from bert_keras3.inputs.extra_columns import (
    BOOLEAN,
    CATEGORY,
    DATE,
    EPOCH,
    NUMBER,
    QUANTILES,
    ExtraColumn,
    ExtraColumns,
    category_of,
    days_of,
    is_missing_cell,
    number_of,
    truth_of,
)
from bert_keras3.safekeeping.errors import UserError

# Different values of a column that are counted; the rest is not looked at.
_MOST_COUNTED = 200_000
# A column of more different words is a text.
_MOST_CATEGORIES = 1000
# Distance of the mean from the median and so on, as Pearson's moment.
_SKEWED = 1.0
_NUM_QUANTILES = 101
# A column is one of numbers if this share of its cells are.
_MOST_NUMBERS = 0.95
# Beside numbers, signs that there is none.
_NO_NUMBERS = frozenset(("-", "--", "–", "—", "?", "."))
# In auto, a column of words whose values hardly recur says nothing.
_FEWEST_ROWS_A_VALUE = 2
_SHOWN = 4


def find_extra_columns(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    kinds: Mapping[str, str | None],
    *,
    auto: bool,
) -> tuple[ExtraColumns, dict[str, str]]:
    """Finds out what columns hold, from all rows of a training file.

    Args:
        names: of the columns.
        rows: a cell for each of them.
        kinds: of columns by name, where it is given.
        auto: whether a column that says nothing is left out; else it is an
            error.

    Returns:
        The columns, and {name: why not} of those that are left out.

    Raises:
        UserError: a column is a text, or has one value alone.
    """
    counts: list[collections.Counter[str]]
    counts = [collections.Counter() for _ in names]
    number = 0
    for row in rows:
        number += 1
        for counter, cell in zip(counts, row, strict=True):
            value = cell.strip()
            if value in counter or len(counter) < _MOST_COUNTED:
                counter[value] += 1
    columns, left_out = [], {}
    for name, counter in zip(names, counts, strict=True):
        found = _column(name, counter, kinds.get(name), number, auto=auto)
        if isinstance(found, ExtraColumn):
            columns.append(found)
        elif auto:
            left_out[name] = found
        else:
            raise UserError(f"--feature_columns: column {name!r} {found}")
    return ExtraColumns(tuple(columns)), left_out


def _column(
    name: str,
    counts: collections.Counter[str],
    kind: str | None,
    num_rows: int,
    *,
    auto: bool,
) -> ExtraColumn | str:
    """Returns a column, or why it can be none."""
    missing = sum(n for value, n in counts.items() if is_missing_cell(value))
    filled = {v: n for v, n in counts.items() if not is_missing_cell(v)}
    if not filled:
        return "has no value in any row"
    if len(filled) < 2 and not missing:
        return "has the same value in all rows"
    day_first = _begin_with_days(filled)
    decimal_comma = _has_decimal_commas(filled)
    if kind is None:
        kind = _kind_of(name, filled, day_first, decimal_comma)
        if kind is None:
            return (
                f"has {len(filled)} different texts; an extra column is a "
                "number, a category, a truth value or a date"
            )
        if (
            kind == CATEGORY
            and len(filled) * _FEWEST_ROWS_A_VALUE > num_rows - missing
        ):
            return (
                "has values that hardly come again; say what they are with "
                f"{name}:{NUMBER} or {name}:{CATEGORY}"
            )
    if auto and len(filled) == num_rows and all(map(str.isdecimal, filled)):
        return "numbers the rows"
    share = f"; {missing} missing" if missing else ""
    if kind == CATEGORY:
        merged: collections.Counter[str] = collections.Counter()
        for value, times in filled.items():
            merged[category_of(value)] += times
        common = sorted(merged, key=lambda value: (-merged[value], value))
        shown = ", ".join(common[:_SHOWN]) + " …" * (len(common) > _SHOWN)
        return ExtraColumn(
            name,
            kind,
            values=tuple(common[:_MOST_CATEGORIES]),
            note=f"{len(common)} values: {shown}{share}",
        )
    blank = ExtraColumn(
        name, kind, day_first=day_first, decimal_comma=decimal_comma
    )
    read = [(blank.value_of(value), n) for value, n in filled.items()]
    known = [(value, n) for value, n in read if value is not None]
    if not known:
        return f"has no cell that is a {kind}"
    other = sum(n for value, n in read if value is None)
    if other:
        share += f"; {other} that are no {kind} count as missing"
    values = np.array([value for value, _ in known], np.float64)
    weights = np.array([n for _, n in known], np.float64)
    mean = float(np.average(values, weights=weights))
    deviation = math.sqrt(np.average((values - mean) ** 2, weights=weights))
    if decimal_comma and kind in (NUMBER, QUANTILES):
        share = f"; with a decimal comma{share}"
    note = _range_of(kind, values) + share
    if kind in (NUMBER, QUANTILES):
        skewness = 0.0
        if deviation:
            skewness = float(
                np.average(((values - mean) / deviation) ** 3, weights=weights)
            )
        if kind == QUANTILES or (
            abs(skewness) > _SKEWED and len(values) > _SHOWN
        ):
            return dataclasses.replace(
                blank,
                kind=QUANTILES,
                quantiles=_quantiles(values, weights),
                note=f"{note}; skewed, so by rank",
            )
    return dataclasses.replace(
        blank, mean=mean, deviation=deviation or 1.0, note=note
    )


def _kind_of(
    name: str,
    filled: Mapping[str, int],
    day_first: bool,
    decimal_comma: bool,
) -> str | None:
    """Returns what the values of a column are; None: texts."""
    if len({one.casefold() for one in filled}) <= 2 and all(
        truth_of(one) is not None for one in filled
    ):
        return BOOLEAN
    is_id = name.strip().casefold().endswith(("id", "编号", "code", "zip"))
    if _share_of_numbers(filled, decimal_comma) >= _MOST_NUMBERS:
        return CATEGORY if is_id else NUMBER
    if all(map(is_date, filled)) and any(
        days_of(one, day_first) is not None for one in filled
    ):
        return DATE
    few = len(filled) <= _MOST_CATEGORIES
    return CATEGORY if few or is_id else None


def _range_of(kind: str, values: np.ndarray) -> str:
    least, most = float(values.min()), float(values.max())
    if kind == BOOLEAN:
        return "yes or no"
    if kind == DATE:
        days = (datetime.timedelta(math.floor(one)) for one in (least, most))
        return " to ".join(str(EPOCH + day) for day in days)
    return f"{least:g} to {most:g}"


def _quantiles(values: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    """Returns evenly spaced quantiles of values that occur several times."""
    order = np.argsort(values)
    values, ends = values[order], np.cumsum(weights[order])
    wanted = np.linspace(0, ends[-1] - 1, _NUM_QUANTILES)
    places = np.searchsorted(ends, wanted, side="right")
    return tuple(values[np.minimum(places, len(values) - 1)].tolist())


def _has_decimal_commas(filled: Mapping[str, int]) -> bool:
    """Whether more values are numbers if commas are decimal ones."""
    return _share_of_numbers(filled, True) > _share_of_numbers(filled, False)


def _share_of_numbers(filled: Mapping[str, int], decimal_comma: bool) -> float:
    """Returns which share of the cells that say anything are numbers."""
    said = {v: n for v, n in filled.items() if v not in _NO_NUMBERS}
    number = sum(
        times
        for value, times in said.items()
        if number_of(value, decimal_comma) is not None
    )
    return number / max(1, sum(said.values()))


def _begin_with_days(filled: Iterable[str]) -> bool:
    """Whether a first number above 12 says that dates begin with the day."""
    for value in filled:
        first = re.match(r"(\d{1,2})[-/.]\d{1,2}[-/.]\d{2,4}", value)
        if first and int(first[1]) > 12:
            return True
    return False
