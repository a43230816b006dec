"""What is saved comes back to the bit; what is torn or foreign is refused."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from safetensors import SafetensorError

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training import state


@pytest.fixture
def trained(make, batches):
    """A model, its optimizer and its step after three steps with dropout."""
    model, optimizer, step = make(rate=0.5)
    stream = batches(0)
    for _ in range(3):
        step(next(stream))
    return model, optimizer, step


def test_a_round_trip(trained, make, batches, tmp_path):
    """Weights, slots, the step and the random state: the fourth step shows."""
    model, optimizer, step = trained
    path = tmp_path / "folder" / "state.safetensors"
    state.save(path, model, optimizer, {"step": 3, "name": "ü"})
    other, other_optimizer, other_step = make(rate=0.5)
    assert state.read_numbers(path) == {"step": 3, "name": "ü"}
    state.restore(path, other, other_optimizer)
    batch = next(batches(3))
    assert float(step(batch)["loss"]) == float(other_step(batch)["loss"])
    for ours, theirs in zip(
        [*other.variables, *other_optimizer.variables],
        [*model.variables, *optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_no_state(tmp_path):
    assert state.read_numbers(tmp_path / "state.safetensors") is None


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_a_torn_file_is_refused(trained, make, tmp_path, share):
    path = tmp_path / "state.safetensors"
    state.save(path, *trained[:2], {"step": 3})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    model, optimizer, _ = make(rate=0.5)
    before = [variable.numpy() for variable in model.variables]
    for read in (
        lambda: state.read_numbers(path),
        lambda: state.restore(path, model, optimizer),
    ):
        with pytest.raises(UserError, match="not the state of this training"):
            read()
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_the_state_of_another_model_is_refused(trained, make, tmp_path):
    path = tmp_path / "state.safetensors"
    state.save(path, *trained[:2], {"step": 3})
    larger, optimizer, _ = make(rate=0.5, vocab=5)
    with pytest.raises(UserError) as caught:
        state.restore(path, larger, optimizer)
    assert f"{path}: is not the state" in str(caught.value)
    assert "(4, 2) there and (5, 2) in this model" in str(caught.value)
    assert "--overwrite_output_dir" in str(caught.value)


def test_a_file_of_other_tensors_is_refused(make, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "state.safetensors"
    save_file({"a": np.zeros(2)}, path)
    with pytest.raises(UserError, match="has no record of a step"):
        state.read_numbers(path)


def test_a_full_disk_keeps_its_number(trained, tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    state.save(path, *trained[:2], {"step": 3})
    before = path.read_bytes()

    def full(arrays, file, metadata):
        file.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left (os error 28)")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        state.save(path, *trained[:2], {"step": 4})
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
