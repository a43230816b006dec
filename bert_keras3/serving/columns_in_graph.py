"""Raw cells of extra columns → features, inside a graph.

What `inputs.extra_columns.ExtraColumns` does in Python, for clients of a
SavedModel that have cells and no Python. Dates are the exception: they are
written in too many ways.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from bert_keras3.inputs.examples import MISSING_TEXTS
from bert_keras3.inputs.extra_columns import (
    BOOLEAN,
    CATEGORIES,
    CATEGORY,
    FLOAT,
    MISSING,
    NO,
    NUMBERS,
    QUANTILES,
    SEPARATORS,
    SEPARATORS_WITH_COMMA,
    SIGNS,
    THOUSANDS,
    THOUSANDS_WITH_COMMA,
    UNSEEN,
    WHOLE,
    YES,
    ExtraColumn,
    ExtraColumns,
    category_of,
)

# What Python's `strip` takes away.
_ENDS = r"^[\s\pZ\x1c-\x1f\x{85}]+|[\s\pZ\x1c-\x1f\x{85}]+$"
_SIGNS_AT_ENDS = f"^[{SIGNS}]+|[{SIGNS}]+$"


def encode_in_graph(
    extra: ExtraColumns, cells: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Returns the features of rows, as `ExtraColumns.encode` of each.

    Args:
        extra: K columns, with no dates among them.
        cells: string [N, K], in their order; "" where one is missing.

    Returns:
        `numbers` float32 [N, M] and `categories` int32 [N, number of
        categorical columns], of those that there are.
    """
    numbers: list[tf.Tensor] = []
    codes: list[tf.Tensor] = []
    first = 0
    for place, column in enumerate(extra.columns):
        cell = _stripped(cells[:, place])
        if column.kind == CATEGORY:
            codes.append(first + _codes(column, cell))
            first += column.num_codes
        else:
            numbers += _numbers(column, cell)
    features = {}
    if numbers:
        features[NUMBERS] = tf.cast(tf.stack(numbers, axis=1), tf.float32)
    if codes:
        features[CATEGORIES] = tf.stack(codes, axis=1)
    return features


def write_in_graph(
    extra: ExtraColumns, cells: tf.Tensor, text: tf.Tensor
) -> tf.Tensor:
    """Returns texts with their columns before them, string [N].

    Args:
        extra: K columns.
        cells: string [N, K].
        text: string [N].
    """
    written = tf.fill(tf.shape(text), "")
    for place, name in enumerate(extra.names):
        cell = _stripped(cells[:, place])
        part = tf.strings.join([f"{name}: ", cell])
        before = tf.where(written == "", "", tf.strings.join([written, "; "]))
        with_part = tf.strings.join([before, part])
        written = tf.where(_is_missing(cell), written, with_part)
    return tf.where(written == "", text, tf.strings.join([written, ". ", text]))


def _stripped(cell: tf.Tensor) -> tf.Tensor:
    cell = tf.strings.unicode_transcode(cell, "UTF-8", "UTF-8", errors="ignore")
    return tf.strings.regex_replace(cell, _ENDS, "")


def _is_any_of(cell: tf.Tensor, values: list[str]) -> tf.Tensor:
    """Whether a cell is one of some values, bool [N]."""
    return tf.reduce_any(cell[:, None] == tf.constant(values)[None], axis=1)


def _is_missing(cell: tf.Tensor) -> tf.Tensor:
    return _is_any_of(cell, ["", *sorted(MISSING_TEXTS)])


def _codes(column: ExtraColumn, cell: tf.Tensor) -> tf.Tensor:
    """Returns the code of each category, int32 [N]."""
    # [N, values]
    cell = tf.strings.regex_replace(cell, f"^{WHOLE}$", r"\1")
    same = (
        cell[:, None] == tf.constant([*map(category_of, column.values)])[None]
    )
    code = UNSEEN + 1 + tf.argmax(same, axis=1, output_type=tf.int32)
    code = tf.where(tf.reduce_any(same, axis=1), code, UNSEEN)
    return tf.where(_is_missing(cell), MISSING, code)


def _numbers(column: ExtraColumn, cell: tf.Tensor) -> list[tf.Tensor]:
    """Returns the numbers of each cell, float64 [N] each."""
    if column.kind == BOOLEAN:
        folded = tf.strings.lower(cell, encoding="utf-8")
        is_yes = _is_any_of(folded, sorted(YES))
        value = tf.cast(is_yes, tf.float64)
        is_known = is_yes | _is_any_of(folded, sorted(NO))
    else:
        value, is_known = _parsed(column, cell)
    is_known &= ~_is_missing(cell)
    if column.kind == QUANTILES:
        scaled = _ranks(value, column.quantiles)
    else:
        scaled = (value - column.mean) / column.deviation
    zero = tf.zeros_like(scaled)
    return [
        tf.where(is_known, scaled, zero),
        tf.cast(~is_known, tf.float64),
    ]


def _parsed(
    column: ExtraColumn, cell: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the numbers in cells, and in which there is one."""
    text = tf.strings.regex_replace(cell, _SIGNS_AT_ENDS, "")
    thousands, separators = THOUSANDS, SEPARATORS
    if column.decimal_comma:
        thousands, separators = THOUSANDS_WITH_COMMA, SEPARATORS_WITH_COMMA
    text = tf.where(
        tf.strings.regex_full_match(text, thousands),
        tf.strings.regex_replace(text, separators, ""),
        text,
    )
    if column.decimal_comma:
        text = tf.strings.regex_replace(text, ",", ".")
    is_number = tf.strings.regex_full_match(text, FLOAT)
    value = tf.strings.to_number(tf.where(is_number, text, "0"), tf.float64)
    return value, is_number & tf.math.is_finite(value)


def _ranks(value: tf.Tensor, quantiles: tuple[float, ...]) -> tf.Tensor:
    """Returns what `extra_columns.rank` does, for each value."""
    up = _interpolated(value, np.array(quantiles))
    down = _interpolated(-value, -np.array(quantiles)[::-1])
    return ((up + 1 - down) / 2 - 0.5) * np.sqrt(12)


def _interpolated(value: tf.Tensor, quantiles: np.ndarray) -> tf.Tensor:
    """Does what `np.interp` does, to places from 0 to 1."""
    last = len(quantiles) - 1
    ends = tf.constant(quantiles, tf.float64)
    place = tf.searchsorted(ends, value, side="right") - 1
    place = tf.clip_by_value(place, 0, last - 1)
    low, high = tf.gather(ends, place), tf.gather(ends, place + 1)
    share = tf.math.divide_no_nan(value - low, high - low)
    share = tf.clip_by_value(share, 0, 1)
    # All equal, and at or beyond them.
    is_beyond = (high == low) & (value >= high)
    share = tf.where(is_beyond, tf.ones_like(share), share)
    return (tf.cast(place, tf.float64) + share) / last
