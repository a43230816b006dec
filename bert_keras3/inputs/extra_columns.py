"""Columns beside the text, such as a price or a brand, as numbers and codes.

    price 3.5, brand "Ant"  →  numbers [0.2, 0]  categories [4]
    price "",  brand "Bee"  →  numbers [0, 1]    categories [1]

A number becomes its distance from the mean in standard deviations; a skewed
one, its rank among the training values. Beside it stands whether it is missing.
A category is a row of an embedding table: 0 where it is missing, 1 where
training has not seen it. What is known of the training file (`ExtraColumns`,
found in `extra_column_search`) is JSON, and is kept with the model, in exports
too.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs.examples import MISSING_TEXTS
from bert_keras3.inputs.settings import AUTO

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

EPOCH = datetime.date(1970, 1, 1)
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
        value = self.value_of(cell)
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
        if is_missing_cell(value):
            return MISSING
        return self.codes.get(category_of(value), UNSEEN)

    @functools.cached_property
    def codes(self) -> Mapping[str, int]:
        """{category: its code}."""
        found: dict[str, int] = {}
        for number, value in enumerate(self.values):
            found.setdefault(category_of(value), _FIRST + number)
        return found

    def value_of(self, cell: str) -> float | None:
        """Returns the number in a cell; None: it is missing or none."""
        value = cell.strip()
        if is_missing_cell(value):
            return None
        if self.kind == DATE:
            return days_of(value, self.day_first)
        if self.kind == BOOLEAN:
            return truth_of(value)
        return number_of(value, self.decimal_comma)


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
            if not is_missing_cell(cell.strip())
        )


def _rank(value: float, quantiles: Sequence[float]) -> float:
    """Returns the rank of a value, with mean 0 and variance 1 in training.

    Of equal quantiles, the middle one counts.
    """
    places = np.linspace(0, 1, len(quantiles))
    up = np.interp(value, quantiles, places)
    down = np.interp(-value, np.negative(quantiles)[::-1], places)
    return float((up + 1 - down) / 2 - 0.5) * math.sqrt(12)


def is_missing_cell(value: str) -> bool:
    """Whether a cell, without spaces around it, says that it is missing."""
    return not value or value in MISSING_TEXTS


def truth_of(value: str) -> float | None:
    """Returns 1 for yes, 0 for no; None: it is neither."""
    folded = value.casefold()
    return 1.0 if folded in YES else 0.0 if folded in NO else None


def number_of(value: str, decimal_comma: bool) -> float | None:
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


def days_of(value: str, day_first: bool) -> float | None:
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
    days = (moment.date() - EPOCH).days
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
