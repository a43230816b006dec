"""Columns beside the text: what they are, and the numbers they become."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from bert_keras3.inputs.extra_column_search import find_extra_columns
from bert_keras3.inputs.extra_columns import ExtraColumns
from bert_keras3.safekeeping.errors import UserError


def find(cells, name="c", kind=None, auto=False):
    found, left_out = find_extra_columns(
        [name], [[cell] for cell in cells], {name: kind}, auto=auto
    )
    return found.columns[0] if found.columns else left_out[name]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "", "4", "n/a"], "number"),
        (["$1,234.50", "$7", "€8.25"], "number"),
        (["10 %", "35%"], "number"),
        (["1"] * 9 + [str(10**n) for n in range(6)], "quantiles"),
        (["yes", "no", "No", ""], "boolean"),
        (["0", "1"], "boolean"),
        (["是", "否"], "boolean"),
        (["a", "b", "a", "b"], "category"),
        (["2024-02-29", "2024-03-01 12:30"], "date"),
        (["2024年2月29日", "2024年3月1日"], "date"),
        (["13/2/2024", "1/3/2024"], "date"),
        (["3,5", "1.234,50 €", "1.000"], "number"),
        (["1 234,5", "7,25", "9"], "number"),
        (["1'234.50", "8"], "number"),
        ([*map(str, range(40)), "unknown", "inf"], "number"),
        (["A1", "7", "8", "7", "8", "A1"], "category"),
        (["7", "-", "8", "?", "9"], "number"),
    ],
)
def test_what_a_column_is(cells, kind):
    assert find(cells).kind == kind


def test_numbers_of_ids_are_categories():
    assert find(["7", "8", "7", "8"], name="Clothing ID").kind == "category"


def test_a_number_is_standardized():
    """Of 1, 3 and a missing one the mean is 2 and the deviation 1."""
    column = find(["1", "3", ""])
    assert column.numbers_of(" 4 ") == [2.0, 0.0]
    assert column.numbers_of("") == [0.0, 1.0]
    assert column.numbers_of("NaN") == [0.0, 1.0]
    assert column.numbers_of("many") == [0.0, 1.0]
    assert column.note == "1 to 3; 1 missing"


def test_decimal_commas():
    """Where one value can only be read so, all are."""
    cells = ["3,5", "1.234,5", "1.000"]
    column = find(cells)
    assert column.decimal_comma
    assert "decimal comma" in column.note
    column = dataclasses.replace(column, kind="number", mean=0, deviation=1)
    found = [column.numbers_of(cell)[0] for cell in cells]
    assert found == [3.5, 1234.5, 1000]
    assert not find(["1,234", "5,678"]).decimal_comma


def test_what_pandas_makes_of_whole_numbers():
    """7.0 is the category 7, in training and later; 07 is another."""
    column = find(["7.0", "8.0", "", "7", "07", "07"], kind="category")
    assert column.values == ("07", "7", "8")
    assert column.code_of("8") == column.code_of("8.0") == 4
    # Models that were kept with values as they stood in the file.
    old = dataclasses.replace(column, values=("7.0", "8.0"))
    assert old.code_of("8") == old.code_of("8.0") == 3


def test_a_skewed_number_is_its_rank():
    """Ranks have mean 0 and variance 1, and no value is beyond ±√3."""
    values = [math.exp(n / 50) for n in range(500)]
    column = find([f"{value:.6f}" for value in values])
    ranks = [column.numbers_of(f"{value:.6f}")[0] for value in values]
    assert column.kind == "quantiles"
    assert np.mean(ranks) == pytest.approx(0, abs=0.01)
    assert np.std(ranks) == pytest.approx(1, abs=0.02)
    assert ranks == sorted(ranks)
    assert column.numbers_of("1e9")[0] == pytest.approx(math.sqrt(3))
    assert column.numbers_of("-5")[0] == pytest.approx(-math.sqrt(3))


def test_a_category_is_a_row_of_a_table():
    """The commonest first; 0 is missing and 1 unseen."""
    column = find(["b", "a", "b", "", "a", "b"])
    assert column.values == ("b", "a")
    codes = [column.code_of(cell) for cell in ("", "c", " b ", "a", "NA")]
    assert codes == [0, 1, 2, 3, 0]


def test_a_date_has_a_season_and_a_day_of_the_week():
    """1970-01-01 was a Thursday, as was 1970-01-08."""
    column = find(["1970-01-01", "1970-01-08", "1970-01-15"])
    first = column.numbers_of("1970-01-01")
    later = column.numbers_of("1970-01-15")
    np.testing.assert_allclose(first[3:], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(later[3:], first[3:], atol=1e-9)
    assert first[0] == pytest.approx(-later[0])
    assert column.numbers_of("soon") == [0.0] * 5 + [1.0]


def test_days_come_first_where_one_says_so():
    """Of 13/2 and 1/3, the second is the first of March."""
    column = find(["13/2/1970", "1/3/1970"])
    assert column.note == "1970-02-13 to 1970-03-01"


def test_a_row_of_several_columns():
    rows = [["1", "a", "yes"], ["3", "b", "no"], ["", "", ""]]
    names = ["price", "brand", "sale"]
    found, _ = find_extra_columns(names, [*rows, *rows], {}, auto=False)
    # As it comes back from a run folder or an export.
    found = ExtraColumns.from_json(json.loads(json.dumps(found.to_json())))
    assert (found.num_numbers, found.num_categories, found.num_codes) == (
        4,
        1,
        4,
    )
    row = found.encode(["3", "b", "yes"])
    np.testing.assert_array_equal(row["numbers"], [1, 0, 1, 0])
    assert row["categories"].tolist() == [3]
    assert found.written(["3", " b", ""]) == "price: 3; brand: b"


def test_a_second_category_has_codes_of_its_own():
    found, _ = find_extra_columns(
        ["x", "y"], [["a", "a"], ["b", "b"]] * 2, {}, auto=False
    )
    assert found.encode(["a", "a"])["categories"].tolist() == [2, 6]
    assert found.encode(["", ""])["categories"].tolist() == [0, 4]
    assert found.num_codes == 8


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["a", "a", "a"], "the same value in all rows"),
        ([f"text {n}" for n in range(9)], "hardly come again"),
        ([f"text {n}" for n in range(2000)], "2000 different texts"),
        (["", "", ""], "no value in any row"),
    ],
)
def test_columns_that_say_nothing(cells, why):
    assert why in find(cells, auto=True)
    with pytest.raises(UserError, match=why):
        find(cells)


def test_a_count_of_the_rows_is_left_out():
    """By auto alone: a price may be another in each row as well."""
    cells = ["11", "14", "12", "17"]
    assert find(cells, auto=True) == "numbers the rows"
    assert find(cells).kind == "number"


def test_a_kind_that_is_given():
    assert find(["1", "2", "1", "2"], kind="category").values == ("1", "2")
    assert (
        find([f"word {n}" for n in range(9)], kind="category").num_codes == 11
    )
    with pytest.raises(UserError, match="no cell that is a date"):
        find(["a", "b"], kind="date")
