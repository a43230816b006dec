"""Leaving out padding: [B, S, D] with padding ⇄ [R, D] of real tokens alone.

Dense layers, LayerNorm and activations work on each token by itself, so they
take a matrix [R, D] and need not know where its tokens are. A layout knows:
`attention`, which looks across the tokens of a sequence, and `embeddings`,
which adds position vectors, use it.

    >>> import numpy as np
    >>> input_ids = np.array([[7, 8, 9, 0], [5, 6, 0, 0]])  # B=2, S=4
    >>> input_mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    >>> layout = UnpaddedLayout(input_mask)
    >>> print(np.asarray(layout.unpad(input_ids)))  # R=5
    [7 8 9 5 6]
    >>> print(np.asarray(layout.positions))
    [0 1 2 0 1]
    >>> matrix = np.array([[70.0], [80.0], [90.0], [50.0], [60.0]])  # [R, 1]
    >>> print(np.asarray(layout.pad(matrix))[:, :, 0])
    [[70. 80. 90.  0.]
     [50. 60.  0.  0.]]
    >>> print(np.asarray(layout.gather(matrix, np.array([[2], [0]])))[:, 0])
    [90. 50.]
"""

from __future__ import annotations

from typing import Protocol

from keras import ops

from modeling.shapes import Tensor


class TokenLayout(Protocol):
    """Where in a batch [B, S] the R tokens of a matrix [R, D] are.

    Attributes:
        batch: B, an int or a scalar tensor.
        length: S, likewise.
    """

    batch: int | Tensor
    length: int | Tensor

    def split_heads(self, matrix: Tensor, num_heads: int, size: int) -> Tensor:
        """[R, N·H] → [B, N, S, H].

        What stands at positions that are not in the matrix is undefined: it
        is finite if the tokens of the same sequence are, and no gradient may
        come back from there.
        """

    def join_heads(self, heads: Tensor) -> Tensor:
        """[B, N, S, H] → [R, N·H]."""

    def gather(self, matrix: Tensor, positions: Tensor) -> Tensor:
        """[R, W], int32 [B, P] → [B·P, W]; all have to be in the matrix."""

    def pad(self, matrix: Tensor) -> Tensor:
        """[R, W] → [B, S, W]; 0 at positions that are not in the matrix."""

    def mask_queries(self, attention: Tensor) -> Tensor:
        """[B, N, S, T] → the same; 0 at positions not in the matrix."""


class PaddedLayout:
    """Every position, padding too, as in the original: R = B·S."""

    def __init__(self, batch: int | Tensor, length: int | Tensor) -> None:
        """Takes B and S."""
        self.batch = batch
        self.length = length

    def split_heads(self, matrix: Tensor, num_heads: int, size: int) -> Tensor:
        """[B·S, N·H] → [B, N, S, H], a transposition."""
        # [B·S, N·H] -> [B, S, N, H] -> [B, N, S, H]
        split = ops.reshape(matrix, (self.batch, self.length, num_heads, size))
        return ops.transpose(split, (0, 2, 1, 3))

    def join_heads(self, heads: Tensor) -> Tensor:
        """[B, N, S, H] → [B·S, N·H], a transposition."""
        _, num_heads, _, size = heads.shape
        # [B, N, S, H] -> [B, S, N, H] -> [B·S, N·H]
        joined = ops.transpose(heads, (0, 2, 1, 3))
        return ops.reshape(joined, (-1, num_heads * size))

    def gather(self, matrix: Tensor, positions: Tensor) -> Tensor:
        """[B·S, W], int32 [B, P] → [B·P, W]."""
        # Position of each sequence's first token in the matrix: [B]
        first = ops.arange(self.batch, dtype="int32") * self.length
        return _take(matrix, positions + ops.expand_dims(first, 1))

    def pad(self, matrix: Tensor) -> Tensor:
        """[B·S, W] → [B, S, W]."""
        return ops.reshape(matrix, (self.batch, self.length, matrix.shape[-1]))

    def mask_queries(self, attention: Tensor) -> Tensor:
        """Every position is in the matrix, so nothing changes."""
        return attention


class UnpaddedLayout:
    """The positions that are not padding: no work is done on the others.

    What is computed for real tokens is the same as with padding, since
    attention gives padding a weight of exactly 0 (exp(−10000) is 0 in
    float32). Three kinds of masked positions are in the matrix all the same:
    the first of each sequence, which the pooler reads; all of a sequence that
    is nothing but padding, whose scores are all equally low; and those that
    the caller wants.

    Attributes:
        batch: B.
        length: S.
        positions: int32 [R], the position of each token in its sequence.
    """

    def __init__(
        self, input_mask: Tensor, wanted: Tensor | None = None
    ) -> None:
        """Finds the tokens.

        Args:
            input_mask: int32 [B, S], 1 for real tokens, 0 for padding.
            wanted: int32 [B, P], positions that are to be in the matrix
                whatever the mask says; or None.
        """
        self.batch, self.length = ops.shape(input_mask)
        # [B, S], [B, 1], [S] -> [B, S] -> [B·S]
        real = ops.not_equal(input_mask, 0)
        empty = ops.logical_not(ops.any(real, axis=1, keepdims=True))
        first = ops.equal(ops.arange(self.length), 0)
        kept = ops.logical_or(ops.logical_or(real, empty), first)
        kept = ops.reshape(kept, (-1,))
        if wanted is not None:
            kept = ops.logical_or(kept, self._contains(wanted))
        # [B·S]: whether the position is in the matrix.
        self._kept = kept
        # [R]: where in [B·S] the token is.
        self._places = ops.cast(ops.nonzero(kept)[0], "int32")
        # [B·S]: which token of [R] it is; the one before it at padding.
        self._tokens = ops.cumsum(ops.cast(kept, "int32")) - 1
        self.positions = self._places % self.length

    def unpad(self, values: Tensor) -> Tensor:
        """[B, S] → [R], such as token ids."""
        return ops.take(ops.reshape(values, (-1,)), self._places)

    def position_vectors(self, table: Tensor) -> Tensor:
        """[S, W] → [R, W], the table's vector of each token's position."""

        # Summed over the sequences: a gather's own gradient would come as
        # slices, which count one by one where gradients are clipped.
        @ops.custom_gradient
        def gather(x: Tensor) -> Tensor:
            def gradient(*upstream: Tensor) -> Tensor:
                # [R, W] -> [S, W]
                return ops.segment_sum(
                    upstream[-1], self.positions, num_segments=self.length
                )

            return _take(x, self.positions), gradient

        return gather(table)

    def split_heads(self, matrix: Tensor, num_heads: int, size: int) -> Tensor:
        """[R, N·H] → [B, N, S, H]; padding repeats the token before it."""
        to_batch, to_matrix = self._places_of_heads(num_heads)
        shape = (self.batch, num_heads, self.length, size)

        # A gather's own gradient would add up what occurs twice, slowly.
        @ops.custom_gradient
        def split(x: Tensor) -> Tensor:
            def gradient(*upstream: Tensor) -> Tensor:
                # [B, N, S, H] -> [B·N·S, H] -> [R·N, H] -> [R, N·H]
                parts = _take(ops.reshape(upstream[-1], (-1, size)), to_matrix)
                return ops.reshape(parts, (-1, num_heads * size))

            # [R, N·H] -> [R·N, H] -> [B·N·S, H] -> [B, N, S, H]
            parts = _take(ops.reshape(x, (-1, size)), to_batch)
            return ops.reshape(parts, shape), gradient

        return split(matrix)

    def join_heads(self, heads: Tensor) -> Tensor:
        """[B, N, S, H] → [R, N·H]; the gradient is 0 at padding."""
        _, num_heads, _, size = heads.shape
        to_batch, to_matrix = self._places_of_heads(num_heads)
        shape = (self.batch, num_heads, self.length, size)
        kept = ops.reshape(self._kept, (self.batch, 1, self.length, 1))

        @ops.custom_gradient
        def join(x: Tensor) -> Tensor:
            def gradient(*upstream: Tensor) -> Tensor:
                # [R, N·H] -> [R·N, H] -> [B·N·S, H] -> [B, N, S, H]
                parts = _take(ops.reshape(upstream[-1], (-1, size)), to_batch)
                parts = ops.reshape(parts, shape)
                return parts * ops.cast(kept, parts.dtype)

            # [B, N, S, H] -> [B·N·S, H] -> [R·N, H] -> [R, N·H]
            parts = _take(ops.reshape(x, (-1, size)), to_matrix)
            return ops.reshape(parts, (-1, num_heads * size)), gradient

        return join(heads)

    def _places_of_heads(self, num_heads: int) -> tuple[Tensor, Tensor]:
        """Returns where each head's vector is, in the matrix and the batch.

        Gathering single vectors unpads and transposes in one pass.

        Returns:
            (to_batch, to_matrix): int32 [B, N, S], which of the vectors of
            [R, N] to take; and [R, N], which of those of [B, N, S].
        """
        # [N]
        heads = ops.arange(num_heads, dtype="int32")
        # [B, 1, S], [N, 1] -> [B, N, S]
        tokens = ops.reshape(self._tokens, (self.batch, 1, self.length))
        to_batch = tokens * num_heads + ops.expand_dims(heads, 1)
        # [R, 1], [N] -> [R, N]
        sequences = self._places // self.length
        first = sequences * (num_heads * self.length) + self.positions
        return to_batch, ops.expand_dims(first, 1) + heads * self.length

    def gather(self, matrix: Tensor, positions: Tensor) -> Tensor:
        """[R, W], int32 [B, P] → [B·P, W]."""
        tokens = ops.reshape(self._tokens, (self.batch, self.length))
        return _take(matrix, ops.take_along_axis(tokens, positions, axis=1))

    def pad(self, matrix: Tensor) -> Tensor:
        """[R, W] → [B, S, W], a scatter; its gradient is a gather."""
        width = matrix.shape[-1]
        # [R, W] -> [B·S, W] -> [B, S, W]
        padded = ops.scatter(
            ops.expand_dims(self._places, 1),
            matrix,
            (self.batch * self.length, width),
        )
        return ops.reshape(padded, (self.batch, self.length, width))

    def mask_queries(self, attention: Tensor) -> Tensor:
        """[B, N, S, T] → the same; 0 at positions not in the matrix."""
        kept = ops.reshape(self._kept, (self.batch, 1, self.length, 1))
        return attention * ops.cast(kept, attention.dtype)

    def _contains(self, positions: Tensor) -> Tensor:
        """[B, P] → bool [B·S], whether a position is among them."""
        # [B], [B, P] -> [B·P, 1]
        first = ops.arange(self.batch, dtype="int32") * self.length
        flat = ops.reshape(positions + ops.expand_dims(first, 1), (-1, 1))
        # How often each position is named: [B·S]
        times = ops.scatter(
            flat,
            ops.ones_like(flat[:, 0]),
            (self.batch * self.length,),
        )
        return ops.greater(times, 0)


def _take(matrix: Tensor, indices: Tensor) -> Tensor:
    """[R, W], int32 indices [...] of n in all → [n, W]."""
    return ops.take(matrix, ops.reshape(indices, (-1,)), axis=0)
