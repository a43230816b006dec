"""Our writer of checkpoints against TensorFlow's."""

from __future__ import annotations

import contextlib
import pathlib
from typing import Any

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import (
    saved_model_pb2,
    tensor_bundle_pb2,
    trackable_object_graph_pb2,
)

from bert_keras3.checkpointing import (
    google,
    tensor_bundle,
    tensorflow_messages,
)
from bert_keras3.checkpointing.arrays import Arrays, Entry, in_memory
from bert_keras3.safekeeping.binary_encoding import masked_crc32c, varint
from bert_keras3.safekeeping.errors import UserError

RNG = np.random.default_rng(1)
CASES = {
    "one": {"a": np.array([1.5], "f4")},
    "scalars": {"global_step": np.int64(7), "b": np.float32(2)},
    "types": {
        f"x/{dtype}": np.arange(6).reshape(2, 3).astype(dtype)
        for dtype in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")
    },
    "empty": {"none": np.zeros((0, 4), np.float32), "z": np.array([1], "f4")},
    "awkward names": {"é/ÿ": np.array([1], "f4")},
    # More than one stretch of shared beginnings, and offsets beyond a byte.
    "many": {
        f"bert/encoder/layer_{n}/{part}": RNG.normal(size=(n + 1, 7))
        for n in range(24)
        for part in ("query/kernel", "query/bias", "LayerNorm/gamma")
    },
}


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_tensorflows(case: str, tmp_path: pathlib.Path) -> None:
    arrays = {name: np.asarray(a) for name, a in CASES[case].items()}
    tensor_bundle.write(tmp_path / "ours", in_memory(arrays))
    ordered = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "theirs"),
        tensor_names=ordered,
        shape_and_slices=[""] * len(ordered),
        tensors=[tf.constant(arrays[name]) for name in ordered],
    )
    for ending in (".index", ".data-00000-of-00001"):
        ours = (tmp_path / f"ours{ending}").read_bytes()
        assert ours == (tmp_path / f"theirs{ending}").read_bytes(), ending
    read = google.read(tmp_path / "ours")
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].shape == array.shape


def test_messages_are_declared_as_tensorflow_has_them() -> None:
    """By numbers and types; enums are numbers, maps repeated entries."""
    seen = set()

    def compare(ours: Any, theirs: Any) -> None:
        if ours.name in seen:
            return
        seen.add(ours.name)
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            assert field.number == other.number, field.full_name
            assert field.is_repeated == other.is_repeated, field.full_name
            if field.message_type is not None:
                compare(field.message_type, other.message_type)
            elif other.enum_type is None:
                assert field.type == other.type, field.full_name

    for message, theirs in (
        (tensorflow_messages.Header, tensor_bundle_pb2.BundleHeaderProto),
        (tensorflow_messages.IndexEntry, tensor_bundle_pb2.BundleEntryProto),
        (
            tensorflow_messages.ObjectGraph,
            trackable_object_graph_pb2.TrackableObjectGraph,
        ),
        (tensorflow_messages.SavedModel, saved_model_pb2.SavedModel),
    ):
        compare(message.DESCRIPTOR, theirs.DESCRIPTOR)
    assert seen == set(tensorflow_messages.MESSAGES)


def test_an_index_of_any_size_is_read(tmp_path: pathlib.Path) -> None:
    """TensorFlow cuts its index into blocks of 256 KiB; ours is one."""
    arrays = {f"{n:0200d}": np.array([n], "f4") for n in range(3000)}
    # Reversed, since keys that share no beginning make a large index.
    arrays = {name[::-1]: array for name, array in arrays.items()}
    tensor_bundle.write(tmp_path / "x", in_memory(arrays))
    assert (tmp_path / "x.index").stat().st_size > 1 << 19
    reader = tf.train.load_checkpoint(str(tmp_path / "x"))
    assert reader.get_variable_to_shape_map().keys() == arrays.keys()
    for name in sorted(arrays)[::500]:
        assert reader.get_tensor(name) == arrays[name]


@pytest.fixture
def compressed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> pathlib.Path:
    """A checkpoint whose index is compressed, as a published one's is."""
    cramjam = pytest.importorskip("cramjam")

    def add(table: bytearray, block: bytes) -> bytes:
        packed = bytes(cramjam.snappy.compress_raw(block))
        handle = varint(len(table)) + varint(len(packed))
        table += packed + b"\1"
        checksum = google_crc32c.value(packed + b"\1")
        table += masked_crc32c(checksum).to_bytes(4, "little")
        return handle

    monkeypatch.setattr(tensor_bundle, "_add_block", add)
    tensor_bundle.write(tmp_path / "x", in_memory(CASES["many"]))
    monkeypatch.undo()
    return tmp_path / "x"


def test_an_index_with_compressed_blocks(compressed: pathlib.Path) -> None:
    # It is one to TensorFlow as well.
    reader = tf.train.load_checkpoint(str(compressed))
    read = google.read(compressed)
    assert set(read) == set(CASES["many"])
    for name in list(CASES["many"])[::7]:
        np.testing.assert_array_equal(read[name], CASES["many"][name])
        np.testing.assert_array_equal(reader.get_tensor(name), read[name])
    tensor_bundle.write(compressed.with_name("y"), read)
    index = compressed.with_name("y.index").read_bytes()
    assert len(compressed.with_name("x.index").read_bytes()) < len(index)


@pytest.mark.parametrize(
    ("start", "replaced", "message"),
    [
        # The length at the beginning of the first block: 4 GB, and more than
        # its bytes say.
        (0, b"\xff\xff\xff\xff\x0f", "swell as none can"),
        (0, b"\x80\x70", "damaged: .*mismatch"),
        (40, b"\xff" * 400, "a compressed block is damaged"),
    ],
)
def test_compressed_blocks_that_are_forged(
    compressed: pathlib.Path, start: int, replaced: bytes, message: str
) -> None:
    path = compressed.with_name("x.index")
    index = bytearray(path.read_bytes())
    index[start : start + len(replaced)] = replaced
    path.write_bytes(index)
    with pytest.raises(UserError, match=f"x.index: is not .*{message}"):
        google.read(compressed)


def test_any_damage_of_compressed_blocks_is_reported(
    compressed: pathlib.Path,
) -> None:
    index = compressed.with_name("x.index").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(index)
        for place in rng.integers(len(index), size=3):
            content[place] = rng.integers(256)
        with contextlib.suppress(ValueError):
            tensor_bundle.parse(bytes(content))


def test_blocks_do_not_overlap() -> None:
    block = tensor_bundle._block([(b"a", bytes(1000))])
    table = bytearray()
    handle = tensor_bundle._add_block(table, block)
    same = [(b"%d" % n, handle) for n in range(9)]
    index = tensor_bundle._add_block(table, tensor_bundle._block(same))
    footer = (handle + index).ljust(40, b"\0") + tensor_bundle.MAGIC
    with pytest.raises(ValueError, match="its blocks overlap"):
        tensor_bundle.parse(bytes(table) + footer)


def test_one_array_at_a_time(tmp_path: pathlib.Path) -> None:
    written = []

    def entry(name: str) -> Entry:
        def read() -> np.ndarray:
            data = tmp_path / "x.data-00000-of-00001"
            written.append((name, data.stat().st_size))
            return np.zeros(1 << 20, np.float32)

        return Entry((1 << 20,), np.dtype(np.float32), read)

    tensor_bundle.write(tmp_path / "x", Arrays({n: entry(n) for n in "ba"}))
    assert written == [("a", 0), ("b", 4 << 20)]
