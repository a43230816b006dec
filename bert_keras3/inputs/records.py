"""TFRecord files of examples: their keys, how they are written and read.

    columns of arrays [N, length]  encode_examples   N serialised
      under the keys below         ->                tf.train.Examples
    a serialised example           open_writer ->    length, checksum, bytes,
                                                     checksum, in a file
    files                          open_records ->   `Records`: examples by
                                                     their number

Without TensorFlow, and without an object for each example.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import gzip
import os
import struct
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import google_crc32c
import numpy as np

from bert_keras3.safekeeping.binary_encoding import masked_crc32c, varint
from bert_keras3.safekeeping.errors import UserError

INPUT_IDS = "input_ids"
INPUT_MASK = "input_mask"
SEGMENT_IDS = "segment_ids"
MASKED_LM_POSITIONS = "masked_lm_positions"
MASKED_LM_IDS = "masked_lm_ids"
MASKED_LM_WEIGHTS = "masked_lm_weights"
NEXT_SENTENCE_LABELS = "next_sentence_labels"
# Only in records whose masks are drawn at training time: 1 where a word
# begins; 1 where an entity, or a word outside of all entities, begins.
WORD_STARTS = "word_starts"
ENTITY_STARTS = "entity_starts"

COMPRESSIONS = ("none", "GZIP")

_INT64 = np.dtype(np.int64)
_FLOAT32 = np.dtype("<f4")
_GZIP_MAGIC = b"\x1f\x8b"

# The data and their length are each followed by a checksum of four bytes.
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_CHECKSUM_SIZE = _CHECKSUM.size
# Bytes in front of a record's data.
_HEADER_SIZE = _LENGTH.size + _CHECKSUM_SIZE


@dataclasses.dataclass(frozen=True)
class Column:
    """One feature of an example: how many numbers, and of which kind."""

    length: int
    dtype: np.dtype = _INT64


def masked_columns(
    max_seq_length: int, max_predictions_per_seq: int
) -> dict[str, Column]:
    """Returns the columns of the original's pretraining records."""
    return _input_columns(max_seq_length) | {
        MASKED_LM_POSITIONS: Column(max_predictions_per_seq),
        MASKED_LM_IDS: Column(max_predictions_per_seq),
        MASKED_LM_WEIGHTS: Column(max_predictions_per_seq, _FLOAT32),
        NEXT_SENTENCE_LABELS: Column(1),
    }


def unmasked_columns(
    max_seq_length: int, *, entities: bool = False
) -> dict[str, Column]:
    """Returns the columns of records whose masks are drawn in training."""
    columns = _input_columns(max_seq_length) | {
        WORD_STARTS: Column(max_seq_length),
        NEXT_SENTENCE_LABELS: Column(1),
    }
    if entities:
        columns[ENTITY_STARTS] = Column(max_seq_length)
    return columns


def _input_columns(max_seq_length: int) -> dict[str, Column]:
    return {
        key: Column(max_seq_length)
        for key in (INPUT_IDS, INPUT_MASK, SEGMENT_IDS)
    }


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
    """The bytes before a feature's numbers, by how many bytes these take."""

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


@contextlib.contextmanager
def open_writer(
    path: str | os.PathLike[str], compression: str = "none"
) -> Iterator[Callable[[bytes], Any]]:
    """Opens a TFRecord file for writing.

    Two such files with one compression may be concatenated. Give a path from
    `safekeeping.files.atomic_path` for a file that is whole or not there.

    Args:
        path: of the file.
        compression: one of `COMPRESSIONS`.

    Yields:
        A function that appends one record.
    """
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(open(path, "wb", 1 << 18))
        if compression == "GZIP":
            # No name and no time: equal records make equal files.
            file = stack.enter_context(
                gzip.GzipFile("", "wb", 6, file, mtime=0)  # type: ignore[arg-type]
            )
        yield lambda record: file.write(_frame(record))


class CorruptRecordError(UserError):
    """A record that cannot be read; `offset` says where in `path`."""

    def __init__(self, path: str, offset: int, what: str) -> None:
        super().__init__(
            f"{path}: {what} at byte {offset}; make the file again, or leave "
            "such records out with --skip_corrupt"
        )
        self.path = path
        self.offset = offset


@dataclasses.dataclass(frozen=True)
class Records:
    """Records in files; each is read on access.

    Attributes:
        paths: the files, F.
        files: int32 [N]; index of each record's file.
        offsets: int64 [N]; where its data begin.
        lengths: int32 [N]; length of its data, in bytes.
        num_corrupt: number of corrupt records, which were left out.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    num_corrupt: int
    _maps: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        """Returns the number of records, N."""
        return len(self.files)

    def __getitem__(self, index: int) -> bytes:
        """Returns the bytes of one record."""
        start = self.offsets[index]
        end = start + self.lengths[index]
        return self._maps[self.files[index]][start:end].tobytes()

    def checksums(self) -> np.ndarray:
        """Returns the checksum behind the data of each record, uint32 [N].

        Together with the lengths they identify records across files.
        """
        checksums = np.zeros(len(self), "<u4")
        for number, data in enumerate(self._maps):
            rows = np.flatnonzero(self.files == number)
            ends = self.offsets[rows] + self.lengths[rows]
            places = ends[:, None] + np.arange(_CHECKSUM_SIZE)
            checksums[rows] = data[places].view("<u4")[:, 0]
        return checksums


def find_files(patterns: str | Sequence[str]) -> list[str]:
    """Returns the files that patterns name, sorted within each.

    Args:
        patterns: paths or globs; a string may hold several with commas
            between, as the original's flags do.

    Raises:
        UserError: a pattern matches nothing.
    """
    if isinstance(patterns, str):
        patterns = patterns.split(",")
    paths = []
    for pattern in filter(None, (text.strip() for text in patterns)):
        # The name of a file is no pattern, whatever brackets it has.
        found = [pattern] if os.path.isfile(pattern) else glob.glob(pattern)
        files = sorted(filter(os.path.isfile, found))
        if not files:
            raise UserError(f"{pattern}: there is no such file")
        paths += files
    if not paths:
        raise UserError("no file was given")
    return paths


def open_records(
    patterns: str | Sequence[str], *, skip_corrupt: bool = False
) -> Records:
    """Finds every record of some files and checks its checksums.

    Compressed files are detected and unpacked to a temporary file first,
    since they cannot be read from the middle.

    Args:
        patterns: paths or globs, as for `find_files`.
        skip_corrupt: leave out what is corrupt and count it.

    Returns:
        The records, in the order of the files.

    Raises:
        CorruptRecordError: a file is truncated or damaged.
        UserError: there is no file, or no record in any.
    """
    paths = find_files(patterns)
    maps: list[np.ndarray] = []
    # Plain lists would take ten times as much.
    files, offsets, lengths = array("i"), array("q"), array("i")
    num_corrupt = 0
    for number, path in enumerate(paths):
        data, whole = _map(path, skip_corrupt)
        maps.append(data)
        num_corrupt += not whole
        for place in _scan(data):
            if isinstance(place, _Damage):
                if not skip_corrupt:
                    raise CorruptRecordError(path, place.offset, place.what)
                num_corrupt += 1
                continue
            files.append(number)
            offsets.append(place[0])
            lengths.append(place[1])
    if not files:
        raise UserError(
            f"{', '.join(paths)}: no record at all ({num_corrupt} corrupt); "
            "make the files with create_pretraining_data.py"
        )
    return Records(
        tuple(paths),
        np.frombuffer(files, np.int32),
        np.frombuffer(offsets, np.int64),
        np.frombuffer(lengths, np.int32),
        num_corrupt,
        tuple(maps),
    )


def _map(path: str, skip_corrupt: bool) -> tuple[np.ndarray, bool]:
    """Returns a file's bytes, unpacked, and whether they are complete."""
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(open(path, "rb"))
        whole = True
        if _is_gzip(file.read(_HEADER_SIZE)):
            file = stack.enter_context(tempfile.TemporaryFile())
            whole = _unpack(path, file, skip_corrupt)
            file.flush()
        if not file.seek(0, os.SEEK_END):
            return np.zeros(0, np.uint8), whole
        return np.memmap(file, np.uint8, "r"), whole


def _is_gzip(head: bytes) -> bool:
    # An uncompressed record of that very length begins with these bytes too,
    # but its header has a correct checksum.
    return head.startswith(_GZIP_MAGIC) and (
        _length_at(memoryview(head), 0) is None
    )


def _unpack(path: str, file: IO[bytes], skip_corrupt: bool) -> bool:
    """Unpacks as much as possible; returns whether that was all."""
    with gzip.open(path) as packed:
        try:
            while block := packed.read1(1 << 20):
                file.write(block)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            if not skip_corrupt:
                raise CorruptRecordError(
                    path, file.tell(), f"damaged compression ({error})"
                ) from error
            return False
    return True


def _checksum(data: bytes) -> int:
    """Returns the CRC-32C of `data`, rotated and shifted as TFRecord does."""
    return masked_crc32c(google_crc32c.value(data))


def _frame(record: bytes) -> bytes:
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
class _Damage:
    """Bytes in a file that are no whole record, and where they begin."""

    offset: int
    what: str


def _scan(data: np.ndarray) -> Iterator[tuple[int, int] | _Damage]:
    """Finds the records in a file's bytes.

    Args:
        data: uint8 [bytes of the file].

    Yields:
        (offset, length) of each record's data, in bytes; `_Damage` for bytes
        that are no record, after which the search continues.
    """
    view = memoryview(data)  # type: ignore[arg-type]
    position = 0
    while position < len(view):
        length = _length_at(view, position)
        end = position + _HEADER_SIZE + (length or 0) + _CHECKSUM_SIZE
        if length is None or end > len(view):
            cut = length is not None or len(view) - position < _HEADER_SIZE
            yield _Damage(
                position, "a truncated record" if cut else "a corrupt length"
            )
            position = _next_header(view, position + 1)
            continue
        start = position + _HEADER_SIZE
        content = bytes(view[start : start + length])
        (expected,) = _CHECKSUM.unpack_from(view, end - _CHECKSUM_SIZE)
        if _checksum(content) == expected:
            yield start, length
        else:
            yield _Damage(position, "a record with a wrong checksum")
        position = end


def _length_at(view: memoryview, position: int) -> int | None:
    """Returns the length that a header states; None if there is no header."""
    if position + _HEADER_SIZE > len(view):
        return None
    packed = bytes(view[position : position + _LENGTH.size])
    (expected,) = _CHECKSUM.unpack_from(view, position + _LENGTH.size)
    if _checksum(packed) != expected:
        return None
    return int(_LENGTH.unpack(packed)[0])


def _next_header(view: memoryview, position: int) -> int:
    """Returns where the next header is that agrees with its checksum."""
    last = len(view) - _HEADER_SIZE
    while position <= last:
        # Lengths are far below 2 to the 40th, so three bytes in a row are 0.
        if not any(view[position + 5 : position + 8]):
            length = _length_at(view, position)
            if length is not None and (
                position + _HEADER_SIZE + length + _CHECKSUM_SIZE <= len(view)
            ):
                return position
        position += 1
    return len(view)
