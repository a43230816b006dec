"""Keras' files, read without building a model."""

from __future__ import annotations

import contextlib
import errno
import pathlib
import zipfile
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.safekeeping.errors import UserError
from modeling.bert import BertModel
from modeling.bert_with_heads import BertWithHeads
from modeling.config import BertConfig


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_names_are_the_paths_of_the_weights(
    tmp_path: pathlib.Path, config: BertConfig, name: str
) -> None:
    model = BertWithHeads(
        config, ["masked_lm", "next_sentence", "span", "labels"], "abc"
    )
    for variable in model.weights:  # LayerNorms and biases start out alike
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    path = tmp_path / name
    (model.save if name == "m.keras" else model.save_weights)(path)
    arrays = checkpointing.read(path)
    assert set(arrays) == {variable.path for variable in model.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(arrays[variable.path], variable.numpy())


def test_optimizer_is_kept_apart(
    tmp_path: pathlib.Path, config: BertConfig
) -> None:
    model = BertModel(config)
    model.compile(keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "m.keras")
    report = checkpointing.load(BertModel(config), tmp_path / "m.keras")
    assert len(report.loaded) == len(model.weights)
    assert report.unused == ()
    # Two moments for each weight, the step and the learning rate.
    assert len(report.slots) == 2 * len(model.weights) + 2


@pytest.fixture
def saved(tmp_path: pathlib.Path, model: Any) -> pathlib.Path:
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    return path


@pytest.mark.parametrize("size", [0, 5, 3000])
def test_cut_short(saved: pathlib.Path, size: int) -> None:
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(UserError, match=r"m\.weights\.h5: .*cut short"):
        checkpointing.read(saved)


def test_links_out_of_the_file_are_not_followed(saved: pathlib.Path) -> None:
    with h5py.File(saved, "a") as file:
        del file["layers/pooler/dense/vars/0"]
        file["layers/pooler/dense/vars/0"] = h5py.ExternalLink("/etc/x", "/")
    with pytest.raises(UserError, match="is a link"):
        checkpointing.read(saved)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chunks": (8,)}, "is compressed or lies outside"),
        ({"external": "/etc/hosts"}, "is compressed or lies outside"),
        ({}, "was never written"),
        ({"dtype": h5py.string_dtype()}, "has the type object"),
    ],
)
def test_arrays_that_are_not_simply_there(
    saved: pathlib.Path, settings: dict[str, Any], message: str
) -> None:
    with h5py.File(saved, "a") as file:
        del file["layers/pooler/dense/vars/0"]
        file.create_dataset(
            "layers/pooler/dense/vars/0",
            (1 << 40,),
            **{"dtype": "f4", **settings},
        )
    with pytest.raises(UserError, match=message):
        checkpointing.read(saved)


def test_a_ring_of_groups(saved: pathlib.Path) -> None:
    with h5py.File(saved, "a") as file:
        file["layers/pooler/again"] = file["layers"]
    with pytest.raises(UserError, match="layers/pooler/again is there twice"):
        checkpointing.read(saved)


def test_what_would_crash_the_library_is_reported(saved: pathlib.Path) -> None:
    content = saved.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(5):
        damaged = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(len(damaged), size=200)
        damaged[places] = rng.integers(256, size=200)
        saved.write_bytes(damaged.tobytes())
        with contextlib.suppress(UserError):
            checkpointing.read(saved)


def test_archives_that_are_none(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"m\.keras: is not a Keras"):
        checkpointing.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match=r"m\.keras: is not a Keras"):
        checkpointing.read(path)


def test_an_archive_that_swells_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10_000_000))
    with pytest.raises(UserError, match="would grow from"):
        checkpointing.read(path)


def test_a_full_disk_is_no_damage(
    model: BertModel, tmp_path: pathlib.Path, small_disk: Any
) -> None:
    """The weights are copied out of the archive before they are read."""
    model.save(tmp_path / "m.keras")
    with small_disk(4096), pytest.raises(OSError, match="large") as caught:
        checkpointing.read(tmp_path / "m.keras")
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value.filename).endswith(".h5")
