"""Which rows of the encoder's matrix belong to which position of the batch.

Dense layers, LayerNorm and activations work on a matrix of rows and need not
know; `attention` alone asks, since it looks across positions, and
`embeddings`, which adds them.
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

    def split_heads(self, matrix: Any, num_heads: int, size: int) -> Any:
        """[R, N·H] → [B, N, S, H].

        What stands at positions without a row is free: it is finite if the
        rows of the same sequence are, and no gradient may come back from
        there.
        """

    def join_heads(self, heads: Any) -> Any:
        """[B, N, S, H] → [R, N·H]."""

    def at(self, matrix: Any, positions: Any) -> Any:
        """[R, W], int32 [B, P] → [B·P, W]; each position has to have a row."""

    def spread(self, matrix: Any) -> Any:
        """[R, W] → [B, S, W]; 0 at positions that have no row."""

    def clear_queries(self, maps: Any) -> Any:
        """[B, N, S, T] → the same with 0 for positions that have no row."""


class AllRows:
    """Every position, padding too, as in the original: R = B·S."""

    def __init__(self, batch: Any, length: Any) -> None:
        """Takes B and S."""
        self.batch = batch
        self.length = length

    def split_heads(self, matrix: Any, num_heads: int, size: int) -> Any:
        """Transposes."""
        split = ops.reshape(matrix, (self.batch, self.length, num_heads, size))
        return ops.transpose(split, (0, 2, 1, 3))

    def join_heads(self, heads: Any) -> Any:
        """Transposes back."""
        _, num_heads, _, size = heads.shape
        joined = ops.transpose(heads, (0, 2, 1, 3))
        return ops.reshape(joined, (-1, num_heads * size))

    def at(self, matrix: Any, positions: Any) -> Any:
        """Gathers, S rows for each sequence."""
        first = ops.arange(self.batch, dtype="int32") * self.length
        return _take(matrix, positions + ops.expand_dims(first, 1))

    def spread(self, matrix: Any) -> Any:
        """[B·S, W] → [B, S, W]."""
        return ops.reshape(matrix, (self.batch, self.length, matrix.shape[-1]))

    def clear_queries(self, maps: Any) -> Any:
        """Every position has a row."""
        return maps


class RealRows:
    """The positions that are not padding: no work is done on the others.

    What is computed at real positions is the same as with all rows, since
    attention gives padding a weight of exactly 0 (exp(−10000) is 0 in
    float32). Three kinds of masked positions have rows all the same: the
    first of each sequence, which the pooler reads, all of a sequence that is
    nothing but padding, whose scores are all equally low, and those that the
    caller asks for.

    Attributes:
        columns: int32 [R], the position of each row in its sequence.
    """

    def __init__(self, input_mask: Any, asked: Any = None) -> None:
        """Finds the rows.

        Args:
            input_mask: int32 [B, S], 1 for tokens, 0 for padding.
            asked: int32 [B, P], positions that are to have a row whatever
                the mask says; or None.
        """
        self.batch, self.length = ops.shape(input_mask)
        real = ops.not_equal(input_mask, 0)
        empty = ops.logical_not(ops.any(real, axis=1, keepdims=True))
        first = ops.equal(ops.arange(self.length), 0)
        kept = ops.logical_or(ops.logical_or(real, empty), first)
        kept = ops.reshape(kept, (-1,))
        if asked is not None:
            kept = ops.logical_or(kept, self._contains(asked))
        self._kept = kept
        self._positions = ops.cast(ops.nonzero(kept)[0], "int32")
        # The row of each position; without one, the last before it.
        self._rows = ops.cumsum(ops.cast(kept, "int32")) - 1
        self.columns = self._positions % self.length

    def pick(self, numbers: Any) -> Any:
        """[B, S] → [R], such as the rows' ids."""
        return ops.take(ops.reshape(numbers, (-1,)), self._positions)

    def columns_of(self, table: Any) -> Any:
        """[S, W] → [R, W], what the table has for each row's position."""

        # Summed over the sequences: a gather's own gradient would come as
        # slices, which count one by one where gradients are clipped.
        @ops.custom_gradient
        def gather(x: Any) -> Any:
            def gradient(*upstream: Any) -> Any:
                return ops.segment_sum(
                    upstream[-1], self.columns, num_segments=self.length
                )

            return _take(x, self.columns), gradient

        return gather(table)

    def split_heads(self, matrix: Any, num_heads: int, size: int) -> Any:
        """Gathers; positions without a row repeat the one before."""
        there, back = self._places(num_heads)
        shape = (self.batch, num_heads, self.length, size)

        # A gather's own gradient would add up what occurs twice, slowly.
        @ops.custom_gradient
        def split(x: Any) -> Any:
            def gradient(*upstream: Any) -> Any:
                rows = _take(ops.reshape(upstream[-1], (-1, size)), back)
                return ops.reshape(rows, (-1, num_heads * size))

            parts = _take(ops.reshape(x, (-1, size)), there)
            return ops.reshape(parts, shape), gradient

        return split(matrix)

    def join_heads(self, heads: Any) -> Any:
        """Gathers; the gradient is 0 at positions without a row."""
        _, num_heads, _, size = heads.shape
        there, back = self._places(num_heads)
        shape = (self.batch, num_heads, self.length, size)
        kept = ops.reshape(self._kept, (self.batch, 1, self.length, 1))

        @ops.custom_gradient
        def join(x: Any) -> Any:
            def gradient(*upstream: Any) -> Any:
                parts = _take(ops.reshape(upstream[-1], (-1, size)), there)
                parts = ops.reshape(parts, shape)
                return parts * ops.cast(kept, parts.dtype)

            rows = _take(ops.reshape(x, (-1, size)), back)
            return ops.reshape(rows, (-1, num_heads * size)), gradient

        return join(heads)

    def _places(self, num_heads: int) -> tuple[Any, Any]:
        """Says where the vectors of heads are: in rows, and in the batch.

        Gathering single vectors unpads and transposes in one pass.

        Returns:
            (there, back): int32 [B, N, S], which of the vectors of [R, N] to
            take; and [R, N], which of those of [B, N, S].
        """
        heads = ops.arange(num_heads, dtype="int32")
        rows = ops.reshape(self._rows, (self.batch, 1, self.length))
        there = rows * num_heads + ops.expand_dims(heads, 1)
        sequences = self._positions // self.length
        first = sequences * (num_heads * self.length) + self.columns
        return there, ops.expand_dims(first, 1) + heads * self.length

    def at(self, matrix: Any, positions: Any) -> Any:
        """Gathers from the rows that the positions have."""
        rows = ops.reshape(self._rows, (self.batch, self.length))
        return _take(matrix, ops.take_along_axis(rows, positions, axis=1))

    def spread(self, matrix: Any) -> Any:
        """Scatters; the gradient gathers."""
        return ops.reshape(
            self._spread(matrix), (self.batch, self.length, matrix.shape[-1])
        )

    def clear_queries(self, maps: Any) -> Any:
        """Multiplies with 1 or 0."""
        kept = ops.reshape(self._kept, (self.batch, 1, self.length, 1))
        return maps * ops.cast(kept, maps.dtype)

    def _spread(self, matrix: Any) -> Any:
        return ops.scatter(
            ops.expand_dims(self._positions, 1),
            matrix,
            (self.batch * self.length, matrix.shape[-1]),
        )

    def _contains(self, positions: Any) -> Any:
        """[B, P] → bool [B·S], whether a position is among them."""
        first = ops.arange(self.batch, dtype="int32") * self.length
        flat = ops.reshape(positions + ops.expand_dims(first, 1), (-1, 1))
        times = ops.scatter(
            flat,
            ops.ones_like(flat[:, 0]),
            (self.batch * self.length,),
        )
        return ops.greater(times, 0)


def _take(matrix: Any, rows: Any) -> Any:
    """[R, W], int32 of n numbers → [n, W]."""
    return ops.take(matrix, ops.reshape(rows, (-1,)), axis=0)
