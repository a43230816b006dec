"""How records lie in a TFRecord file: lengths and checksums, whole or damaged.

What a record holds is told by `records`, which opens the files.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

import google_crc32c
import numpy as np

# Behind the data and behind its length stands a checksum of four bytes.
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
CHECKSUM_SIZE = _CHECKSUM.size
HEADER_SIZE = _LENGTH.size + CHECKSUM_SIZE
"""Bytes in front of a record's data."""


def _checksum(data: bytes) -> int:
    """Returns the CRC-32C of `data`, rotated and shifted as TFRecord does."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """Returns a record with its length and checksums, as it is in a file."""
    length = _LENGTH.pack(len(record))
    return b"".join(
        (
            length,
            _CHECKSUM.pack(_checksum(length)),
            record,
            _CHECKSUM.pack(_checksum(record)),
        )
    )


@dataclasses.dataclass(frozen=True)
class Damage:
    """Something in a file that is no whole record, and where it begins."""

    offset: int
    what: str


def scan(data: np.ndarray) -> Iterator[tuple[int, int] | Damage]:
    """Finds the records in a file's bytes.

    Args:
        data: uint8 [bytes of the file].

    Yields:
        (offset, length) of each record's data, in bytes; `Damage` for what
        is none. The search goes on behind it.
    """
    view = memoryview(data)  # type: ignore[arg-type]
    position = 0
    while position < len(view):
        length = length_at(view, position)
        end = position + HEADER_SIZE + (length or 0) + CHECKSUM_SIZE
        if length is None or end > len(view):
            cut = length is not None or len(view) - position < HEADER_SIZE
            yield Damage(
                position, "a truncated record" if cut else "a corrupt length"
            )
            position = _next_header(view, position + 1)
            continue
        start = position + HEADER_SIZE
        content = bytes(view[start : start + length])
        (expected,) = _CHECKSUM.unpack_from(view, end - CHECKSUM_SIZE)
        if _checksum(content) == expected:
            yield start, length
        else:
            yield Damage(position, "a record with a wrong checksum")
        position = end


def length_at(view: memoryview, position: int) -> int | None:
    """Returns the length that a header states; None if there is no header."""
    if position + HEADER_SIZE > len(view):
        return None
    packed = bytes(view[position : position + _LENGTH.size])
    (expected,) = _CHECKSUM.unpack_from(view, position + _LENGTH.size)
    if _checksum(packed) != expected:
        return None
    return int(_LENGTH.unpack(packed)[0])


def _next_header(view: memoryview, position: int) -> int:
    """Returns where the next header is that agrees with its checksum."""
    last = len(view) - HEADER_SIZE
    while position <= last:
        # Lengths are far below 2 to the 40th, so three bytes in a row are 0.
        if not any(view[position + 5 : position + 8]):
            length = length_at(view, position)
            if length is not None and (
                position + HEADER_SIZE + length + CHECKSUM_SIZE <= len(view)
            ):
                return position
        position += 1
    return len(view)
