"""Reads and writes TensorFlow's checkpoints, `.index` and `.data-…`.

Without TensorFlow: its own reader can be crashed by a forged index, and the
process with it, and importing it takes more memory than a BERT's largest
array. An index is parsed and compared with the data files; tensors are read
one at a time and compared with their checksums.

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
import ml_dtypes
import numpy as np
from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,
)

from bert_keras3.checkpointing import tensorflow_messages
from bert_keras3.checkpointing.arrays import Array, Arrays
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

# Numbers of TensorFlow's `DataType` (types.proto). Others are of handles and
# references. Object-based checkpoints, which are recognised by it, have their
# graph as a string, an array of objects.
_TYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    5: np.dtype(np.int16),
    6: np.dtype(np.int8),
    7: np.dtype(object),
    9: np.dtype(np.int64),
    10: np.dtype(np.bool_),
    14: np.dtype(ml_dtypes.bfloat16),
    19: np.dtype(np.float16),
}
_NUMBERS = {dtype: number for number, dtype in _TYPES.items()}
_LITTLE_ENDIAN = 0
# Bytes that are read, or make a checksum, at a time.
_PIECE = 1 << 24


@dataclasses.dataclass(frozen=True)
class IndexEntry:
    """Where a tensor lies in the data files.

    Attributes:
        shape: its shape.
        dtype: its NumPy dtype.
        shard: number of the data file.
        size: number of bytes.
        end: offset in the data file of the first byte after it.
        checksum: masked CRC-32C of its bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    shard: int
    size: int
    end: int
    checksum: int


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
    blocks = _blocks(index)
    records = dict(
        record
        for start, size in blocks[1:]
        for record in _records_of(_content(index, start, size))
    )
    try:
        header = tensorflow_messages.Header.FromString(records.pop(b"", b""))
        found = {
            _name(key): tensorflow_messages.IndexEntry.FromString(value)
            for key, value in records.items()
        }
    except DecodeError as error:
        raise ValueError(f"a record is damaged: {error}") from error
    if header.endianness != _LITTLE_ENDIAN or header.num_shards < 1:
        raise ValueError("its header is not one that is known")
    entries = {
        name: _entry(name, proto, header.num_shards)
        for name, proto in found.items()
    }
    # Last, since what is wrong in particular says more.
    for start, size in blocks:
        end = start + size + 1  # with the compression
        (stored,) = struct.unpack_from("<I", index, end)
        if masked_crc32c(google_crc32c.value(index[start:end])) != stored:
            raise ValueError("a block has another checksum than it should")
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
    dtype = _TYPES[proto.dtype]
    size = math.prod(shape) * dtype.itemsize
    if min((*shape, proto.offset, proto.size), default=0) < 0 or (
        dtype.kind != "O" and size != proto.size
    ):
        raise ValueError(
            f"{name} has the shape {list(shape)} and {proto.size} bytes"
        )
    if not 0 <= proto.shard_id < shards:
        raise ValueError(f"{name} lies in data file {proto.shard_id}")
    return IndexEntry(
        shape,
        dtype,
        proto.shard_id,
        proto.size,
        proto.offset + proto.size,
        proto.crc32c,
    )


def data_files(prefix: pathlib.Path, shards: int) -> list[pathlib.Path]:
    """Returns the paths of a checkpoint's data files, in order."""
    return [
        prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{shards:05d}")
        for number in range(shards)
    ]


def read_tensor(path: pathlib.Path, entry: IndexEntry) -> Array:
    """Reads one tensor.

    Args:
        path: the data file of its shard.
        entry: where it lies there; not text.

    Raises:
        ValueError: the file ends within it, or its checksum is another.
    """
    array = np.empty(entry.shape, entry.dtype)
    raw = array.reshape(-1).view(np.uint8)
    with open(path, "rb", buffering=0) as file:
        file.seek(entry.end - entry.size)
        start = 0
        while start < len(raw):
            count = file.readinto(raw[start : start + _PIECE].data)
            if not count:
                raise ValueError(f"{path.name} ends within it")
            start += count
    if masked_crc32c(_checksum(raw.data)) != entry.checksum:
        raise ValueError("its checksum is not the one in the index")
    return array


def _blocks(index: bytes) -> list[tuple[int, int]]:
    """Returns offset and size of the block that lists the others, and theirs.

    Raises:
        ValueError: they overlap, or lie outside of the file.
    """
    footer = len(index) - _FOOTER
    # The footer begins with the handle of a block that is always empty.
    position = _handle(index, footer)[2]
    start, size, _ = _handle(index, position)
    blocks = [(start, size)]
    room = len(index)
    for _, handle in _records_of(_content(index, start, size)):
        start, size, _ = _handle(handle, 0)
        # Or else a small file could say the same large block many times.
        room -= size
        if room < 0:
            raise ValueError("its blocks overlap")
        blocks.append((start, size))
    return blocks


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
    header = tensorflow_messages.Header(num_shards=1, version={"producer": 1})
    records = [(b"", header.SerializeToString())]
    with open(f"{prefix}.data-00000-of-00001", "wb") as data:
        for name in sorted(arrays, key=str.encode):
            array = np.ascontiguousarray(arrays[name])
            offset = data.tell()
            raw = array.reshape(-1).view(np.uint8).data
            data.write(raw)
            entry = tensorflow_messages.IndexEntry(
                dtype=_NUMBERS[array.dtype],
                shape={"dim": [{"size": n} for n in arrays.shape(name)]},
                offset=offset,
                size=array.nbytes,
                crc32c=masked_crc32c(_checksum(raw)),
            )
            records.append((name.encode(), entry.SerializeToString()))
    pathlib.Path(f"{prefix}.index").write_bytes(_table(records))


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
    for start in range(0, len(raw), _PIECE):
        piece = bytes(raw[start : start + _PIECE])
        checksum = google_crc32c.extend(checksum, piece)
    return checksum
