"""What the cells of a column are like: numbers, dates, classes, texts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from bert_keras3.inputs import examples

# Cells of JSON that hold objects, not texts or labels.
_OBJECTS = re.compile(r"\{|\[\s*\{")
_YES_AND_NO = ({"0", "1"}, {"0.0", "1.0"}, {"true", "false"}, {"yes", "no"})
# A column with more values than this, or with fewer rows for each value, is no
# label unless its name says so.
_MOST_LABELS = 150
_FEWEST_ROWS_A_LABEL = 2


@dataclasses.dataclass(frozen=True)
class ColumnProfile:
    """What the cells of one column of a sample are like."""

    mean_length: float
    values: frozenset[str]
    count: int
    numeric: bool
    has_dates: bool
    has_objects: bool
    has_empty: bool
    shown: str

    @classmethod
    def of(cls, cells: Sequence[str], *, is_json: bool) -> ColumnProfile:
        """Looks at some cells.

        Args:
            cells: of the column.
            is_json: whether they are of a file of JSON objects.
        """
        stripped = [cell.strip() for cell in cells]
        filled = [cell for cell in stripped if cell]
        shown = filled[0] if filled else ""
        return cls(
            mean_length=sum(map(len, filled)) / max(1, len(filled)),
            values=frozenset(filled),
            count=len(cells),
            numeric=all(map(examples.is_number, filled)),
            has_dates=bool(filled) and all(map(examples.is_date, filled)),
            has_objects=is_json
            and bool(filled)
            and all(map(_OBJECTS.match, filled)),
            has_empty=len(filled) < len(cells),
            shown=shown if len(shown) <= 30 else shown[:29] + "…",
        )

    @property
    def unique(self) -> bool:
        """No cell is empty, and no value comes twice."""
        return not self.has_empty and len(self.values) == self.count

    @property
    def could_be_classes(self) -> bool:
        """Few values, each of which comes again."""
        return (
            not self.has_empty
            and 2 <= len(self.values) <= _MOST_LABELS
            and len(self.values) * _FEWEST_ROWS_A_LABEL <= self.count
        )

    @property
    def counts_classes(self) -> bool:
        """0, 1, 2… or 1, 2, 3… without a gap."""
        if not self.could_be_classes or not all(
            value.isdecimal() for value in self.values
        ):
            return False
        numbers = sorted(map(int, self.values))
        return numbers[0] in (0, 1) and len(numbers) == (
            numbers[-1] - numbers[0] + 1
        )

    @property
    def says_yes_or_no(self) -> bool:
        """Only 0 and 1, or words for them; one of them may be missing."""
        values = {value.casefold() for value in self.values}
        return (
            bool(values)
            and not self.has_empty
            and any(values <= words for words in _YES_AND_NO)
        )

    @property
    def could_be_scores(self) -> bool:
        """Numbers that are not merely a count of the rows."""
        return (
            self.numeric
            and not self.has_empty
            and len(self.values) > 1
            and not (
                self.unique and all(value.isdecimal() for value in self.values)
            )
        )
