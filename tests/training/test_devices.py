"""Several devices against one, in processes of their own (`run_worker`).

Two devices share twelve examples and must take the steps that one device
takes with all twelve. Words repeat, so slices do, within a device and among
them. That it is the sum that is clipped is shown in `test_clipping`: Adam
hardly cares how long a gradient is.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bert_keras3.training.cluster import Cluster, free_ports, run_workers

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).parent / "run_worker.py"
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def command(distribution, folder, *options, devices=1):
    folder.mkdir(exist_ok=True)
    arguments = [distribution, str(devices), str(folder), *options]
    return [sys.executable, str(SCRIPT), *arguments]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A function of options that trains on one device, once for each."""
    folders = {}

    def trained(*options):
        if options not in folders:
            folder = tmp_path_factory.mktemp("alone")
            subprocess.run(
                command("off", folder, *options), env=ENVIRONMENT, check=True
            )
            folders[options] = folder
        return folders[options]

    return trained


def losses_of(folder):
    lines = (folder / "losses.txt").read_text().splitlines()
    return [float(line.split()[1]) for line in lines]


def weights_of(folder):
    with np.load(folder / "weights.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def assert_same_training(ours, theirs):
    """To the rounding of sums in another order."""
    assert len(losses_of(ours)) == 8
    np.testing.assert_allclose(losses_of(ours), losses_of(theirs), rtol=2e-6)
    for one, other in zip(weights_of(ours), weights_of(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=3e-6)


def assert_same_bits(ours, theirs):
    assert losses_of(ours)[-2:] == losses_of(theirs)[-2:]
    for one, other in zip(weights_of(ours), weights_of(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "options",
    [(), ("parts=3",), ("optimizer=lamb",)],
    ids=["plain", "in parts", "lamb"],
)
def test_two_mirrored_devices_train_as_one(alone, tmp_path, options):
    folder = tmp_path / "mirrored"
    done = subprocess.run(
        command("mirrored", folder, *options, devices=2),
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("2 devices: ")
    assert_same_training(folder, alone(*options))


def test_one_mirrored_device_is_as_none(alone, tmp_path):
    folder = tmp_path / "mirrored"
    done = subprocess.run(
        command("mirrored", folder),
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("one device, /device:CPU:0, as without")
    assert_same_bits(folder, alone())


def test_two_workers_train_as_one_with_the_doubled_batch(alone, tmp_path):
    """They evaluate, too: the chief's figures decide which step is best."""
    folder = tmp_path / "workers"
    assert run_workers(command("multi_worker", folder, "evaluate=1"), 2) == 0
    np.testing.assert_allclose(losses_of(folder), losses_of(alone()), rtol=2e-6)
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["losses.txt", "state.safetensors", "weights.npz"]


@pytest.fixture
def pair(tmp_path):
    """A function that starts two workers and returns their processes.

    The second gets another seed if `other` is given.
    """
    started = []

    def start(folder, *options, other=None):
        addresses = tuple(f"localhost:{port}" for port in free_ports(2))
        for index in range(2):
            config = Cluster(addresses, index).to_json()
            more = [f"seed={other}"] if index and other else []
            started.append(
                subprocess.Popen(
                    [*command("multi_worker", folder, *options), *more],
                    env={**ENVIRONMENT, "TF_CONFIG": config},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return started[-2:]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_is_killed_and_the_restart_ends_with_the_same_bits(
    pair, tmp_path, victim
):
    """With dropout; saved after step 3, killed after step 4 or later."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ("dropout=0.5",)
    assert run_workers(command("multi_worker", whole, *options), 2) == 0

    processes = pair(killed, *options, "seconds=1")
    log = killed / "losses.txt"
    deadline = time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes[victim].send_signal(signal.SIGKILL)
    _, output = processes[1 - victim].communicate(timeout=300)
    assert processes[1 - victim].returncode == 2
    last = output.strip().splitlines()[-1]
    assert last.startswith(f"error: worker {1 - victim} (localhost:")
    assert f"cannot go on: worker {victim} (localhost:" in last
    assert "start all workers with the same commands" in last
    assert not (killed / "weights.npz").exists()

    assert run_workers(command("multi_worker", killed, *options), 2) == 0
    assert_same_bits(killed, whole)


def test_a_worker_that_was_given_another_training_says_so(pair, tmp_path):
    chief, worker = pair(tmp_path / "out", other=2)
    _, output = worker.communicate(timeout=300)
    assert worker.returncode == 2
    assert "another training than the chief: seed was None and is now" in output
    _, output = chief.communicate(timeout=300)
    assert chief.returncode == 2
    assert "worker 1 (localhost:" in output


def test_devices_do_not_drop_the_same(tmp_path):
    """Equal halves of a batch: with equal masks their outputs are equal."""
    program = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from bert_keras3.training.devices import devices_of
with devices_of("mirrored") as devices:
    with devices.scope():
        dropout = keras.layers.Dropout(0.5, seed=1)
    states = dropout.variables
    devices.align(states, states)
    ones = tf.ones(64)
    call = tf.function(lambda: dropout(ones, training=True))
    one, other = devices.strategy.experimental_local_results(
        devices.strategy.run(call))
    print(bool(tf.reduce_all(one == other)), states[0].numpy().tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=ENVIRONMENT,
        cwd=SCRIPT.parent.parent.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False [1, 1]\n"
