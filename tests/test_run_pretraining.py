"""The command line of pretraining: the original's flags, exits, a real kill.

What a job does is tested in tests/pretraining.
"""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.commands import run_pretraining
from bert_keras3.inputs import records
from bert_keras3.inputs.records import encode_examples
from bert_keras3.safekeeping.errors import UserError

LENGTH, PREDICTIONS, WORDS = 12, 3, 20
# Every flag of the original's script, as it might be given.
ORIGINAL_FLAGS = (
    "--init_checkpoint=",
    f"--max_seq_length={LENGTH}",
    f"--max_predictions_per_seq={PREDICTIONS}",
    "--do_train=True",
    "--do_eval=True",
    "--train_batch_size=4",
    "--eval_batch_size=4",
    "--learning_rate=1e-3",
    "--num_train_steps=6",
    "--num_warmup_steps=1",
    "--save_checkpoints_steps=2",
    "--iterations_per_loop=1000",
    "--max_eval_steps=2",
    "--use_tpu=False",
    "--tpu_name=",
    "--tpu_zone=",
    "--gcp_project=",
    "--master=",
    "--num_tpu_cores=8",
)


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> tuple[str, str]:
    """Forty records and a configuration; their flags."""
    folder = tmp_path_factory.mktemp("given")
    rng = np.random.default_rng(0)
    columns = {
        key: np.ones((40, column.length), column.dtype)
        for key, column in records.masked_columns(LENGTH, PREDICTIONS).items()
    }
    for key in ("input_ids", "masked_lm_ids"):
        columns[key] = np.asarray(rng.integers(5, WORDS, columns[key].shape))
    columns["next_sentence_labels"] = rng.integers(0, 2, (40, 1))
    with records.open_writer(folder / "train.tfrecord") as append:
        for record in encode_examples(columns):
            append(record)
    (folder / "bert_config.json").write_text(
        f'{{"vocab_size": {WORDS}, "hidden_size": 8, "num_hidden_layers": 1,'
        ' "num_attention_heads": 2, "intermediate_size": 16,'
        ' "max_position_embeddings": 16, "type_vocab_size": 2}'
    )
    return (
        f"--input_file={folder}/train.tfrecord",
        f"--bert_config_file={folder}/bert_config.json",
    )


@pytest.fixture
def script():
    """A function that runs the script in this process, flag by flag."""
    values = run_pretraining.COMMAND.values

    def run(*flags):
        for name in values:
            values[name].unparse()
        values(["run_pretraining.py", *map(str, flags)])
        run_pretraining.main()

    return run


def command(*flags) -> list[str]:
    return [sys.executable, "run_pretraining.py", *map(str, flags)]


def test_the_originals_command_line_works(script, given, tmp_path, capsys):
    flags = [flag for flag in ORIGINAL_FLAGS if not flag.endswith("=")]
    script(*given, *flags, f"--output_dir={tmp_path / 'out'}")
    text = (tmp_path / "out" / "eval_results.txt").read_text()
    assert text.startswith("global_step = 6\nloss = ")
    assert checkpointing.locate(tmp_path / "out").weights.name == "model.ckpt-6"
    assert "as in the original" in capsys.readouterr().out


def test_the_originals_flags_are_all_there_with_its_defaults():
    values = run_pretraining.COMMAND.values
    defaults = {
        "max_seq_length": 128,
        "max_predictions_per_seq": 20,
        "do_train": False,
        "do_eval": False,
        "train_batch_size": 32,
        "eval_batch_size": 8,
        "learning_rate": 5e-5,
        "num_train_steps": 100000,
        "num_warmup_steps": 10000,
        "save_checkpoints_steps": 1000,
        "iterations_per_loop": 1000,
        "max_eval_steps": 100,
        "use_tpu": False,
        "num_tpu_cores": 8,
    }
    for name in (flag[2:].split("=")[0] for flag in ORIGINAL_FLAGS):
        assert values[name].default == defaults.get(name)
    for name in ("bert_config_file", "input_file", "output_dir"):
        assert values[name].default is None


def test_a_tpu_is_refused(script, given, tmp_path):
    with pytest.raises(UserError, match=r"--distribution=tpu: .* finds no TPU"):
        script(
            *given,
            "--do_train",
            "--use_tpu",
            f"--output_dir={tmp_path / 'out'}",
        )


@pytest.mark.slow
def test_a_mistake_is_one_line_and_exit_code_2(root, given, tmp_path):
    done = subprocess.run(
        command(
            *given,
            *ORIGINAL_FLAGS[1:3],
            "--do_train",
            "--max_seq_length=16",
            f"--output_dir={tmp_path / 'out'}",
        ),
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"--max_seq_length={LENGTH}" in done.stderr
    assert not (tmp_path / "out").exists()


def arrays_of(folder: pathlib.Path) -> dict[str, np.ndarray]:
    arrays = checkpointing.read(folder)
    return {name: arrays[name] for name in arrays}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        (signal.SIGKILL, -signal.SIGKILL, ""),
        (signal.SIGINT, 130, "stopped at step "),
        (signal.SIGTERM, 143, "stopped at step "),
    ],
)
def test_a_process_that_was_ended_ends_with_the_same_bits(
    root, given, tmp_path, number, status, told
):
    """A signal as soon as there is a state; then the same command again."""

    def flags(name):
        return (
            *given,
            *ORIGINAL_FLAGS[1:4],
            "--train_batch_size=4",
            "--num_train_steps=200",
            "--num_warmup_steps=10",
            "--learning_rate=1e-3",
            "--save_checkpoints_steps=20",
            f"--output_dir={tmp_path / name}",
        )

    subprocess.run(
        command(*flags("whole")), cwd=root, check=True, capture_output=True
    )
    process = subprocess.Popen(
        command(*flags("ended")),
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    state = tmp_path / "ended" / "training_state" / "state.safetensors"
    while not state.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, shown = process.communicate()
    assert process.returncode == status
    assert told in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "ended" / "model.ckpt-200.index").exists()
    done = subprocess.run(
        command(*flags("ended")), cwd=root, check=True, capture_output=True
    )
    assert b"resumed after step" in done.stdout
    whole, again = arrays_of(tmp_path / "whole"), arrays_of(tmp_path / "ended")
    for name, array in whole.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)
