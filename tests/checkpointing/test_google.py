"""Google's checkpoints: what is in them, and what breaks them."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.safekeeping.errors import UserError

ARRAYS = {
    "bert/embeddings/word_embeddings": np.arange(6.0, dtype=np.float32).reshape(
        2, 3
    ),
    "bert/pooler/dense/bias": np.array([7.0, 8.0, 9.0], np.float32),
    "global_step": np.array(20),
}

Writer = Callable[[dict[str, Any]], pathlib.Path]


def test_names_shapes_and_values(google_folder: Writer) -> None:
    arrays = checkpointing.read(google_folder(ARRAYS))
    assert set(arrays) == set(ARRAYS)
    assert arrays.shape("bert/embeddings/word_embeddings") == (2, 3)
    assert arrays.dtype("global_step") == np.int64
    for name, expected in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], expected)


def test_tensorflow_reads_what_is_written(google_folder: Writer) -> None:
    prefix = google_folder(ARRAYS) / "bert_model.ckpt"
    assert tf.train.list_variables(str(prefix)) == [
        ("bert/embeddings/word_embeddings", [2, 3]),
        ("bert/pooler/dense/bias", [3]),
        ("global_step", []),
    ]


def test_data_cut_short(google_folder: Writer) -> None:
    folder = google_folder(ARRAYS)
    data = folder / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:20])
    with pytest.raises(
        UserError,
        match=r"cut short: .*word_embeddings ends at byte 24 of .* 20",
    ):
        checkpointing.read(folder)


def test_one_byte_wrong_names_the_tensor(google_folder: Writer) -> None:
    folder = google_folder(ARRAYS)
    data = folder / "bert_model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[25] ^= 1  # 24 bytes of the word embedding table come first
    data.write_bytes(content)
    arrays = checkpointing.read(folder)
    assert arrays["global_step"] == 20
    with pytest.raises(UserError, match="bert/pooler/dense/bias is damaged"):
        _ = arrays["bert/pooler/dense/bias"]


def test_a_wrong_checksum_of_the_index(google_folder: Writer) -> None:
    index = google_folder(ARRAYS) / "bert_model.ckpt.index"
    content = index.read_bytes()
    index.write_bytes(content.replace(b"pooler", b"pooled"))
    with pytest.raises(UserError, match=r"\.index: .*another checksum"):
        checkpointing.read(index)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_floats_of_16_bits_become_float32(
    google_folder: Writer, dtype: str, tmp_path: pathlib.Path
) -> None:
    name = "bert/pooler/dense/bias"
    stored = ARRAYS[name].astype(dtype)
    arrays = checkpointing.read(google_folder({name: stored}))
    assert arrays.dtype(name) == arrays[name].dtype == np.float32
    np.testing.assert_array_equal(arrays[name], stored.astype(np.float32))


def test_index_without_data(google_folder: Writer) -> None:
    folder = google_folder(ARRAYS)
    (folder / "bert_model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(UserError, match="data-00000-of-00001 is missing"):
        checkpointing.read(folder)


def test_several_data_files(tmp_path: pathlib.Path) -> None:
    for number, (name, array) in enumerate(ARRAYS.items()):
        tensor_bundle.write(tmp_path / f"{number}", in_memory({name: array}))
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(tmp_path / str(n)) for n in range(3)],
        destination_prefix=str(tmp_path / "model.ckpt"),
        delete_old_dirs=False,
    )
    arrays = checkpointing.read(tmp_path / "model.ckpt")
    for name, expected in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], expected)
    (tmp_path / "model.ckpt.data-00001-of-00003").unlink()
    with pytest.raises(UserError, match="data-00001-of-00003 is missing"):
        checkpointing.read(tmp_path / "model.ckpt")


@pytest.mark.parametrize("content", [b"", b"not an index" * 30])
def test_index_of_something_else(
    tmp_path: pathlib.Path, content: bytes
) -> None:
    (tmp_path / "model.ckpt.index").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.ckpt\.index: is not the"):
        checkpointing.read(tmp_path)


def test_object_based_checkpoint_is_refused(tmp_path: pathlib.Path) -> None:
    tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(tmp_path / "ckpt"))
    with pytest.raises(UserError, match="object-based"):
        checkpointing.read(tmp_path)


def test_published_checkpoints(reference: pathlib.Path) -> None:
    folder = reference / "checkpointing"
    arrays = checkpointing.read(folder / "run_pretraining")
    assert len(arrays) == 139
    assert arrays["global_step"] > 0
    arrays = checkpointing.read(folder / "classifier")
    assert arrays.shape("output_weights") == (27, 32)
    assert np.isfinite(arrays["output_weights"]).all()
    indexes = sorted((folder / "index_only").glob("*/*.index"))
    assert len(indexes) == 6
    for index in indexes:
        with pytest.raises(UserError, match="00000-of-00001 is missing"):
            checkpointing.read(index)


# An index that only looks like one: TensorFlow's own reader would end the
# process. Checksums do not help, since whoever forges it computes them.


def forged(index: bytes, old: bytes, new: bytes) -> bytes:
    assert index.count(old) == 1
    assert len(old) == len(new)
    return index.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # The field numbers and values of BundleEntryProto: dtype 1, shape 2,
        # offset 4, size 5; the word embedding table is 2 × 3 floats, 24 bytes.
        (
            bytes([0x12, 8, 0x12, 2, 8, 2, 0x12, 2, 8, 3]),
            bytes([0x12, 8, 0x12, 2, 8, 2, 0x12, 2, 8, 99]),
            r"word_embeddings has the shape \[2, 99\] and 24 bytes",
        ),
        (bytes([0x28, 24]), bytes([0x28, 25]), "and 25 bytes"),
        (bytes([0x28, 24]), bytes([0x2F, 24]), "a record is damaged"),
        (
            bytes([8, 1, 0x12, 8]),
            bytes([8, 99, 0x12, 8]),
            "a type that weights",
        ),
        (b"bert/embeddings", b"bert/embedd\xffngs", "is not text"),
    ],
)
def test_forged_records(
    google_folder: Writer, old: bytes, new: bytes, message: str
) -> None:
    index = (google_folder(ARRAYS) / "bert_model.ckpt.index").read_bytes()
    with pytest.raises(ValueError, match=message):
        tensor_bundle.parse(forged(index, old, new))


def test_any_damage_is_reported(google_folder: Writer) -> None:
    index = (google_folder(ARRAYS) / "bert_model.ckpt.index").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(index)
        for place in rng.integers(len(index), size=3):
            content[place] = rng.integers(256)
        with contextlib.suppress(ValueError):
            tensor_bundle.parse(bytes(content))
