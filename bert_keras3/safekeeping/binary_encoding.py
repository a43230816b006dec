"""Varints and masked checksums, which Google's file formats share.

Protocol buffers and the index of a TensorFlow checkpoint write numbers as
varints; TFRecord files and that index store masked checksums.

`varint(300)` is the bytes AC 02: 0101100 with the bit for "more", then 10.
"""

from __future__ import annotations


def varint(number: int) -> bytes:
    """Encodes a number ≥ 0, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def masked_crc32c(checksum: int) -> int:
    """Rotates and shifts a CRC-32C, as LevelDB and TFRecord store it.

    The CRC of data that holds its own CRC would be the same for any data.
    """
    rotated = (checksum >> 15) | (checksum << 17)
    return (rotated + 0xA282EAD8) & 0xFFFFFFFF
