"""Parses the `.index` of TensorFlow's checkpoints, and writes both their files.

Parsed in Python, since an index may be forged and can crash TensorFlow's own
reader, and the process with it. After the check against the data files,
TensorFlow reads the tensors (in `google`).

Written tensor by tensor, so that only one is in memory. TensorFlow's SaveV2
writes the same bytes, but takes all tensors at once; one SaveV2 per tensor,
joined by MergeV2Checkpoints, gives as many data files as tensors (seen in
TensorFlow 2.21), where published models have one.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import google_crc32c
import numpy as np
import tensorflow as tf
from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,
)
from tensorflow.core.framework import tensor_shape_pb2, versions_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2

from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.safekeeping.binary_encoding import masked_crc32c, varint

# Constants of LevelDB's table format, in which the index is written.
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER = 48
_TRAILER = 5  # after each block: its compression, and a checksum
_UNCOMPRESSED = b"\0"
_SNAPPY = b"\1"
# Snappy says 64 bytes with 3 at best, so none can be larger than this times.
_SWELLS = 22
_RESTART_INTERVAL = 16

# Other numbers mean handles and references. Object-based checkpoints, which
# are recognised by it, have their graph as a string.
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
    """Where a tensor lies in the data files.

    Attributes:
        shape: its shape.
        dtype: its NumPy dtype.
        shard: number of the data file.
        size: number of bytes.
        end: offset in the data file of the first byte after it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    shard: int
    size: int
    end: int


def parse(index: bytes) -> tuple[int, Mapping[str, IndexEntry]]:
    """Parses an index.

    Args:
        index: the bytes of a `.index` file.

    Returns:
        (number of data files, {name: where the tensor lies}).

    Raises:
        ValueError: it is no index, or not one that TensorFlow writes.
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
    # The footer begins with the handle of a block that is always empty.
    position = _handle(index, footer)[2]
    start, size, _ = _handle(index, position)
    room = len(index)
    for _, handle in _records_of(_content(index, start, size)):
        start, size, _ = _handle(handle, 0)
        # Or else a small file could say the same large block many times.
        room -= size
        if room < 0:
            raise ValueError("its blocks overlap")
        yield from _records_of(_content(index, start, size))


def _content(index: bytes, start: int, size: int) -> bytes:
    """Returns a block, decompressed where it is compressed."""
    end = start + size
    if end + _TRAILER > len(index):
        raise ValueError("a block lies outside of the file")
    content, compression = index[start:end], index[end : end + 1]
    if compression == _UNCOMPRESSED:
        return content
    if compression != _SNAPPY:
        raise ValueError(f"a block is compressed in the way {compression!r}")
    # Published files are, if rarely: TensorFlow's releases no longer do it.
    import cramjam

    try:
        if cramjam.snappy.decompress_raw_len(content) > _SWELLS * size:
            raise ValueError("a block would swell as none can")
        return bytes(cramjam.snappy.decompress_raw(content))
    except cramjam.DecompressionError as error:
        raise ValueError(f"a compressed block is damaged: {error}") from error


def _records_of(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = len(block) - 4
    if end < 0:
        raise ValueError("a block lies outside of the file")
    (restarts,) = struct.unpack_from("<I", block, end)
    end -= 4 * restarts
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        added, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if shared > len(key) or position + added + length > end:
            raise ValueError("a record lies outside of its block")
        key = key[:shared] + block[position : position + added]
        position += added
        yield key, block[position : position + length]
        position += length


def _handle(data: bytes, position: int) -> tuple[int, int, int]:
    """Returns a block's offset and size, and the position behind them."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return offset, size, position


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Reads a number of variable length.

    Returns:
        The number, and the position behind it.

    Raises:
        ValueError: the data end within it.
    """
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


def write(prefix: pathlib.Path, arrays: Arrays) -> None:
    """Writes one data file and its index.

    Args:
        prefix: path without an ending; its folder exists.
        arrays: {name: array}; each is read just before it is written.
    """
    header = tensor_bundle_pb2.BundleHeaderProto(
        num_shards=1, version=versions_pb2.VersionDef(producer=1)
    )
    records = [(b"", header.SerializeToString())]
    with open(f"{prefix}.data-00000-of-00001", "wb") as data:
        for name in sorted(arrays, key=str.encode):
            array = np.ascontiguousarray(arrays[name])
            offset = data.tell()
            raw = array.reshape(-1).view(np.uint8).data
            data.write(raw)
            entry = tensor_bundle_pb2.BundleEntryProto(
                dtype=tf.as_dtype(array.dtype).as_datatype_enum,
                shape=_shape(arrays.shape(name)),
                offset=offset,
                size=array.nbytes,
                crc32c=masked_crc32c(_checksum(raw)),
            )
            records.append((name.encode(), entry.SerializeToString()))
    pathlib.Path(f"{prefix}.index").write_bytes(_table(records))


def _shape(axes: tuple[int, ...]) -> tensor_shape_pb2.TensorShapeProto:
    sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=n) for n in axes]
    return tensor_shape_pb2.TensorShapeProto(dim=sizes)


def _table(records: list[tuple[bytes, bytes]]) -> bytes:
    """Returns records in LevelDB's table format, all in one block."""
    table = bytearray()
    blocks = [_add_block(table, _block(records)), _add_block(table, _block([]))]
    # The index lists each block by a key that is not before its last key.
    last = _successor(records[-1][0])
    index = _add_block(table, _block([(last, blocks[0])]))
    footer = blocks[1] + index
    return bytes(table) + footer.ljust(40, b"\0") + MAGIC


def _add_block(table: bytearray, block: bytes) -> bytes:
    """Appends a block; returns its handle: offset and size as varints."""
    handle = varint(len(table)) + varint(len(block))
    table += block + _UNCOMPRESSED
    checksum = google_crc32c.value(block + _UNCOMPRESSED)
    table += struct.pack("<I", masked_crc32c(checksum))
    return handle


def _block(records: list[tuple[bytes, bytes]]) -> bytes:
    """Returns a block of records; keys omit the prefix of the key before."""
    block, restarts, previous = bytearray(), [0], b""
    for number, (key, value) in enumerate(records):
        shared = 0
        if number % _RESTART_INTERVAL:
            shared = _shared(previous, key)
        elif number:
            restarts.append(len(block))
        block += varint(shared) + varint(len(key) - shared)
        block += varint(len(value)) + key[shared:] + value
        previous = key
    return bytes(block) + struct.pack(
        f"<{len(restarts) + 1}I", *restarts, len(restarts)
    )


def _shared(one: bytes, other: bytes) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _successor(key: bytes) -> bytes:
    """Returns a short key that is not before this one."""
    for position, byte in enumerate(key):
        if byte != 0xFF:
            return key[:position] + bytes([byte + 1])
    return key


def _checksum(raw: memoryview) -> int:
    """Returns the CRC-32C, in pieces, since the library copies its input."""
    checksum = 0
    for start in range(0, len(raw), 1 << 24):
        piece = bytes(raw[start : start + (1 << 24)])
        checksum = google_crc32c.extend(checksum, piece)
    return checksum
