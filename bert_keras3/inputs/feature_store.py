"""Features of rows by name, on disk and memory-mapped.

A row is one input of the model; an example has one row or several, such as
the windows of a long text or the choices of a question. A million rows take
as little memory as a thousand.

Worked example: two examples, the second with two rows.

    row  example  input_ids    segment_ids  token_labels  target
    0    0        [2, 7, 3]    [0, 0, 0]    [9, 1, 9]     0
    1    1        [2, 7, 8, 3] [0, 0, 0, 0] [9, 1, 2, 9]  1
    2    1        [2, 3]       [0, 0]       [9, 9]        1

`padded([0, 2])` is the batch input_ids [[2, 7, 3], [2, 3, 0]], input_mask
[[1, 1, 1], [1, 1, 0]], …, target [0, 1].
"""

from __future__ import annotations

import array
import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

INPUT_MASK = "input_mask"


@dataclasses.dataclass(frozen=True)
class Column:
    """The type of a feature.

    Attributes:
        dtype: dtype of the values in a batch.
        per_token: whether a row has one value for each of its tokens, or one
            in all.
        shape: shape of one value.
        padding: the value behind a row's last token, if `per_token`.
        stored: dtype on disk; None: `dtype`.
    """

    dtype: str
    per_token: bool = False
    shape: tuple[int, ...] = ()
    padding: float = 0
    stored: str | None = None

    @property
    def stored_dtype(self) -> np.dtype:
        """The dtype on disk."""
        return np.dtype(self.stored or self.dtype)


INPUT_COLUMNS: Mapping[str, Column] = {
    "input_ids": Column("int32", per_token=True),
    "segment_ids": Column("int32", per_token=True, stored="uint8"),
}
"""The inputs of every encoder; `FeatureStore.padded` adds the mask."""


@dataclasses.dataclass(frozen=True)
class FeatureStore:
    """Features of N rows with T tokens in all.

    Attributes:
        columns: types of the features, by name.
        arrays: [T, *shape] of columns per token, else [N, *shape].
        offsets: int64 [N + 1]; the tokens of row i are those from
            offsets[i] to offsets[i + 1].
        examples: int64 [N], not decreasing; the example of each row.
        length_step: batches are padded to a multiple of this, though not
            beyond the longest row, so that they have few different shapes.
        fixed_length: every batch is padded to this length; None: no further
            than to its longest row, or a step.
    """

    columns: Mapping[str, Column]
    arrays: Mapping[str, np.ndarray]
    offsets: np.ndarray
    examples: np.ndarray
    length_step: int = 1
    fixed_length: int | None = None

    def __len__(self) -> int:
        """Returns the number of rows, N."""
        return len(self.examples)

    @property
    def num_examples(self) -> int:
        """The number of the last example plus one."""
        return int(self.examples[-1]) + 1 if len(self) else 0

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each row, [CLS] and [SEP] included, [N]."""
        return np.diff(self.offsets)

    @functools.cached_property
    def _longest(self) -> int:
        return int(self.lengths.max(initial=0))

    @property
    def per_token(self) -> tuple[str, ...]:
        """Names of the features with one value per token, with the mask."""
        return (
            INPUT_MASK,
            *(name for name, one in self.columns.items() if one.per_token),
        )

    def rows_of(self, examples: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the rows of some examples, one example after the other.

        Args:
            examples: numbers of examples; one may have no rows.

        Returns:
            int64 [R].
        """
        first = np.searchsorted(self.examples, examples, "left")
        behind = np.searchsorted(self.examples, examples, "right")
        return ranges(first, behind - first)

    def output_lengths(self, rows: np.ndarray) -> np.ndarray:
        """Returns for how many tokens of each row outputs are wanted.

        Args:
            rows: int [R].

        Returns:
            int64 [R], the rows' lengths; with `fixed_length` that, since then
            outputs of padding count.
        """
        if self.fixed_length is not None:
            return np.full(len(rows), self.fixed_length)
        return self.lengths[rows]

    def share_of_padding(self, length: int) -> float:
        """Returns the share of padding among all positions.

        Args:
            length: the length that every row is padded to.
        """
        return 1.0 - int(self.offsets[-1]) / max(1, length * len(self))

    def padded_lengths(self, lengths: np.ndarray) -> np.ndarray:
        """Returns the padded length for each length of a longest row."""
        if self.fixed_length is not None:
            return np.full_like(lengths, self.fixed_length)
        steps = -(-lengths // self.length_step)
        return np.minimum(steps * self.length_step, self._longest)

    def padded(
        self,
        rows: Sequence[int] | np.ndarray,
        columns: Iterable[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Returns some rows as a batch, padded to their longest or a step.

        Args:
            rows: B row numbers.
            columns: names of the columns to return; None: all. A batch has
                `input_mask` in any case.

        Returns:
            `input_mask`, int32 [B, S], 1 where there is a token, and each
            column, [B, S, *shape] or [B, *shape].
        """
        rows = np.asarray(rows, np.int64)
        lengths = self.lengths[rows]
        length = int(self.padded_lengths(lengths.max(initial=0)))
        # [B, S]
        is_token = np.arange(length) < lengths[:, None]
        tokens = ranges(self.offsets[rows], lengths)
        batch = {INPUT_MASK: is_token.astype(np.int32)}
        for name in self.columns if columns is None else columns:
            if name == INPUT_MASK:
                continue
            column, values = self.columns[name], self.arrays[name]
            if column.per_token:
                padded = np.full(
                    (len(rows), length, *column.shape),
                    column.padding,
                    column.dtype,
                )
                padded[is_token] = values[tokens]
                batch[name] = padded
            else:
                batch[name] = values[rows].astype(column.dtype, copy=False)
        return batch

    def one_blank_row(self) -> FeatureStore:
        """Returns a store like this with one row, whose one token is padding.

        Its features per row are zero.
        """
        arrays = {
            name: np.full(
                (1, *column.shape),
                column.padding if column.per_token else 0,
                column.stored_dtype,
            )
            for name, column in self.columns.items()
        }
        return dataclasses.replace(
            self,
            arrays=arrays,
            offsets=np.array([0, 1]),
            examples=np.zeros(1, np.int64),
        )

    def with_column(
        self, name: str, column: Column, values: np.ndarray
    ) -> FeatureStore:
        """Returns a store with one column added or replaced.

        Args:
            name: name of the column.
            column: its type.
            values: [T, *shape] if it is per token, else [N, *shape].

        Raises:
            ValueError: the values have another shape.
        """
        count = int(self.offsets[-1]) if column.per_token else len(self)
        if values.shape != (count, *column.shape):
            raise ValueError(
                f"{name} has shape {values.shape}, and should have "
                f"{(count, *column.shape)}"
            )
        return dataclasses.replace(
            self,
            columns={**self.columns, name: column},
            arrays={**self.arrays, name: values},
        )


def ranges(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns consecutive numbers from each first one on, concatenated.

    Args:
        first: int [B].
        lengths: int [B].

    Returns:
        int64 [sum of the lengths]; `ranges([5, 1], [2, 3])` is
        [5, 6, 1, 2, 3].
    """
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(first - before, lengths)


def write_feature_store(
    folder: str | os.PathLike[str],
    columns: Mapping[str, Column],
    rows: Iterable[tuple[int, Mapping[str, Any]]],
) -> FeatureStore:
    """Writes features row by row and memory-maps them.

    Args:
        folder: an existing folder, which gets one file for each column; the
            store is valid as long as they exist.
        columns: types of the features, by name; at least one is per token.
        rows: (number of the example, {name: values}), read one at a time. The
            numbers do not decrease.

    Returns:
        The store.

    Raises:
        ValueError: columns per token have different lengths in one row, or
            the rows of an example do not follow one another.
        OSError: the disk is full.
    """
    paths = {
        name: pathlib.Path(folder) / f"{name}.{column.stored_dtype.name}"
        for name, column in columns.items()
    }
    offsets, examples = array.array("q", [0]), array.array("q")
    with contextlib.ExitStack() as stack:
        files = [
            (
                name,
                column.stored_dtype,
                column.per_token,
                stack.enter_context(open(paths[name], "wb")),
            )
            for name, column in columns.items()
        ]
        for example, values in rows:
            if examples and example < examples[-1]:
                raise ValueError(
                    f"a row of example {example} behind one of {examples[-1]}"
                )
            length = None
            for name, dtype, per_token, file in files:
                value = np.asarray(values[name], dtype)
                file.write(value.tobytes())
                if per_token:
                    if length not in (None, len(value)):
                        raise ValueError(
                            f"example {example}: {name} has {len(value)} "
                            f"tokens, another column {length}"
                        )
                    length = len(value)
            examples.append(example)
            offsets.append(offsets[-1] + (length or 0))
    arrays = {
        name: _mapped(paths[name], column) for name, column in columns.items()
    }
    return FeatureStore(
        columns,
        arrays,
        np.frombuffer(offsets, np.int64),
        np.frombuffer(examples, np.int64)
        if examples
        else np.zeros(0, np.int64),
    )


def joined(
    folder: str | os.PathLike[str], first: FeatureStore, second: FeatureStore
) -> FeatureStore:
    """Writes the rows of one store and then those of another.

    Args:
        folder: an existing folder, as for `write_feature_store`.
        first: its columns are those of the result.
        second: columns that it lacks are 0 there. Its examples are numbered
            from those of `first` on.
    """
    arrays = {}
    for name, column in first.columns.items():
        path = pathlib.Path(folder) / f"{name}.{column.stored_dtype.name}"
        count = int(second.offsets[-1]) if column.per_token else len(second)
        with open(path, "wb") as file:
            first.arrays[name].astype(column.stored_dtype, copy=False).tofile(
                file
            )
            if name in second.columns:
                second.arrays[name].astype(
                    column.stored_dtype, copy=False
                ).tofile(file)
            else:
                shape = (count, *column.shape)
                np.zeros(shape, column.stored_dtype).tofile(file)
        arrays[name] = _mapped(path, column)
    return dataclasses.replace(
        first,
        arrays=arrays,
        offsets=np.concatenate(
            [first.offsets, first.offsets[-1] + second.offsets[1:]]
        ),
        examples=np.concatenate(
            [first.examples, first.num_examples + second.examples]
        ),
    )


def store_in_memory(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    columns: Mapping[str, Column],
) -> FeatureStore:
    """Returns rows as `write_feature_store` does.

    For the few rows that a served model computes at a time.

    Args:
        rows: (number of the example, {column: values}), numbers not falling.
        columns: of the rows.
    """
    numbers: list[int] = []
    values: dict[str, list[Any]] = {name: [] for name in columns}
    for number, row in rows:
        numbers.append(number)
        for name in columns:
            values[name].append(row[name])
    arrays = {}
    for name, column in columns.items():
        if column.per_token:
            parts = [np.zeros(0), *values[name]]
            arrays[name] = np.concatenate(parts).astype(column.stored_dtype)
        else:
            arrays[name] = np.array(values[name], column.stored_dtype)
    lengths = [len(ids) for ids in values["input_ids"]]
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    return FeatureStore(columns, arrays, offsets, np.array(numbers, np.int64))


def _mapped(path: pathlib.Path, column: Column) -> np.ndarray:
    """Memory-maps a column's file, unless it is empty."""
    if not path.stat().st_size:
        return np.zeros((0, *column.shape), column.stored_dtype)
    # As a plain array: indexing `np.memmap` runs code of its class each time.
    values = np.asarray(np.memmap(path, column.stored_dtype, "r"))
    return values.reshape(-1, *column.shape)
