"""Writes TensorFlow checkpoints tensor by tensor, so that none is in memory.

TensorFlow's own writer, SaveV2, takes all tensors of a data file at once; it
writes the same bytes. One SaveV2 a tensor, and MergeV2Checkpoints after them,
gives as many data files as tensors (tried in TensorFlow 2.21), where published
models have one. `tensor_index` reads the index.
"""

from __future__ import annotations

import pathlib
import struct

import google_crc32c
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_shape_pb2, versions_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2

from bert_keras3.checkpointing.arrays import Arrays
from bert_keras3.checkpointing.tensor_index import MAGIC
from bert_keras3.safekeeping.binary_encoding import masked, varint

_RESTART_INTERVAL = 16
_UNCOMPRESSED = b"\0"


def write(prefix: pathlib.Path, arrays: Arrays) -> None:
    """Writes one data file and its index.

    Args:
        prefix: path without an ending; its folder exists.
        arrays: under the names that they are to have.
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
                crc32c=masked(_checksum(raw)),
            )
            records.append((name.encode(), entry.SerializeToString()))
    pathlib.Path(f"{prefix}.index").write_bytes(_table(records))


def _shape(axes: tuple[int, ...]) -> tensor_shape_pb2.TensorShapeProto:
    sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=n) for n in axes]
    return tensor_shape_pb2.TensorShapeProto(dim=sizes)


def _table(records: list[tuple[bytes, bytes]]) -> bytes:
    """LevelDB's table format, all records in one block."""
    table = bytearray()
    blocks = [_add_block(table, _block(records)), _add_block(table, _block([]))]
    # The index of the blocks knows each by a key not before its last.
    last = _successor(records[-1][0])
    index = _add_block(table, _block([(last, blocks[0])]))
    footer = blocks[1] + index
    return bytes(table) + footer.ljust(40, b"\0") + MAGIC


def _add_block(table: bytearray, block: bytes) -> bytes:
    """Appends a block; returns where it is, as the format writes that."""
    handle = varint(len(table)) + varint(len(block))
    table += block + _UNCOMPRESSED
    checksum = google_crc32c.value(block + _UNCOMPRESSED)
    table += struct.pack("<I", masked(checksum))
    return handle


def _block(records: list[tuple[bytes, bytes]]) -> bytes:
    """Records without the beginnings that keys share with those before."""
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
    """A short key that is not before this one."""
    for position, byte in enumerate(key):
        if byte != 0xFF:
            return key[:position] + bytes([byte + 1])
    return key


def _checksum(raw: memoryview) -> int:
    """CRC-32C, in pieces, since the library takes copies."""
    checksum = 0
    for start in range(0, len(raw), 1 << 24):
        piece = bytes(raw[start : start + (1 << 24)])
        checksum = google_crc32c.extend(checksum, piece)
    return checksum
