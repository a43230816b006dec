"""What the estimators are given, as texts, cells and weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


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
    # NaN, NaT and pandas' NA are not equal to themselves, or not comparable.
    if item is None or (not isinstance(item, (str, bytes)) and item != item):
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
