"""Which rows of the encoder's matrix belong to which position of the batch.

Dense layers, LayerNorm and activations work on a matrix of rows and need not
know; `attention` alone asks, since it looks across positions.
"""

from __future__ import annotations

from typing import Any, Protocol

from keras import ops


class Rows(Protocol):
    """A choice of the positions of a batch [B, S] as R rows.

    Attributes:
        batch: B, an int or a scalar tensor.
        length: S, likewise.
    """

    batch: Any
    length: Any

    def to_batch(self, matrix: Any) -> Any:
        """[R, W] → [B·S, W]; 0 at positions that have no row."""

    def from_batch(self, matrix: Any) -> Any:
        """[B·S, W] → [R, W]."""

    def first_tokens(self, matrix: Any) -> Any:
        """[R, W] → [B, W], the row of each sequence's first position."""


class AllRows:
    """Every position, padding too, as in the original: R = B·S."""

    def __init__(self, batch: Any, length: Any) -> None:
        """Takes B and S."""
        self.batch = batch
        self.length = length

    def to_batch(self, matrix: Any) -> Any:
        """Nothing to do."""
        return matrix

    def from_batch(self, matrix: Any) -> Any:
        """Nothing to do."""
        return matrix

    def first_tokens(self, matrix: Any) -> Any:
        """Every S-th row."""
        shape = (self.batch, self.length, matrix.shape[-1])
        return ops.reshape(matrix, shape)[:, 0, :]


class RealRows:
    """The positions that are not padding: no work is done on the others.

    What is computed at real positions is the same as with all rows, since
    attention gives padding a weight of exactly 0 (exp(−10000) is 0 in
    float32). Two kinds of masked positions have rows all the same: the first
    of each sequence, which the pooler reads, and all of a sequence that is
    nothing but padding, whose scores are all equally low.
    """

    def __init__(self, input_mask: Any) -> None:
        """Finds the rows.

        Args:
            input_mask: int32 [B, S], 1 for tokens, 0 for padding.
        """
        self.batch, self.length = ops.shape(input_mask)
        real = ops.not_equal(input_mask, 0)
        empty = ops.logical_not(ops.any(real, axis=1, keepdims=True))
        first = ops.equal(ops.arange(self.length), 0)
        kept = ops.reshape(
            ops.logical_or(ops.logical_or(real, empty), first), (-1,)
        )
        self._positions = ops.cast(ops.nonzero(kept)[0], "int32")
        before = ops.cumsum(ops.cast(kept, "int32")) - 1
        self._first = ops.reshape(before, (self.batch, self.length))[:, 0]

    def to_batch(self, matrix: Any) -> Any:
        """Spreads the rows; the gradient gathers them."""
        return self._spread(matrix)

    def from_batch(self, matrix: Any) -> Any:
        """Gathers the rows; the gradient spreads them."""

        # A gather's own gradient would add up rows that occur twice, slowly.
        @ops.custom_gradient
        def gather(x: Any) -> Any:
            def gradient(*upstream: Any) -> Any:
                return self._spread(upstream[-1])

            return self._gather(x), gradient

        return gather(matrix)

    def first_tokens(self, matrix: Any) -> Any:
        """Gathers the rows of the first positions."""
        return ops.take(matrix, self._first, axis=0)

    def _gather(self, matrix: Any) -> Any:
        return ops.take(matrix, self._positions, axis=0)

    def _spread(self, matrix: Any) -> Any:
        return ops.scatter(
            ops.expand_dims(self._positions, 1),
            matrix,
            (self.batch * self.length, matrix.shape[-1]),
        )
