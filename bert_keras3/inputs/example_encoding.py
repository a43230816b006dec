"""Arrays as serialised `tf.train.Example`s, whole columns at once.

Without TensorFlow and without an object for each row; the keys are in
`records`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bert_keras3.safekeeping.binary_encoding import varint

_FLOAT32 = np.dtype("<f4")


def encode_examples(columns: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """Yields each row of the columns as a serialised `tf.train.Example`.

    Whole columns are encoded at once, which is what makes this some thirty
    times as fast as one protocol buffer object a row.

    Args:
        columns: arrays [N, length], integers not below 0 or floats, under
            the keys of the features.

    Raises:
        ValueError: an integer is negative.
    """
    fields = [
        _Field(key, np.atleast_2d(columns[key])) for key in sorted(columns)
    ]
    for row in range(len(next(iter(columns.values()), ()))):
        parts: list[bytes] = []
        for field in fields:
            payload = field.data[field.ends[row] : field.ends[row + 1]]
            parts += (field.heads[len(payload)], payload)
        features = b"".join(parts)
        yield b"\x0a" + varint(len(features)) + features


class _Field:
    """A column with its bytes: those of row i end at `ends[i + 1]`."""

    def __init__(self, key: str, array: np.ndarray) -> None:
        if np.issubdtype(array.dtype, np.floating):
            width = array.shape[1] * _FLOAT32.itemsize
            self.data = array.astype(_FLOAT32).tobytes()
            self.ends = [row * width for row in range(len(array) + 1)]
            kind = b"\x12"
        else:
            self.data, self.ends = _varints(array)
            kind = b"\x1a"
        self.heads = _Heads(key.encode(), kind)


class _Heads(dict[int, bytes]):
    """What stands before a feature's numbers, by how many bytes they take."""

    def __init__(self, key: bytes, kind: bytes) -> None:
        super().__init__()
        self._key = b"\x0a" + varint(len(key)) + key
        self._kind = kind

    def __missing__(self, size: int) -> bytes:
        # Field numbers of tensorflow/core/example/{example,feature}.proto,
        # from the innermost message to the map entry.
        head = b"\x0a" + varint(size)
        head = self._kind + varint(len(head) + size) + head
        head = self._key + b"\x12" + varint(len(head) + size) + head
        head = b"\x0a" + varint(len(head) + size) + head
        self[size] = head
        return head


def _varints(array: np.ndarray) -> tuple[bytes, list[int]]:
    """Returns the variable-length bytes of all rows, and where rows end."""
    if array.size and array.min() < 0:
        raise ValueError(f"negative number {array.min()} in a record")
    rows, length = array.shape
    width = max(1, -(-int(array.max(initial=0)).bit_length() // 7))
    if width == 1:
        ends = [row * length for row in range(rows + 1)]
        return array.astype(np.uint8).tobytes(), ends
    septets = np.empty((rows, length, width), np.uint8)
    used = np.empty((rows, length, width), bool)
    used[..., 0] = True
    for place in range(width):
        septets[..., place] = (array >> (7 * place)) & 0x7F
        if place + 1 < width:
            more = array >= 1 << (7 * (place + 1))
            used[..., place + 1] = more
            septets[..., place] |= more.view(np.uint8) << 7
    sizes = used.sum(axis=(1, 2))
    return septets[used].tobytes(), [0, *np.cumsum(sizes).tolist()]
