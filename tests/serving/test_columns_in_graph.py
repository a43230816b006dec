"""Cells in a graph: the same numbers as in Python, whatever is in them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings, strategies

from bert_keras3.inputs.extra_column_search import find_extra_columns
from bert_keras3.serving.columns_in_graph import (
    encode_in_graph,
    write_in_graph,
)

NAMES = ("price", "skewed", "sale", "brand", "town", "comma", "code")
ROWS = [
    ["1", "1", "yes", "Ant", "巴黎", "1,5", "7.0"],
    ["$2.50", "1", "no", "Bee", "Oslo", "1.234,5", "08"],
    ["", "10", "No", "Ant", "", "", ""],
    ["1,234", "100", "", "", "Oslo", "3", "7"],
    ["3 %", "1000", "YES", "Bee", "巴黎", "-2,25", "08"],
    ["-4e1", "1e4", "no", "Ant", "Oslo", "2\u202f000", "9"],
]
EXTRA, _ = find_extra_columns(NAMES, ROWS * 2, {}, auto=False)

CELLS = strategies.one_of(
    strategies.sampled_from([cell for row in ROWS for cell in row]),
    strategies.sampled_from(
        [
            *(" Ant ", "\u00a0Bee\u3000", "ant", "NaN", "N/A", "nan ", "TRUE"),
            *("1,23", "1_0", "1e999", ".5", "5.", "-", "€ 7", "٣", "0x1", "是"),
            *("5000", "0.5", "inf", "12\n", "9.0", "09.0", "7.00", "1 234"),
            *("1.000.000", "1,000,000.5", "1’000", "\u00a05\u00a0€"),
        ]
    ),
    strategies.floats(-1e6, 1e6).map(repr),
)


@tf.function(input_signature=[tf.TensorSpec([None, 7], tf.string)])
def in_graph(cells):
    text = tf.fill([tf.shape(cells)[0]], "x")
    return encode_in_graph(EXTRA, cells), write_in_graph(EXTRA, cells, text)


def test_what_the_columns_are():
    assert [column.kind for column in EXTRA.columns] == [
        *("quantiles", "quantiles", "boolean", "category", "category"),
        *("number", "category"),
    ]


@settings(max_examples=150, deadline=None)
@given(strategies.lists(CELLS, min_size=7, max_size=7))
def test_a_row_is_as_in_python(cells):
    features, text = in_graph(tf.constant([cells]))
    wanted = EXTRA.encode(cells)
    # Both are computed in float64 and rounded once.
    np.testing.assert_allclose(
        features["numbers"][0], wanted["numbers"], rtol=2e-7, atol=1e-7
    )
    np.testing.assert_array_equal(
        features["categories"][0], wanted["categories"]
    )
    written = EXTRA.written(cells)
    assert text.numpy()[0].decode() == (f"{written}. x" if written else "x")
