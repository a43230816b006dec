"""Writes `.safetensors` files array by array, so that no model is in memory.

The library's own writer takes all arrays at once; it reads what is written
here, and writes the same bytes.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_keras3.checkpointing.arrays import Entry

# NumPy's types by the format's names; half-width floats are widened when they
# are read, so none is written.
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
# The format's order of types, largest alignment first.
_RANK = ("I64", "F64", "F32", "I32", "I16", "I8", "U8", "BOOL")


def write(path: pathlib.Path, entries: Mapping[str, Entry]) -> None:
    """Writes arrays; each is read when its turn comes.

    Args:
        path: the file.
        entries: by the names that they are to have.
    """
    ordered = sorted(
        entries.items(), key=lambda item: (_RANK.index(_type(item[1])), item[0])
    )
    header: dict[str, Any] = {
        # What transformers asks of files, to tell them from TensorFlow's.
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
