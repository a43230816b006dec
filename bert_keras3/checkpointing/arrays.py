"""A mapping of named arrays, each of which is read from its file on access.

arrays = checkpointing.read("uncased_L-12_H-768_A-12")
arrays.shape("bert/pooler/dense/bias")  # (768,), nothing is read
arrays["bert/pooler/dense/bias"]        # reads this one array
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from bert_keras3.checkpointing import names

Array = np.ndarray[Any, np.dtype[Any]]

_HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of a file, not read yet.

    Attributes:
        shape: its shape.
        dtype: dtype of the array that `read` returns.
        read: reads the array; called at every access.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]


class Arrays(Mapping[str, Array]):
    """A mapping {name: array} that keeps no array in memory.

    Names, shapes and dtypes are known without reading; `arrays[name]` reads
    that one array, and reads it again the next time.

    Attributes:
        entries: what is known of each array without reading it.
        notes: what had to be decided to read them, for the user.
    """

    def __init__(
        self, entries: Mapping[str, Entry], notes: tuple[str, ...] = ()
    ) -> None:
        self.entries = dict(entries)
        self.notes = notes

    def __getitem__(self, name: str) -> Array:
        return self.entries[name].read()

    def __contains__(self, name: object) -> bool:
        # Mapping's own would read the array to find out.
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of an array without reading it."""
        return self.entries[name].shape

    @functools.cached_property
    def slots(self) -> frozenset[str]:
        """The names of those that are optimizer state, and not weights."""
        return names.slots_among(
            {name: entry.shape for name, entry in self.entries.items()}
        )

    def dtype(self, name: str) -> np.dtype[Any]:
        """Returns the dtype of an array without reading it."""
        return self.entries[name].dtype


def widened(arrays: Arrays) -> Arrays:
    """Returns floats of 16 bits as float32, which has each of their values."""

    def as_float32(entry: Entry) -> Entry:
        return Entry(
            entry.shape,
            np.dtype(np.float32),
            lambda: entry.read().astype(np.float32),
        )

    return Arrays(
        {
            name: as_float32(entry) if entry.dtype in _HALVES else entry
            for name, entry in arrays.entries.items()
        },
        arrays.notes,
    )


def in_memory(arrays: Mapping[str, Array]) -> Arrays:
    """Wraps arrays in memory as `Arrays`."""
    return Arrays(
        {
            name: Entry(
                array.shape, array.dtype, functools.partial(np.asarray, array)
            )
            for name, array in arrays.items()
        }
    )
