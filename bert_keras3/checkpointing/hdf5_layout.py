"""Finds where the arrays of an HDF5 file lie, in a child process.

Opening a forged file, the HDF5 library can crash the process or fill its
memory; here that is a child process with limited memory. Arrays are then read
from their offsets without the library. This program's own files are opened the
same way, since nothing in a file proves who wrote it; a child that imports
h5py takes about a fifth of a second, little beside TensorFlow's start.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_SECONDS = 120
_MOST_MEMORY = 4 << 30
_MOST_DATASETS = 100_000


@dataclasses.dataclass(frozen=True)
class ArrayPlace:
    """Where one array lies in the file, contiguous and uncompressed.

    Attributes:
        path: name of the array in the file.
        shape: its shape.
        dtype: NumPy's name of its dtype.
        offset: offset of its first byte in the file.
        size: number of bytes.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    size: int


@dataclasses.dataclass(frozen=True)
class Layer:
    """One of Keras' groups `vars`: the variables of one layer itself.

    Attributes:
        path: path of the layer in the file.
        name: name of the layer; empty if it has none.
        variables: its arrays, in order.
    """

    path: str
    name: str
    variables: tuple[ArrayPlace, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The arrays of a file.

    Attributes:
        layers: one for each group `vars`.
        root: the arrays outside of all groups, by name.
    """

    layers: tuple[Layer, ...]
    root: Mapping[str, ArrayPlace]


def layout(path: pathlib.Path) -> Layout:
    """Reads the layout of an HDF5 file, which may be forged.

    Args:
        path: the file.

    Returns:
        Its layers and arrays, all of which lie within the file.

    Raises:
        ValueError: it is no HDF5 file, a damaged one, or one that Keras does
            not write (links, compressed or external arrays).
    """
    try:
        child = subprocess.run(
            [sys.executable, __file__, str(path)],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError("it cannot be opened in reasonable time") from None
    if child.returncode != 0:
        last = child.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        reason = last.removeprefix("ValueError: ")
        raise ValueError(reason or "the HDF5 library cannot open it")
    answer = json.loads(child.stdout)
    layers = tuple(
        Layer(one["path"], one["name"], tuple(map(_place, one["variables"])))
        for one in answer["layers"]
    )
    root = {name: _place(place) for name, place in answer["root"].items()}
    _check(
        [*root.values(), *(p for layer in layers for p in layer.variables)],
        path.stat().st_size,
    )
    return Layout(layers, root)


def _place(values: list[Any]) -> ArrayPlace:
    path, shape, dtype, offset, size = values
    return ArrayPlace(path, tuple(shape), dtype, offset, size)


def _check(places: list[ArrayPlace], size: int) -> None:
    for place in places:
        if place.offset < 0 or place.offset + place.size > size:
            raise ValueError(
                f"an array ends at byte {place.offset + place.size} of {size}"
            )
    promised = sum(place.size for place in places)
    if promised > size:
        raise ValueError(f"it lists {promised} bytes of arrays in {size} bytes")


# What follows runs in the child.


def _describe(path: str) -> dict[str, Any]:
    import h5py

    layers = []
    root = {}
    pending = [("", h5py.File(path, "r"))]
    seen = set()
    datasets = 0
    while pending:
        place, group = pending.pop()
        for key, child in _children(group):
            if isinstance(child, h5py.Dataset):
                if place == "":
                    root[key] = _of_dataset(child)
                continue
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                raise ValueError(f"{place}/{key} is there twice")
            seen.add(address)
            if key == "vars":
                layers.append(_of_layer(place, child))
                datasets += len(layers[-1]["variables"])
            else:
                pending.append((f"{place}/{key}".lstrip("/"), child))
        if datasets + len(pending) + len(root) > _MOST_DATASETS:
            raise ValueError("it has more arrays than any model")
    return {"layers": layers, "root": root}


def _of_layer(place: str, group: Any) -> dict[str, Any]:
    children = sorted(_children(group), key=lambda one: (len(one[0]), one[0]))
    return {
        "path": place,
        "name": str(group.attrs.get("name", "")),
        "variables": [_of_dataset(child) for _, child in children],
    }


def _of_dataset(dataset: Any) -> list[Any]:
    if dataset.is_virtual or dataset.external or dataset.chunks is not None:
        raise ValueError(
            f"{dataset.name} is compressed or lies outside of the file"
        )
    if dataset.dtype.kind not in "fiu":
        raise ValueError(f"{dataset.name} has the type {dataset.dtype}")
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    offset = dataset.id.get_offset() if size else 0
    if offset is None:
        raise ValueError(f"{dataset.name} was never written")
    place = [list(dataset.shape), dataset.dtype.str, offset, size]
    return [dataset.name, *place]


def _children(group: Any) -> Iterator[tuple[str, Any]]:
    """Yields a group's members; no link leads out of the file."""
    import h5py

    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{group.name}/{key} is a link")
        yield key, group[key]


def _main() -> None:
    # Else `import google` would find this folder's `google.py`.
    sys.path.pop(0)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # not every system has such limits
    json.dump(_describe(sys.argv[1]), sys.stdout)


if __name__ == "__main__":
    _main()
