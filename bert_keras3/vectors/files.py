"""Writes vectors block by block, in one of the formats of `WRITERS`.

    jsonl    {"linex_index": 0, "features": [{"token": "[CLS]", "layers":
             [{"index": -1, "values": [0.12, …]}, …]}, …]}, or, pooled,
             {"linex_index": 0, "values": [0.12, …]}
    npz      vectors [N, D]; or vectors [T, L, D] with input_ids [T] and
             offsets [N + 1]: the tokens of text i are those from offsets[i]
             to offsets[i + 1]; and layers [L]; ids [N] if the file has some
    parquet  linex_index, vector; or linex_index, tokens, and a list of
             vectors in a column for each layer; and id

Memory does not grow with the number of texts.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.vectors.decimals import json_lists
from bert_keras3.vectors.settings import JSON_LINES, NPZ, PARQUET

# Identifiers of an NPZ file that are converted at a time.
_IDS_AT_ONCE = 1 << 16


@dataclasses.dataclass(frozen=True)
class Block:
    """The vectors of some texts that follow one another.

    Attributes:
        numbers: of the N texts in their file, from 0.
        ids: identifiers of the N texts.
        input_ids: the token ids of each text.
        vectors: float32 [N, D], or for each of T tokens [T, L, D].
    """

    numbers: Sequence[int]
    ids: Sequence[str]
    input_ids: Sequence[Sequence[int]]
    vectors: np.ndarray


@dataclasses.dataclass(frozen=True)
class Layout:
    """What all blocks of a file have alike.

    Attributes:
        has_ids: whether identifiers are written.
        layers: L numbers of layers as the user gave them, for vectors of
            tokens; () for pooled vectors.
        width: D, components of a vector.
        tokens: id → token.
    """

    has_ids: bool
    layers: tuple[int, ...]
    width: int
    tokens: Mapping[int, str]

    def texts(
        self, block: Block
    ) -> Iterator[tuple[int, str, list[str], np.ndarray]]:
        """Yields number, identifier, tokens and vectors of each text."""
        end = 0
        for place, ids in enumerate(block.input_ids):
            start, end = end, end + len(ids)
            vectors = (
                block.vectors[start:end]
                if self.layers
                else block.vectors[place]
            )
            tokens = [self.tokens[one] for one in ids] if self.layers else []
            yield block.numbers[place], block.ids[place], tokens, vectors


class Writer(abc.ABC):
    """Writes one file."""

    def __init__(self, path: pathlib.Path, layout: Layout) -> None:
        """Begins the file."""
        self._path = path
        self._layout = layout
        self._open = contextlib.ExitStack()

    @abc.abstractmethod
    def write(self, block: Block) -> None:
        """Writes the next texts."""

    @abc.abstractmethod
    def finish(self) -> None:
        """Completes the file."""

    def close(self) -> None:
        """Releases what is open, whether the file is complete or not."""
        self._open.close()


class _JsonLines(Writer):
    def __init__(self, path: pathlib.Path, layout: Layout) -> None:
        super().__init__(path, layout)
        self._file = self._open.enter_context(
            open(path, "wb")  # noqa: SIM115
        )
        # What stands before the vector of each layer of a token.
        self._before = [
            b'%s{"index": %d, "values": ' % (b", " if place else b"", layer)
            for place, layer in enumerate(layout.layers)
        ]
        self._tokens: dict[str, bytes] = {}

    def write(self, block: Block) -> None:
        layout = self._layout
        width = block.vectors.shape[-1]
        lists = iter(json_lists(block.vectors.reshape(-1, width)))
        for number, identifier, tokens, _ in layout.texts(block):
            line = [b'{"linex_index": %d' % number]
            if layout.has_ids:
                line.append(b', "id": %s' % json.dumps(identifier).encode())
            if layout.layers:
                line.append(b', "features": [')
                for place, token in enumerate(tokens):
                    line += [b", " if place else b"", self._token(token)]
                    for before in self._before:
                        line += [before, next(lists), b"}"]
                    line.append(b"]}")
                line.append(b"]")
            else:
                line += [b', "values": ', next(lists)]
            line.append(b"}\n")
            self._file.write(b"".join(line))

    def _token(self, token: str) -> bytes:
        """What stands before a token's layers."""
        found = self._tokens.get(token)
        if found is None:
            found = b'{"token": %s, "layers": [' % json.dumps(token).encode()
            self._tokens[token] = found
        return found

    def finish(self) -> None:
        self.close()


class _Npz(Writer):
    """Collects each array in a file, since their lengths come first in NPZ."""

    def __init__(self, path: pathlib.Path, layout: Layout) -> None:
        super().__init__(path, layout)
        # Beside the target, where there has to be room in any case.
        folder = self._open.enter_context(
            tempfile.TemporaryDirectory(
                prefix=".vectors.", suffix=".tmp", dir=path.parent
            )
        )
        names = ["vectors", "ids"] + ["input_ids", "lengths"] * bool(
            layout.layers
        )
        self._files: dict[str, IO[bytes]] = {
            name: self._open.enter_context(
                open(pathlib.Path(folder, name), "wb+")  # noqa: SIM115
            )
            for name in names
        }
        self._num_texts = 0
        self._num_vectors = 0
        self._longest_id = 1

    def write(self, block: Block) -> None:
        files = self._files
        files["vectors"].write(np.ascontiguousarray(block.vectors).data)
        self._num_texts += len(block.ids)
        self._num_vectors += len(block.vectors)
        if self._layout.layers:
            lengths = np.array([len(one) for one in block.input_ids], np.int64)
            files["lengths"].write(lengths.data)
            flat = [one for ids in block.input_ids for one in ids]
            files["input_ids"].write(np.array(flat, np.int32).data)
        if self._layout.has_ids:
            for one in block.ids:
                self._longest_id = max(self._longest_id, len(one))
                files["ids"].write(json.dumps(one).encode("ascii") + b"\n")

    def finish(self) -> None:
        layout, number = self._layout, self._num_texts
        for file in self._files.values():
            file.seek(0)
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED) as archive:
            shape: tuple[int, ...] = (self._num_vectors, layout.width)
            if layout.layers:
                shape = (shape[0], len(layout.layers), layout.width)
                lengths = np.fromfile(self._files["lengths"], np.int64)
                offsets = np.concatenate([[0], np.cumsum(lengths)])
                self._add(archive, "offsets", offsets)
                self._add(archive, "layers", np.array(layout.layers))
                self._stream(archive, "input_ids", "<i4", shape[:1])
            self._stream(archive, "vectors", "<f4", shape)
            if layout.has_ids:
                self._add_ids(archive, number)

    def _add(
        self, archive: zipfile.ZipFile, name: str, array: np.ndarray
    ) -> None:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)

    def _stream(
        self,
        archive: zipfile.ZipFile,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
    ) -> None:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            _write_header(member, dtype, shape)
            shutil.copyfileobj(self._files[name], member, 1 << 20)

    def _add_ids(self, archive: zipfile.ZipFile, number: int) -> None:
        dtype = f"<U{self._longest_id}"
        with archive.open("ids.npy", "w", force_zip64=True) as member:
            _write_header(member, dtype, (number,))
            while lines := self._files["ids"].readlines(_IDS_AT_ONCE):
                ids = [json.loads(line) for line in lines]
                member.write(np.array(ids, dtype).tobytes())


def _write_header(file: IO[bytes], dtype: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_2_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )


class _Parquet(Writer):
    def __init__(self, path: pathlib.Path, layout: Layout) -> None:
        super().__init__(path, layout)
        import pyarrow as pa
        import pyarrow.parquet

        self._vector = pa.list_(pa.float32(), layout.width)
        fields = [pa.field("linex_index", pa.int64())]
        if layout.has_ids:
            fields.append(pa.field("id", pa.string()))
        if layout.layers:
            fields.append(pa.field("tokens", pa.list_(pa.string())))
            fields += [
                pa.field(f"layer_{layer}", pa.list_(self._vector))
                for layer in layout.layers
            ]
        else:
            fields.append(pa.field("vector", self._vector))
        self._schema = pa.schema(fields)
        self._file = self._open.enter_context(
            pyarrow.parquet.ParquetWriter(path, self._schema)
        )

    def write(self, block: Block) -> None:
        import pyarrow as pa

        layout = self._layout
        columns: list[Any] = [pa.array(block.numbers, pa.int64())]
        if layout.has_ids:
            columns.append(pa.array(block.ids, pa.string()))
        if layout.layers:
            lengths = [len(ids) for ids in block.input_ids]
            offsets = pa.array(np.cumsum([0, *lengths]), pa.int32())
            tokens = [
                layout.tokens[one] for ids in block.input_ids for one in ids
            ]
            columns.append(pa.ListArray.from_arrays(offsets, pa.array(tokens)))
            columns += [
                pa.ListArray.from_arrays(
                    offsets, self._vectors(block.vectors[:, place])
                )
                for place in range(len(layout.layers))
            ]
        else:
            columns.append(self._vectors(block.vectors))
        self._file.write_table(pa.table(columns, schema=self._schema))

    def _vectors(self, vectors: np.ndarray) -> Any:
        import pyarrow as pa

        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, type=self._vector)

    def finish(self) -> None:
        self.close()


WRITERS: Mapping[str, Callable[[pathlib.Path, Layout], Writer]] = {
    JSON_LINES: _JsonLines,
    NPZ: _Npz,
    PARQUET: _Parquet,
}


def check_writable(path: str | os.PathLike[str], format_name: str) -> None:
    """Checks that a file can be written, before long work is done.

    Raises:
        UserError: it exists, or a package for its format is missing.
    """
    if pathlib.Path(path).exists():
        raise UserError(
            f"--output_file={os.fspath(path)}: is there already; remove it, "
            "or give another name"
        )
    if format_name == PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            f"--format={PARQUET}: needs pyarrow, which is not installed; "
            f"install the extra with `pip install '.[{PARQUET}]'`"
        )


@contextlib.contextmanager
def open_writer(
    path: pathlib.Path, format_name: str, layout: Layout
) -> Iterator[Writer]:
    """Yields a writer; the file is complete if the block succeeds.

    Args:
        path: a temporary name.
        format_name: a key of `WRITERS`.
        layout: of all blocks.
    """
    writer = WRITERS[format_name](path, layout)
    try:
        yield writer
        writer.finish()
    finally:
        writer.close()
