"""Our writer of safetensors files against the library's."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bert_keras3.checkpointing import safetensors_file
from bert_keras3.checkpointing.arrays import Arrays, Entry, in_memory

CASES = {
    "floats": {
        "b": np.arange(6, dtype="f4").reshape(2, 3),
        "a.weight": np.array([-0.0, np.inf, 1e-45, np.nan], "f4"),
    },
    "types": {
        f"x.{name}": np.arange(4).astype(dtype)
        for name, dtype in safetensors_file.DTYPES.items()
    },
    "empty": {"none": np.zeros((0, 3), "f4"), "scalar": np.array(7, "i8")},
    "names": {"é/ÿ": np.ones(1, "f4"), 'a "b"': np.ones(2, "f4")},
    "transposed": {"t": np.arange(6, dtype="f4").reshape(2, 3).T},
}


@pytest.mark.parametrize("case", CASES)
def test_the_file_is_the_librarys(case: str, tmp_path: pathlib.Path) -> None:
    arrays = CASES[case]
    safetensors_file.write(tmp_path / "ours", in_memory(arrays).entries)
    contiguous = {n: np.ascontiguousarray(a) for n, a in arrays.items()}
    contiguous = {n: a.reshape(arrays[n].shape) for n, a in contiguous.items()}
    save_file(contiguous, tmp_path / "theirs", metadata={"format": "pt"})
    ours = (tmp_path / "ours").read_bytes()
    assert ours == (tmp_path / "theirs").read_bytes()
    for name, array in load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(array, arrays[name])


def test_one_array_at_a_time(tmp_path: pathlib.Path) -> None:
    written = []

    def entry(name: str) -> Entry:
        def read() -> np.ndarray:
            written.append((name, (tmp_path / "x").stat().st_size > 4 << 20))
            return np.zeros(1 << 20, np.float32)

        return Entry((1 << 20,), np.dtype(np.float32), read)

    entries = Arrays({name: entry(name) for name in "ba"}).entries
    safetensors_file.write(tmp_path / "x", entries)
    assert written == [("a", False), ("b", True)]
