"""Whitening: vectors whose components do not correlate, all of variance 1.

Su et al. 2021, "Whitening Sentence Representations for Better Semantics and
Faster Retrieval", section 3. A few directions of nearly equal components
dominate the cosines of a model that was only pretrained; whitening takes them
away, and may keep the first components alone.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bert_keras3.safekeeping.errors import UserError

# Of the largest variance; directions with less are left out.
_LEAST_VARIANCE = 1e-6
# Of the mean's square; a smaller variance is rounding.
_ROUNDING = 1e-10


@dataclasses.dataclass(frozen=True)
class Whitening:
    """Subtracts a mean and multiplies by a matrix.

    Attributes:
        mean: float32 [D].
        kernel: float32 [D, K].
    """

    mean: np.ndarray
    kernel: np.ndarray

    @classmethod
    def fit(
        cls, vectors: np.ndarray, components: int | None = None
    ) -> Whitening:
        """Computes both from vectors.

        Args:
            vectors: float [N, D], of texts like those that are compared later.
            components: K, the directions of the largest variance that are
                kept; None for all that vary.

        Raises:
            UserError: there are fewer than two vectors, or they are all equal.
        """
        vectors = np.asarray(vectors, np.float64)
        if len(vectors) < 2:
            raise UserError(
                f"whitening is fitted on {len(vectors)} texts; give two or "
                "more, better some thousands"
            )
        mean = vectors.mean(0)
        # Ascending variances [D], and their directions in columns [D, D].
        variances, directions = np.linalg.eigh(np.cov(vectors.T, bias=True))
        variances, directions = variances[::-1], directions[:, ::-1]
        kept = int((variances > _LEAST_VARIANCE * variances[0]).sum())
        if variances[0] <= _ROUNDING * (mean @ mean):
            raise UserError(
                "whitening is fitted on texts whose vectors are all equal; "
                "give different ones"
            )
        kept = min(kept, components or kept)
        kernel = directions[:, :kept] / np.sqrt(variances[:kept])
        return cls(mean.astype(np.float32), kernel.astype(np.float32))

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """[N, D] → float32 [N, K]."""
        return (np.asarray(vectors, np.float32) - self.mean) @ self.kernel
