"""Compares vectors by their cosine, and finds the nearest; NumPy alone.

    similarity([[1, 0]], [[2, 0], [1, 1]])  # [[1.0, 0.7071]]

FAISS, where it is installed, finds the same vectors in less time.
"""

from __future__ import annotations

import importlib.util

import numpy as np

# Vectors of the corpus that are compared at a time: 25 MB of cosines for a
# hundred queries.
_AT_ONCE = 1 << 16


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Divides vectors [N, D] by their length; a zero stays zero; float32."""
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the cosine of each vector with each other.

    Args:
        a: float [A, D].
        b: float [B, D].

    Returns:
        Float32 [A, B].
    """
    return normalized(a) @ normalized(b).T


def nearest(
    queries: np.ndarray, corpus: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the vectors with the largest cosines.

    Args:
        queries: float [Q, D].
        corpus: float [N, D].
        k: how many, for each query; no more than N are found.

    Returns:
        Their numbers int64 [Q, K] and cosines float32 [Q, K], the largest
        first; of equal ones the first in the corpus comes first.
    """
    k = min(k, len(corpus))
    queries, corpus = normalized(queries), np.asarray(corpus, np.float32)
    if k and len(queries) and importlib.util.find_spec("faiss") is not None:
        return _by_faiss(queries, corpus, k)
    numbers = np.zeros((len(queries), 0), np.int64)
    scores = np.zeros((len(queries), 0), np.float32)
    for start in range(0, len(corpus), _AT_ONCE):
        part = normalized(corpus[start : start + _AT_ONCE])
        found = np.arange(start, start + len(part))
        numbers = np.hstack([numbers, np.tile(found, (len(queries), 1))])
        scores = np.hstack([scores, queries @ part.T])
        numbers, scores = _best(numbers, scores, k)
    return numbers, scores


def _best(
    numbers: np.ndarray, scores: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keeps the k best of each row, sorted."""
    # A stable sort, so that of equal cosines the first comes first.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return (
        np.take_along_axis(numbers, order, 1),
        np.take_along_axis(scores, order, 1),
    )


def _by_faiss(
    queries: np.ndarray, corpus: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    import faiss

    index = faiss.IndexFlatIP(corpus.shape[1])
    for start in range(0, len(corpus), _AT_ONCE):
        index.add(normalized(corpus[start : start + _AT_ONCE]))
    scores, numbers = index.search(queries, k)
    return _best(numbers, scores, k)
