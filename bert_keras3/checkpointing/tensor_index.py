"""Reads the index of a TensorFlow checkpoint, which may have been forged.

TensorFlow's own reader ends the whole process on an index that it did not
write; so each one is read here first, in Python, and compared with the data
files. The tensors themselves are left to it, in `google`.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,
)
from tensorflow.core.protobuf import tensor_bundle_pb2

# Of LevelDB's table format, which the index is written in.
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER = 48
_TRAILER = 5  # behind each block: how it is compressed, and a checksum

# TensorFlow numbers references to types, and handles, as types too. Text is
# what object-based checkpoints keep their graph in.
_TYPES = frozenset(
    dtype.as_datatype_enum
    for dtype in (
        tf.float16,
        tf.bfloat16,
        tf.float32,
        tf.float64,
        tf.int8,
        tf.int16,
        tf.int32,
        tf.int64,
        tf.uint8,
        tf.bool,
        tf.string,
    )
)


@dataclasses.dataclass(frozen=True)
class IndexEntry:
    """Where a tensor lies.

    Attributes:
        shape: its axes.
        dtype: its NumPy dtype.
        shard: number of the data file.
        size: how many bytes it has.
        end: the offset of what follows it there.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    shard: int
    size: int
    end: int


def parse(index: bytes) -> tuple[int, Mapping[str, IndexEntry]]:
    """Reads an index.

    Args:
        index: the bytes of a `.index` file.

    Returns:
        (number of data files, {name: where it lies}).

    Raises:
        ValueError: it is none, or not one that TensorFlow writes.
    """
    if len(index) < _FOOTER or not index.endswith(MAGIC):
        raise ValueError("it has no footer of a TensorFlow index")
    records = dict(_records(index))
    try:
        header = tensor_bundle_pb2.BundleHeaderProto.FromString(
            records.pop(b"", b"")
        )
        found = {
            _name(key): tensor_bundle_pb2.BundleEntryProto.FromString(value)
            for key, value in records.items()
        }
    except DecodeError as error:
        raise ValueError(f"a record is damaged: {error}") from error
    if header.endianness != header.LITTLE or header.num_shards < 1:
        raise ValueError("its header is not one that is known")
    entries = {
        name: _entry(name, proto, header.num_shards)
        for name, proto in found.items()
    }
    return header.num_shards, entries


def _name(key: bytes) -> str:
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"the name {key!r} is not text (tensors in slices are not read)"
        ) from None


def _entry(name: str, proto: Any, shards: int) -> IndexEntry:
    shape = tuple(axis.size for axis in proto.shape.dim)
    if proto.slices or proto.shape.unknown_rank:
        raise ValueError(f"{name} is stored in slices, which are not read")
    if proto.dtype not in _TYPES:
        raise ValueError(f"{name} has a type that weights do not have")
    dtype = tf.dtypes.as_dtype(proto.dtype)
    size = math.prod(shape) * dtype.size
    if min((*shape, proto.offset, proto.size), default=0) < 0 or (
        dtype != tf.string and size != proto.size
    ):
        raise ValueError(
            f"{name} has the shape {list(shape)} and {proto.size} bytes"
        )
    if not 0 <= proto.shard_id < shards:
        raise ValueError(f"{name} lies in data file {proto.shard_id}")
    return IndexEntry(
        shape,
        np.dtype(dtype.as_numpy_dtype),
        proto.shard_id,
        proto.size,
        proto.offset + proto.size,
    )


def _records(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = len(index) - _FOOTER
    # The footer begins with the place of a block that TensorFlow never fills.
    position = _handle(index, footer)[2]
    start, size, _ = _handle(index, position)
    for _, handle in _block(index, start, size):
        start, size, _ = _handle(handle, 0)
        yield from _block(index, start, size)


def _block(
    index: bytes, start: int, size: int
) -> Iterator[tuple[bytes, bytes]]:
    end = start + size
    if size < 4 or end + _TRAILER > len(index):
        raise ValueError("a block lies outside of the file")
    if index[end] != 0:
        raise ValueError("a block is compressed")
    (restarts,) = struct.unpack_from("<I", index, end - 4)
    end -= 4 * (restarts + 1)
    position, key = start, b""
    while position < end:
        shared, position = _varint(index, position)
        added, position = _varint(index, position)
        length, position = _varint(index, position)
        if shared > len(key) or position + added + length > end:
            raise ValueError("a record lies outside of its block")
        key = key[:shared] + index[position : position + added]
        position += added
        yield key, index[position : position + length]
        position += length


def _handle(data: bytes, position: int) -> tuple[int, int, int]:
    """Returns a block's offset and size, and the position behind them."""
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return offset, size, position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number in it has no end")
