"""Columns beside the text, such as a price or a brand, as numbers and codes.

    price 3.5, brand "Ant"  →  numbers [0.2, 0]  categories [4]
    price "",  brand "Bee"  →  numbers [0, 1]    categories [1]

A number becomes its distance from the mean in standard deviations; a skewed
one, its rank among the training values. Beside it stands whether it is missing.
A category is a row of an embedding table: 0 where it is missing, 1 where
training has not seen it. What is known of the training file (`ExtraColumns`)
is JSON, and is kept with the model, in exports too.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs.examples import MISSING_TEXTS, is_date
from bert_keras3.inputs.settings import AUTO
from bert_keras3.safekeeping.errors import UserError

NUMBER, QUANTILES = "number", "quantiles"
CATEGORY, BOOLEAN, DATE = "category", "boolean", "date"
KINDS = (NUMBER, QUANTILES, CATEGORY, BOOLEAN, DATE)

# The names of the features that a model reads.
NUMBERS, CATEGORIES = "numbers", "categories"
MISSING, UNSEEN = 0, 1
_FIRST = UNSEEN + 1

YES = frozenset(("true", "yes", "y", "t", "1", "1.0", "是", "有", "真"))
NO = frozenset(("false", "no", "n", "f", "0", "0.0", "否", "无", "假"))
# What may stand around a number; expressions that RE2 reads as well.
SIGNS = "$€£¥￥% \u00a0\u202f"
# Between thousands; with a decimal comma, a full stop in place of the comma.
SEPARATORS = "[, '’\u00a0\u202f]"
SEPARATORS_WITH_COMMA = SEPARATORS.replace(",", ".")
THOUSANDS = rf"[-+]?[0-9]{{1,3}}({SEPARATORS}[0-9]{{3}})+([.][0-9]*)?"
THOUSANDS_WITH_COMMA = (
    rf"[-+]?[0-9]{{1,3}}({SEPARATORS_WITH_COMMA}[0-9]{{3}})+(,[0-9]*)?"
)
FLOAT = r"[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?"
# pandas writes whole numbers so where another cell of their column is missing.
WHOLE = r"([-+]?[0-9]+)[.]0"

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

_EPOCH = datetime.date(1970, 1, 1)
_DAYS_OF_A_YEAR = 365.2425


@dataclasses.dataclass(frozen=True)
class ExtraColumn:
    """One column, as the training file has it.

    Attributes:
        name: of the column.
        kind: one of `KINDS`.
        mean: of the numbers, or of the days since 1970 of dates.
        deviation: their standard deviation.
        quantiles: of the numbers, evenly spaced from the least to the most.
        values: the categories, the commonest first.
        day_first: whether dates such as 3/4/2020 begin with the day.
        decimal_comma: whether numbers are written as 1.234,5.
        note: what was found, in words.
    """

    name: str
    kind: str
    mean: float = 0.0
    deviation: float = 1.0
    quantiles: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    day_first: bool = False
    decimal_comma: bool = False
    note: str = ""

    @property
    def width(self) -> int:
        """How many numbers a cell becomes."""
        return {CATEGORY: 0, DATE: 6}.get(self.kind, 2)

    @property
    def num_codes(self) -> int:
        """How many codes there are for a cell; 0: it has none."""
        return _FIRST + len(self.values) if self.kind == CATEGORY else 0

    def numbers_of(self, cell: str) -> list[float]:
        """Returns the numbers of a cell, the last 1 where it is missing."""
        value = self._value(cell)
        if value is None:
            return [0.0] * (self.width - 1) + [1.0]
        if self.kind == QUANTILES:
            return [_rank(value, self.quantiles), 0.0]
        scaled = (value - self.mean) / self.deviation
        if self.kind != DATE:
            return [scaled, 0.0]
        of_year = 2 * math.pi * value / _DAYS_OF_A_YEAR
        of_week = 2 * math.pi * value / 7
        return [
            scaled,
            *(math.sin(of_year), math.cos(of_year)),
            *(math.sin(of_week), math.cos(of_week)),
            0.0,
        ]

    def code_of(self, cell: str) -> int:
        """Returns the code of a category."""
        value = cell.strip()
        if _is_missing(value):
            return MISSING
        return self.codes.get(category_of(value), UNSEEN)

    @functools.cached_property
    def codes(self) -> Mapping[str, int]:
        """{category: its code}."""
        found: dict[str, int] = {}
        for number, value in enumerate(self.values):
            found.setdefault(category_of(value), _FIRST + number)
        return found

    def _value(self, cell: str) -> float | None:
        """Returns the number in a cell; None: it is missing or none."""
        value = cell.strip()
        if _is_missing(value):
            return None
        if self.kind == DATE:
            return _days(value, self.day_first)
        if self.kind == BOOLEAN:
            return _truth(value)
        return _number(value, self.decimal_comma)


@dataclasses.dataclass(frozen=True)
class ExtraColumns:
    """All extra columns of a model, in order."""

    columns: tuple[ExtraColumn, ...]

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> ExtraColumns:
        """Takes what `to_json` returned.

        Raises:
            ValueError: it is damaged.
        """
        columns = []
        for one in values:
            lists = {name: tuple(one[name]) for name in ("quantiles", "values")}
            column = ExtraColumn(**{**one, **lists})
            if column.kind not in KINDS:
                raise ValueError(f"{column.kind!r} is no kind of column")
            columns.append(column)
        return cls(tuple(columns))

    def to_json(self) -> list[dict[str, Any]]:
        """Returns the columns as JSON values."""
        return [dataclasses.asdict(column) for column in self.columns]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def num_numbers(self) -> int:
        """How many numbers a row has, M."""
        return sum(column.width for column in self.columns)

    @property
    def num_categories(self) -> int:
        """How many categorical columns there are, K."""
        return sum(column.kind == CATEGORY for column in self.columns)

    @property
    def num_codes(self) -> int:
        """How many rows the table of all categories has."""
        return sum(column.num_codes for column in self.columns)

    @property
    def has_dates(self) -> bool:
        """Whether one of the columns holds dates."""
        return any(column.kind == DATE for column in self.columns)

    def encode(self, cells: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the features of a row; those without a column are left out.

        Args:
            cells: one for each column.

        Returns:
            `NUMBERS` float32 [M] and `CATEGORIES` int32 [K], the codes of
            each column behind those of the columns before.
        """
        numbers: list[float] = []
        codes: list[int] = []
        first = 0
        for column, cell in zip(self.columns, cells, strict=True):
            if column.kind == CATEGORY:
                codes.append(first + column.code_of(cell))
                first += column.num_codes
            else:
                numbers += column.numbers_of(cell)
        features = {}
        if numbers:
            features[NUMBERS] = np.array(numbers, np.float32)
        if codes:
            features[CATEGORIES] = np.array(codes, np.int32)
        return features

    def columns_of(self) -> dict[str, np.ndarray]:
        """Returns which column each value that `encode` returns is of.

        Returns:
            {name: int [M] or [K], numbers of columns}.
        """
        numbers = np.arange(len(self.columns))
        widths = [column.width for column in self.columns]
        is_category = [column.kind == CATEGORY for column in self.columns]
        return {
            NUMBERS: np.repeat(numbers, widths),
            CATEGORIES: numbers[is_category],
        }

    def known_codes(self) -> list[np.ndarray]:
        """Returns the codes of the known values of each categorical column."""
        sizes = [column.num_codes for column in self.columns]
        ends = np.cumsum(sizes).tolist()
        return [
            np.arange(end - size + _FIRST, end)
            for size, end in zip(sizes, ends, strict=True)
            if size
        ]

    def written(self, cells: Sequence[str]) -> str:
        """Returns a row in words: `price: 3.5; brand: Ant`.

        What is missing is left out.
        """
        return "; ".join(
            f"{name}: {cell.strip()}"
            for name, cell in zip(self.names, cells, strict=True)
            if not _is_missing(cell.strip())
        )


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
    missing = sum(n for value, n in counts.items() if _is_missing(value))
    filled = {v: n for v, n in counts.items() if not _is_missing(v)}
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
    read = [(blank._value(value), n) for value, n in filled.items()]
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
        _truth(one) is not None for one in filled
    ):
        return BOOLEAN
    is_id = name.strip().casefold().endswith(("id", "编号", "code", "zip"))
    if _share_of_numbers(filled, decimal_comma) >= _MOST_NUMBERS:
        return CATEGORY if is_id else NUMBER
    if all(map(is_date, filled)) and any(
        _days(one, day_first) is not None for one in filled
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
        return " to ".join(str(_EPOCH + day) for day in days)
    return f"{least:g} to {most:g}"


def _quantiles(values: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    """Returns evenly spaced quantiles of values that occur several times."""
    order = np.argsort(values)
    values, ends = values[order], np.cumsum(weights[order])
    wanted = np.linspace(0, ends[-1] - 1, _NUM_QUANTILES)
    places = np.searchsorted(ends, wanted, side="right")
    return tuple(values[np.minimum(places, len(values) - 1)].tolist())


def _rank(value: float, quantiles: Sequence[float]) -> float:
    """Returns the rank of a value, with mean 0 and variance 1 in training.

    Of equal quantiles, the middle one counts.
    """
    places = np.linspace(0, 1, len(quantiles))
    up = np.interp(value, quantiles, places)
    down = np.interp(-value, np.negative(quantiles)[::-1], places)
    return float((up + 1 - down) / 2 - 0.5) * math.sqrt(12)


def _is_missing(value: str) -> bool:
    return not value or value in MISSING_TEXTS


def _truth(value: str) -> float | None:
    folded = value.casefold()
    return 1.0 if folded in YES else 0.0 if folded in NO else None


def _number(value: str, decimal_comma: bool) -> float | None:
    """Returns the number in `$1,234.50`, `35 %` or `-2e3`."""
    text = value.strip(SIGNS)
    if decimal_comma:
        if re.fullmatch(THOUSANDS_WITH_COMMA, text):
            text = re.sub(SEPARATORS_WITH_COMMA, "", text)
        text = text.replace(",", ".")
    elif re.fullmatch(THOUSANDS, text):
        text = re.sub(SEPARATORS, "", text)
    if not re.fullmatch(FLOAT, text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def category_of(value: str) -> str:
    """Returns `7` for `7.0`, and any other value as it is."""
    return re.sub(f"^{WHOLE}$", r"\1", value)


def _has_decimal_commas(filled: Mapping[str, int]) -> bool:
    """Whether more values are numbers if commas are decimal ones."""
    return _share_of_numbers(filled, True) > _share_of_numbers(filled, False)


def _share_of_numbers(filled: Mapping[str, int], decimal_comma: bool) -> float:
    """Returns which share of the cells that say anything are numbers."""
    said = {v: n for v, n in filled.items() if v not in _NO_NUMBERS}
    number = sum(
        times
        for value, times in said.items()
        if _number(value, decimal_comma) is not None
    )
    return number / max(1, sum(said.values()))


def _begin_with_days(filled: Iterable[str]) -> bool:
    """Whether a first number above 12 says that dates begin with the day."""
    for value in filled:
        first = re.match(r"(\d{1,2})[-/.]\d{1,2}[-/.]\d{2,4}", value)
        if first and int(first[1]) > 12:
            return True
    return False


def _days(value: str, day_first: bool) -> float | None:
    """Returns the days since 1970 of a date, with the time as a fraction."""
    from dateutil import parser

    text = re.sub(r"[年月]", "-", value).replace("日", " ")
    try:
        moment = parser.parse(
            text,
            dayfirst=day_first,
            default=datetime.datetime(1970, 1, 1),
        )
    except (ValueError, OverflowError):
        return None
    days = (moment.date() - _EPOCH).days
    seconds = 3600 * moment.hour + 60 * moment.minute + moment.second
    return days + seconds / 86400


# What --feature_columns says.


def named_features(
    features: Sequence[str], names: Sequence[str]
) -> dict[str, str | None]:
    """Returns {name of a column: its kind, if given} of --feature_columns.

    Args:
        features: as they are given, by name or number; `AUTO` is left out.
        names: of all columns of the file.
    """
    folded = [name.casefold() for name in names]
    found: dict[str, str | None] = {}
    for value in features:
        name, kind = without_kind(value)
        if name.casefold() in folded:
            name = names[folded.index(name.casefold())]
        elif name.isdecimal() and 1 <= int(name) <= len(names):
            name = names[int(name) - 1]
        if name != AUTO:
            found[name] = kind
    return found


def column_names(features: Sequence[str]) -> dict[str, str | None]:
    """Returns {name: kind, if given} of columns that are given by name."""
    return dict(map(without_kind, features))


def without_kind(value: str) -> tuple[str, str | None]:
    """Splits `price:number` into a column and a kind, if there is one."""
    name, _, kind = value.strip().rpartition(":")
    return (name, kind) if name and kind in KINDS else (value.strip(), None)
