"""Writes `.safetensors` files with one array in memory at a time.

The safetensors library writes the same bytes, but takes all arrays at once.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_keras3.checkpointing.arrays import Entry

# The format's dtypes; 16-bit floats are never written, since they become
# float32 when they are read.
DTYPES: Mapping[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
# The order of dtypes in a file, largest alignment first.
_RANK = ("I64", "F64", "F32", "I32", "I16", "I8", "U8", "BOOL")


def write(path: pathlib.Path, entries: Mapping[str, Entry]) -> None:
    """Writes arrays, each of which is read just before.

    Args:
        path: the file.
        entries: {name: array}.
    """
    ordered = sorted(
        entries.items(), key=lambda item: (_RANK.index(_type(item[1])), item[0])
    )
    header: dict[str, Any] = {
        # transformers reads only files that say their framework.
        "__metadata__": {"format": "pt"}
    }
    offset = 0
    for name, entry in ordered:
        end = offset + math.prod(entry.shape) * entry.dtype.itemsize
        header[name] = {
            "dtype": _type(entry),
            "shape": list(entry.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    encoded = text.encode("utf-8")
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for _, entry in ordered:
            np.ascontiguousarray(entry.read(), dtype=entry.dtype).tofile(file)


def _type(entry: Entry) -> str:
    return _NAMES[entry.dtype]
