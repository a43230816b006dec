"""Shapes of tensors: what is known, what must be, and [B, S, D] ⇄ [B·S, D].

The original's four helpers. They take eager tensors, tensors of a graph and
Keras' symbolic tensors alike.

    >>> import numpy as np
    >>> x = np.zeros((2, 4, 6))  # B=2, S=4, D=6
    >>> get_shape_list(x, expected_rank=3)
    [2, 4, 6]
    >>> matrix = reshape_to_matrix(x)
    >>> tuple(matrix.shape)
    (8, 6)
    >>> tuple(reshape_from_matrix(matrix, [2, 4, 6]).shape)
    (2, 4, 6)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from keras import ops

Tensor: TypeAlias = Any
"""Whatever `keras.ops` takes: a tensor of the backend, eager or of a graph, a
symbolic `keras.KerasTensor`, a variable, or a NumPy array. These have no type
in common."""

Shape: TypeAlias = "tuple[int | None, ...]"
"""The shape that a layer is built for; None where any size will do."""


def get_shape_list(
    tensor: Tensor,
    expected_rank: int | Sequence[int] | None = None,
    name: str | None = None,
) -> list[Any]:
    """Returns a tensor's shape (original: `modeling.get_shape_list`).

    Args:
        tensor: any tensor.
        expected_rank: rank or ranks that the tensor may have.
        name: of the tensor, for the error.

    Returns:
        One entry a dimension: an int where it is known, else a scalar
        int32 tensor (None for a symbolic tensor, which has no values).

    Raises:
        ValueError: the rank is another than expected.
    """
    if expected_rank is not None:
        assert_rank(tensor, expected_rank, name)
    return list(ops.shape(tensor))


def assert_rank(
    tensor: Tensor,
    expected_rank: int | Sequence[int],
    name: str | None = None,
) -> None:
    """Refuses a tensor of another rank (original: `modeling.assert_rank`).

    Args:
        tensor: any tensor.
        expected_rank: rank or ranks that the tensor may have.
        name: of the tensor, for the error.

    Raises:
        ValueError: names the tensor, its shape and the ranks allowed.
    """
    allowed = (
        (expected_rank,) if isinstance(expected_rank, int) else expected_rank
    )
    actual_rank = len(tensor.shape)
    if actual_rank not in allowed:
        raise ValueError(
            f"the tensor `{name or _name_of(tensor)}` has rank {actual_rank} "
            f"(shape {tuple(tensor.shape)}); expected is rank "
            f"{' or '.join(map(str, allowed))}"
        )


def _name_of(tensor: Tensor) -> str:
    try:
        return str(tensor.name)
    except AttributeError:  # eager tensors have no name
        return "input"


def reshape_to_matrix(input_tensor: Tensor) -> Tensor:
    """[..., D] → [R, D] (original: `modeling.reshape_to_matrix`).

    Args:
        input_tensor: tensor of rank 2 or more.

    Returns:
        The same numbers with all but the last axis merged.

    Raises:
        ValueError: the rank is below 2.
    """
    rank = len(input_tensor.shape)
    if rank < 2:
        raise ValueError(
            "the input must have at least rank 2, its shape is "
            f"{tuple(input_tensor.shape)}"
        )
    if rank == 2:
        return input_tensor
    return ops.reshape(input_tensor, (-1, input_tensor.shape[-1]))


def reshape_from_matrix(
    output_tensor: Tensor, orig_shape_list: Sequence[int | Tensor]
) -> Tensor:
    """[R, D] → [..., D] (original: `modeling.reshape_from_matrix`).

    Args:
        output_tensor: matrix [R, D].
        orig_shape_list: shape, as from `get_shape_list`, before
            `reshape_to_matrix`; its last entry is not used.

    Returns:
        The same numbers with the first axes of the original shape.
    """
    if len(orig_shape_list) == 2:
        return output_tensor
    width = get_shape_list(output_tensor)[-1]
    return ops.reshape(output_tensor, (*orig_shape_list[:-1], width))
