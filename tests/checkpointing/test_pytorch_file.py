"""`pytorch_model.bin`: read by torch in a process of its own, or refused."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pathlib
import pickle
import shutil
import zipfile
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.safekeeping.errors import UserError

REFERENCE = pathlib.Path(__file__).parents[1] / "reference/huggingface"

needs_torch = [
    pytest.mark.huggingface,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None,
        reason="needs the extra `huggingface`",
    ),
]


def test_without_torch_it_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        checkpointing.read(REFERENCE / "pickle")
    message = str(caught.value)
    assert message.startswith(f"{REFERENCE / 'pickle/pytorch_model.bin'}: is a")
    assert "pip install 'torch>=2.8'" in message
    # The command that is shown is one that Python understands.
    command = message.split('python -c "')[1].split('"')[0]
    compile(command, "command", "exec")


def test_a_missing_shard_is_named(tmp_path: pathlib.Path) -> None:
    index = {"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"00001\.bin: there is no such file"):
        checkpointing.read(tmp_path)


class TestWithTorch:
    pytestmark = needs_torch

    def test_the_weights_are_those_of_the_safetensors_file(self) -> None:
        pickled = checkpointing.open(REFERENCE / "pickle")
        saved = checkpointing.open(REFERENCE / "labels")
        assert pickled.task == saved.task
        assert set(pickled.arrays) == set(saved.arrays)
        for name, array in saved.arrays.items():
            np.testing.assert_array_equal(pickled.arrays[name], array)

    def test_shards(self, tmp_path: pathlib.Path) -> None:
        shard = "pytorch_model-00001-of-00001.bin"
        shutil.copy(REFERENCE / "pickle/pytorch_model.bin", tmp_path / shard)
        index = {"weight_map": {"classifier.weight": shard}}
        path = tmp_path / "pytorch_model.bin.index.json"
        path.write_text(json.dumps(index))
        arrays = checkpointing.read(tmp_path)
        assert set(arrays) == set(checkpointing.read(REFERENCE / "labels"))

    def test_code_in_a_pickle_is_not_run(self, tmp_path: pathlib.Path) -> None:
        class Forged:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(tmp_path / "ran"),)

        path = tmp_path / "pytorch_model.bin"
        for content in (
            pickle.dumps({"a": Forged()}),
            _with_other_pickle(pickle.dumps({"a": Forged()}, protocol=2)),
        ):
            path.write_bytes(content)
            with pytest.raises(UserError, match="no PyTorch file of tensors"):
                checkpointing.read(tmp_path)
            assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("kept", [0, 100, 6000])
    def test_damaged_files(self, tmp_path: pathlib.Path, kept: int) -> None:
        content = (REFERENCE / "pickle/pytorch_model.bin").read_bytes()
        (tmp_path / "pytorch_model.bin").write_bytes(content[:kept])
        with pytest.raises(UserError, match=r"no PyTorch file .*cut short"):
            checkpointing.read(tmp_path)


def _with_other_pickle(content: bytes) -> bytes:
    """The reference's archive with another `data.pkl`."""
    archive = io.BytesIO()
    with (
        zipfile.ZipFile(REFERENCE / "pickle/pytorch_model.bin") as source,
        zipfile.ZipFile(archive, "w") as target,
    ):
        for member in source.namelist():
            is_pickle = member.endswith("data.pkl")
            target.writestr(
                member, content if is_pickle else source.read(member)
            )
    return archive.getvalue()
