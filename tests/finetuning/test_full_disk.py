"""A disk that is full in the middle of a save; the system's own limit.

A file that may not grow beyond a few kilobytes is to its writer what a full
disk is: a write that fails half way.
"""

from __future__ import annotations

import errno
import shutil

import numpy as np
import pytest

from bert_keras3.finetuning import single_label
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.texts import PREDICTIONS
from bert_keras3.training import state
from bert_keras3.training.run_folder import STATE


def weights_of(folder):
    return [
        weight.numpy()
        for weight in FinetuningFolder(folder).load_model().weights
    ]


def assert_same_bits(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_goes_on(
    finished, job, screen, monkeypatch, full_at_call
):
    """Twice: while the second model is saved, and while a state is."""
    with monkeypatch.context() as patch:
        full_at_call(patch, FinetuningFolder, "save_model", 2)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its number counts
            run(job, screen)
    assert caught.value.errno == errno.EFBIG
    first_model = weights_of(job.output_dir)
    assert state.read_numbers(job.output_dir / STATE)["step"] >= 3

    with monkeypatch.context() as patch:
        full_at_call(patch, state, "save", 2)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            run(job, screen)
    assert caught.value.errno == errno.EFBIG
    assert "state.safetensors" in str(caught.value.filename)
    assert weights_of(job.output_dir)[0].shape == first_model[0].shape
    left = [path.name for path in job.output_dir.rglob("*.tmp*")]
    assert left == []

    run(job, screen)
    assert "resumed after step" in screen.text
    assert_same_bits(
        weights_of(finished[0].output_dir), weights_of(job.output_dir)
    )


def test_a_full_disk_before_the_first_step(finished, job, screen, small_disk):
    """Nothing was there before, and hardly anything is afterwards."""
    with small_disk(64), pytest.raises(OSError):  # noqa: PT011
        run(job, screen)
    assert not job.output_dir.exists()


def test_a_full_disk_while_predictions_are_written(
    finished, change, screen, tmp_path, monkeypatch, full_at_call
):
    out = tmp_path / "out"
    shutil.copytree(finished[0].output_dir, out)
    predict = change(
        finished[0],
        output_dir=out,
        do_train=False,
        do_eval=False,
        do_predict=True,
        test_file=finished[0].data.train_file,
    )
    run(predict, screen)
    before = (out / PREDICTIONS).read_bytes()
    many = tmp_path / "many.csv"
    many.write_text("id,text,label\n" + "a,good film,praise\n" * 600)
    full_at_call(monkeypatch, single_label, "write_text_predictions", 1)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        run(change(predict, test_file=str(many)), screen)
    assert caught.value.errno == errno.EFBIG
    assert (out / PREDICTIONS).read_bytes() == before
