"""TFRecord files of examples: their keys, how they are written and read.

Arrays become the bytes of a record in `example_encoding`.
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
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import google_crc32c
import numpy as np

from bert_keras3.safekeeping.binary_encoding import masked
from bert_keras3.safekeeping.errors import UserError

INPUT_IDS = "input_ids"
INPUT_MASK = "input_mask"
SEGMENT_IDS = "segment_ids"
MASKED_LM_POSITIONS = "masked_lm_positions"
MASKED_LM_IDS = "masked_lm_ids"
MASKED_LM_WEIGHTS = "masked_lm_weights"
NEXT_SENTENCE_LABELS = "next_sentence_labels"
# Only in records whose masks are drawn at training time: 1 where a word, or
# an entity or word outside of entities, begins.
WORD_STARTS = "word_starts"
ENTITY_STARTS = "entity_starts"

COMPRESSIONS = ("none", "GZIP")

_INT64 = np.dtype(np.int64)
_FLOAT32 = np.dtype("<f4")
_GZIP_MAGIC = b"\x1f\x8b"

# Behind the data and behind its length stands a checksum of four bytes.
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
    """Returns the columns of records that get their masks in training."""
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
    """Records that lie in files, each known by its place.

    Attributes:
        paths: the files, F.
        files: int32 [N]; which file a record is in.
        offsets: int64 [N]; where its data begin.
        lengths: int32 [N]; of its data, in bytes.
        num_corrupt: how many were left out.
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
        """Returns the checksum that stands behind each record, uint32 [N].

        Together with the lengths they tell equal records from others,
        wherever the files lie and however records are dealt out to them.
        """
        sums = np.zeros(len(self), "<u4")
        for number, data in enumerate(self._maps):
            rows = np.flatnonzero(self.files == number)
            ends = self.offsets[rows] + self.lengths[rows]
            places = ends[:, None] + np.arange(_CHECKSUM_SIZE)
            sums[rows] = data[places].view("<u4")[:, 0]
        return sums


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
        # A name that exists is meant as it is, whatever brackets it has.
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

    Compressed files are found out and unpacked to a temporary file first,
    since there is no other way to the middle of them.

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
    """Returns a file's bytes, unpacked, and whether these are all."""
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
    # A plain record of that very length would begin so, too, and have a
    # header that agrees.
    return head.startswith(_GZIP_MAGIC) and (
        _length_at(memoryview(head), 0) is None
    )


def _unpack(path: str, file: IO[bytes], skip_corrupt: bool) -> bool:
    """Unpacks what can be; returns whether that was all of it."""
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


# How records lie in a file.


def _checksum(data: bytes) -> int:
    """Returns the CRC-32C of `data`, rotated and shifted as TFRecord does."""
    return masked(google_crc32c.value(data))


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
    """Something in a file that is no whole record, and where it begins."""

    offset: int
    what: str


def _scan(data: np.ndarray) -> Iterator[tuple[int, int] | _Damage]:
    """Finds the records in a file's bytes.

    Args:
        data: uint8 [bytes of the file].

    Yields:
        (offset, length) of each record's data, in bytes; `_Damage` for what
        is none. The search goes on behind it.
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
