"""Named arrays that are read from their file one at a time, when asked for.

Each format module makes one of these; what the names mean is in `names`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array of a file, not read yet.

    Attributes:
        shape: its axes.
        dtype: what `read` returns.
        read: fetches the array; called anew at every access.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]


class Arrays(Mapping[str, Array]):
    """A mapping {name: array} that keeps no array in memory.

    Names, shapes and dtypes are known without reading; `arrays[name]` reads
    that one array, and reads it again the next time.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(entries)

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
        """Returns the axes of an array without reading it."""
        return self.entries[name].shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """Returns the dtype of an array without reading it."""
        return self.entries[name].dtype


def in_memory(arrays: Mapping[str, Array]) -> Arrays:
    """Returns arrays that are in memory already under the same interface."""
    return Arrays(
        {
            name: Entry(
                array.shape, array.dtype, functools.partial(np.asarray, array)
            )
            for name, array in arrays.items()
        }
    )
