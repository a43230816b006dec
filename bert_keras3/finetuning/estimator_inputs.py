"""What the estimators are given, as texts, cells and weights."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs.examples import is_missing
from bert_keras3.inputs.extra_columns import CATEGORY, column_names


def texts_of(X: Any) -> list[tuple[str, str | None]]:
    """Returns texts, or pairs, however they are given.

    Args:
        X: a list, array or Series of N strings; of N pairs; or an array or
            DataFrame of N rows and one or two columns. A missing one (None,
            NaN) is an empty text.

    Raises:
        ValueError: it is none of these; the message says which item.
    """
    if isinstance(X, (str, bytes)):
        raise ValueError("X must be a list of texts, and is one text")
    if hasattr(X, "iloc"):  # of pandas
        X = X.to_numpy(dtype=object)
    items = list(X)
    if not items:
        raise ValueError("X has no texts")
    return [_text_or_pair(number, item) for number, item in enumerate(items)]


def _text_or_pair(number: int, item: Any) -> tuple[str, str | None]:
    if isinstance(item, (list, tuple, np.ndarray)):
        parts = list(item)
        if len(parts) not in (1, 2):
            raise ValueError(
                f"X[{number}] has {len(parts)} columns; it must be a text or "
                "a pair of texts"
            )
        first, *second = (_text(number, part) for part in parts)
        return first, second[0] if second else None
    return _text(number, item), None


def _text(number: int, item: Any) -> str:
    if is_missing(item):
        return ""
    if isinstance(item, bytes):
        return item.decode("utf-8", "ignore")
    if not isinstance(item, str):
        raise ValueError(
            f"X[{number}] is {type(item).__name__} {item!r:.60}; it must be a "
            "string"
        )
    return item


def are_pairs(texts: Sequence[tuple[str, str | None]]) -> bool:
    """Whether texts are pairs; a ValueError if some are and others are not."""
    of_pairs = {second is not None for _, second in texts}
    if len(of_pairs) > 1:
        raise ValueError("X has both single texts and pairs")
    return of_pairs == {True}


def weights_of(sample_weight: Any, number: int) -> list[float]:
    """Returns `sample_weight` of N texts; 1 for each without.

    Raises:
        ValueError: it has another length, or a weight is negative or all are 0.
    """
    if sample_weight is None:
        return [1.0] * number
    weights = np.asarray(sample_weight, float)
    if weights.ndim == 0:
        weights = np.full(number, float(weights))
    if weights.shape != (number,):
        raise ValueError(
            f"sample_weight has shape {weights.shape}; X has {number} texts"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight must be finite and not negative")
    if not weights.any():
        raise ValueError("sample_weight is 0 everywhere")
    return weights.tolist()


def seed_of(random_state: Any) -> int:
    """Returns the seed that `random_state` says; 12345 for None.

    Raises:
        ValueError: it is no whole number and no `RandomState`.
    """
    if random_state is None:
        return 12345
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(np.iinfo(np.int32).max))
    if not isinstance(random_state, numbers.Integral):
        raise ValueError(
            f"random_state is {random_state!r}; it must be a whole number or a "
            "numpy.random.RandomState"
        )
    return int(random_state)


def as_table(y: Sequence[Any]) -> np.ndarray:
    """Returns a list of rows of 0 and 1 as an array [N, C].

    Raises:
        ValueError: the rows are something else, such as names of labels.
    """
    rows = [[*row] if hasattr(row, "__iter__") else row for row in y]
    try:
        return np.array(rows, float)
    except (TypeError, ValueError):
        raise ValueError(
            "y must have 0 or 1 for each label in each row; lists of names "
            "become that by sklearn.preprocessing.MultiLabelBinarizer"
        ) from None


def check_no_gaps(y: Sequence[Any]) -> None:
    """Checks that no label is missing.

    Raises:
        ValueError: one is.
    """
    for number, value in enumerate(y):
        if is_missing(value):
            raise ValueError(
                f"y[{number}] is missing ({value!r}); leave such texts out"
            )


def text_and_columns(
    X: Any, text_column: str | None, feature_columns: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """Returns the name of the column of the text, and those beside it.

    Args:
        X: a DataFrame.
        text_column: None: the first.
        feature_columns: names, perhaps with a kind behind them; columns that
            are categorical in pandas get that kind.

    Raises:
        ValueError: it is no DataFrame, or a column is missing, comes twice or
            is the text.
    """
    if isinstance(feature_columns, str) or not all(
        isinstance(name, str) for name in feature_columns
    ):
        raise ValueError(
            f"feature_columns is {feature_columns!r}; it must be a list of "
            "names of columns, such as ['price', 'brand:category']"
        )
    if not hasattr(X, "columns"):
        raise ValueError(
            "with feature_columns X must be a DataFrame, and is "
            f"{type(X).__name__}"
        )
    known = [*X.columns]
    text = known[0] if text_column is None else text_column
    names = column_names(feature_columns)
    for name in (text, *names):
        if known.count(name) != 1:
            number = "several columns" if name in known else "no column"
            raise ValueError(
                f"X has {number} {name!r}; its columns are "
                f"{', '.join(map(str, known))}"
            )
    if text in names:
        raise ValueError(
            f"column {text!r} is the text; leave it out of feature_columns, or "
            "name another one as text_column"
        )
    kinds = {
        name: CATEGORY
        if kind is None and str(X[name].dtype) == "category"
        else kind
        for name, kind in names.items()
    }
    return str(text), tuple(
        name if kind is None else f"{name}:{kind}"
        for name, kind in kinds.items()
    )
