"""`run_pretraining.py` with two workers, started as the documents say."""

from __future__ import annotations

import copy
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from bert_keras3.checkpointing import read

pytestmark = pytest.mark.slow


@pytest.fixture
def pretrain(root, tmp_path, config, vocab_file, train_file, eval_file):
    """A function of folder, workers and flags that runs the script."""
    config_file = tmp_path / "without_dropout.json"
    config = copy.copy(config)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config_file.write_text(config.to_json_string())

    def run(folder: pathlib.Path, workers: int, *flags: str):
        script = ["run_pretraining.py"]
        if workers > 1:
            script = [
                "start_workers.py",
                f"--num_workers={workers}",
                "run_pretraining.py",
                "--distribution=multi_worker",
            ]
        return subprocess.run(
            [
                sys.executable,
                *script,
                *("--do_train", "--do_eval", f"--input_file={train_file}"),
                *(f"--eval_file={eval_file}", f"--output_dir={folder}"),
                *(f"--bert_config_file={config_file}", "--eval_steps=10"),
                *(f"--vocab_file={vocab_file}", "--max_seq_length=24"),
                *("--max_predictions_per_seq=4", "--train_batch_size=8"),
                *("--learning_rate=2e-2", "--num_train_steps=20"),
                *("--num_warmup_steps=2", *flags),
            ],
            cwd=root,
            capture_output=True,
            text=True,
        )

    return run


def figures_of(folder):
    lines = (folder / "training_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    "flags",
    [(), ("--optimizer=lamb", "--lazy_embeddings")],
    ids=["the original's optimizer", "lamb, lazily"],
)
def test_two_workers_have_the_losses_of_one(pretrain, tmp_path, flags):
    """Their halves of a batch have unequally many masked words."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert pretrain(alone, 1, *flags).returncode == 0
    done = pretrain(together, 2, *flags)
    assert done.returncode == 0, done.stderr
    assert "worker 0 (localhost:" in done.stdout
    assert "[worker 1] worker 1 (localhost:" in done.stderr
    assert done.stdout.count("before training: ") == 2
    files = [
        sorted(str(path.relative_to(out)) for path in out.rglob("*"))
        for out in (alone, together)
    ]
    assert files[0] == files[1]
    for one, other in zip(figures_of(alone), figures_of(together), strict=True):
        assert one.keys() == other.keys()
        if "loss" in one:
            assert one["loss"] == pytest.approx(other["loss"], rel=2e-5)
        else:
            assert one["evaluation"] == pytest.approx(
                other["evaluation"], rel=1e-4
            )
    ours, theirs = read(together), read(alone)
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, atol=2e-4, err_msg=name)


def test_a_batch_of_seven_cannot_be_shared_out(pretrain, tmp_path):
    done = pretrain(tmp_path / "out", 2, "--train_batch_size=7")
    assert done.returncode == 2
    told = "--train_batch_size=7: is shared out among 2 devices; give a"
    assert f"error: {told}" in done.stderr
    assert not (tmp_path / "out").exists()
