"""A disk that is full while a pretraining saves; a folder that is none."""

from __future__ import annotations

import errno
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Arrays, Checkpoint
from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining.checkpoint_files import CheckpointFiles
from bert_keras3.pretraining.job import run
from bert_keras3.pretraining_data import preparation
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings
from bert_keras3.training import run_folder, state

pytest.importorskip("resource")


def arrays_of(folder):
    arrays = checkpointing.read(folder)
    return {name: arrays[name] for name in arrays}


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_full_disk_leaves_what_was_saved_and_the_run_goes_on(
    trained, job, lines, monkeypatch, full_at_call
):
    """While the second checkpoint is written (its data, then the small files
    beside it), and while the state is; at last it ends with the same bits.
    """
    out = pathlib.Path(job.output_dir)
    for size in (4096, 64):
        before = files_of(out) if out.exists() else {}
        with monkeypatch.context() as patch:
            # A run that goes on from a state saves one checkpoint less.
            number = 1 if before else 2
            full_at_call(patch, CheckpointFiles, "save", number, size)
            with pytest.raises(OSError) as caught:  # noqa: PT011 - its number
                run(job, lines)
        assert caught.value.errno == errno.EFBIG
        found = files_of(out)
        for name in before:
            if not name.startswith(("training_", "pretraining.json")):
                assert found[name] == before[name]
        assert checkpointing.locate(out).weights.name == "model.ckpt-3"
        assert sorted(path.name for path in out.glob("model.ckpt*")) == [
            "model.ckpt-3.data-00000-of-00001",
            "model.ckpt-3.index",
        ]
        assert not list(out.rglob("*.tmp*"))

    with monkeypatch.context() as patch:
        full_at_call(patch, state, "save", 1)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            run(job, lines)
    assert caught.value.errno == errno.EFBIG
    assert state.read_numbers(out / run_folder.STATE)["step"] == 3
    assert not list(out.rglob("*.tmp*"))

    run(job, lines)
    assert "resumed after step 3" in lines
    ours, theirs = arrays_of(out), arrays_of(trained)
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)


def test_what_a_killed_run_left_half_written_is_removed(tmp_path, config):
    import keras

    from bert_keras3.optimization import create_optimizer
    from bert_keras3.pretraining.objective import new_model

    left = tmp_path / ".checkpoint.tmp" / "model.ckpt-9.data-00000-of-00001"
    left.parent.mkdir()
    left.write_bytes(b"half")
    keras.utils.set_random_seed(0)
    model = new_model(config)
    optimizer = create_optimizer(1e-3, 10, 0)
    optimizer.build(model.trainable_variables)
    start = Checkpoint(Arrays({}), config)
    CheckpointFiles(tmp_path, start).save(model, optimizer)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bert_config.json",
        "checkpoint",
        "model.ckpt-0.data-00000-of-00001",
        "model.ckpt-0.index",
    ]


@pytest.mark.parametrize("streams", ["original", "independent"])
@pytest.mark.parametrize("size", [700, 4000, 20_000])
def test_a_full_disk_while_records_are_made(
    tmp_path, text, vocab_file, small_disk, streams, size
):
    """While text is encoded, put together, or written as records.

    There is no output then, and the same command goes on.
    """
    (tmp_path / "text.txt").write_text(text)
    out = tmp_path / "out.tfrecord"
    settings = Settings(
        input_files=(str(tmp_path / "text.txt"),),
        output_files=(str(out),),
        vocab_file=str(vocab_file),
        masking=MaskingSettings(max_predictions_per_seq=4),
        max_seq_length=24,
        random_streams=streams,
        dupe_factor=20,
    )

    def prepare():
        return preparation.prepare(settings, Progress(), lambda line: None)

    with small_disk(size), pytest.raises(OSError) as caught:  # noqa: PT011
        prepare()
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value.filename).startswith(str(out))
    assert not out.exists()
    assert prepare().num_instances > 100
    assert out.stat().st_size > size
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.tfrecord",
        "text.txt",
    ]


def command(job, output_dir):
    return [
        *(sys.executable, "run_pretraining.py", "--do_train"),
        f"--input_file={job.input_file}",
        f"--bert_config_file={job.model.bert_config_file}",
        f"--max_seq_length={job.max_seq_length}",
        f"--max_predictions_per_seq={job.max_predictions_per_seq}",
        *("--train_batch_size=8", "--num_train_steps=2"),
        f"--output_dir={output_dir}",
    ]


@pytest.mark.slow
def test_it_is_told_in_one_line_with_exit_code_2(root, job, tmp_path):
    """The system lets no file grow beyond 4 KB, as an `ulimit -f` does."""
    done = subprocess.run(
        [
            *("bash", "-c", 'ulimit -f 4; exec "$@"', "bash"),
            *command(job, tmp_path / "out"),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'out'}")
    assert "larger than allowed. What was there before is untouched" in last


@pytest.mark.slow
def test_a_folder_in_a_file_is_told_the_same_way(root, job, tmp_path):
    (tmp_path / "file").write_text("mine")
    done = subprocess.run(
        command(job, tmp_path / "file" / "out"),
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        f"error: {tmp_path / 'file' / 'out'}: "
    )
    assert (tmp_path / "file").read_text() == "mine"
