"""Encodes a table of replacements for the operation FastBertNormalize.

The format is a flatbuffer with a pool of strings and a double-array trie over
the UTF-8 bytes of every code point.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

# Continuation bytes, 0x80 to 0xBF: the children of a node, and so the code
# points that share all bytes but the last.
_FANOUT = 64
_ROOT_CHILDREN = 256
# Bits of a node: its own byte, whether it has a value, and the offset of its
# children (its position exclusive-or theirs).
_HAS_VALUE = 1 << 8
_OFFSET = 10
# Bits of a value: a mark, "is a replacement", offset in the pool, length.
_VALUE = 1 << 31
_REPLACED = 1 << 30
_POOL_OFFSET = 6
_LONGEST = (1 << _POOL_OFFSET) - 1
# The flatbuffer before the trie: the offset of the table; the vtable (its size,
# the table's size, the offset of each of four fields, 0 for a default); the
# table (distance back to the vtable, distance to the trie, the value of NUL,
# distance to the pool).
_HEAD = struct.Struct("<I6HiIiI")
_TABLE = 16
_VECTOR_SIZE = struct.Struct("<I")


def build(strings: Sequence[str], string_of: np.ndarray) -> bytes:
    """Returns the model for FastBertNormalize.

    The trie consists of blocks of 64 units, the children of one node. Equal
    blocks of code points are stored once, which the format permits because a
    node does not depend on its parent.

    Args:
        strings: the replacements.
        string_of: int32 [0x110000], index into `strings` of each code point.

    Raises:
        ValueError: a replacement takes more than 63 bytes.
    """
    pool, values = _pool(strings)
    # As opaque items: comparing bytes is faster than comparing columns.
    pages, page_of = np.unique(
        np.ascontiguousarray(string_of, np.int32).view(f"V{4 * _FANOUT}"),
        return_inverse=True,
    )
    pages = pages.view(np.int32)
    # Positions: the root, its children, then blocks for code points, for the
    # third byte of four, for the second of four and of three, then values.
    first_page = _ROOT_CHILDREN * 2
    first_third = first_page + pages.size
    first_second = first_third + _FANOUT * (len(page_of) // _FANOUT)
    first_value = first_second + _FANOUT * (len(page_of) // _FANOUT**2 + 1)
    units = np.zeros(first_value + len(values), np.uint32)
    units[first_value:] = values | _VALUE
    continuation = np.arange(_FANOUT) | 0x80

    def link(
        positions: np.ndarray, labels: np.ndarray, blocks: np.ndarray
    ) -> None:
        """Writes nodes whose children, bytes from 0x80, are in `blocks`."""
        offset = positions ^ blocks ^ 0x80
        units[positions] = (offset << _OFFSET) | labels

    def put(
        positions: np.ndarray, labels: np.ndarray, which: np.ndarray
    ) -> None:
        """Writes nodes that have a value."""
        offset = positions ^ (first_value + which)
        units[positions] = (offset << _OFFSET) | _HAS_VALUE | labels

    # The block behind code point page p is for the code points 64p to 64p+63.
    page_blocks = first_page + _FANOUT * page_of
    third_blocks = first_third + _FANOUT * np.arange(len(page_of) // _FANOUT)
    second_blocks = first_second + _FANOUT * np.arange(
        len(page_of) // _FANOUT**2 + 1
    )
    units[0] = _ROOT_CHILDREN << _OFFSET
    ascii_bytes = np.arange(128)
    put(_ROOT_CHILDREN + ascii_bytes, ascii_bytes, string_of[:128])
    lead_of_two = np.arange(0xC2, 0xE0)
    link(_ROOT_CHILDREN + lead_of_two, lead_of_two, page_blocks[2:32])
    lead_of_three = np.arange(0xE0, 0xF0)
    link(_ROOT_CHILDREN + lead_of_three, lead_of_three, third_blocks[:16])
    lead_of_four = np.arange(0xF0, 0xF0 + len(second_blocks))
    link(_ROOT_CHILDREN + lead_of_four, lead_of_four, second_blocks)
    link(
        first_second + np.arange(len(third_blocks)),
        np.resize(continuation, len(third_blocks)),
        third_blocks,
    )
    link(
        first_third + np.arange(len(page_of)),
        np.resize(continuation, len(page_of)),
        page_blocks,
    )
    put(
        first_page + np.arange(pages.size),
        np.resize(continuation, pages.size),
        pages,
    )
    return _flatbuffer(units, pool, int(values[string_of[0]]))


def _pool(strings: Sequence[str]) -> tuple[bytes, np.ndarray]:
    """Returns all strings in one, and the value of each for the trie."""
    encoded = [string.encode() for string in strings]
    lengths = np.array([len(string) for string in encoded])
    if lengths.max() > _LONGEST:
        raise ValueError(
            f"a replacement of {lengths.max()} bytes, more than {_LONGEST}"
        )
    offsets = np.cumsum(lengths) - lengths
    return b"".join(encoded), _REPLACED | (offsets << _POOL_OFFSET) | lengths


def _flatbuffer(units: np.ndarray, pool: bytes, value_of_nul: int) -> bytes:
    trie = _VECTOR_SIZE.pack(len(units)) + units.astype("<u4").tobytes()
    to_trie = _HEAD.size - (_TABLE + 4)
    to_pool = _HEAD.size + len(trie) - (_TABLE + 12)
    head = _HEAD.pack(
        _TABLE,
        *(12, 16, 0, 4, 8, 12),
        *(_TABLE - 4, to_trie, value_of_nul, to_pool),
    )
    return head + trie + _VECTOR_SIZE.pack(len(pool)) + pool
