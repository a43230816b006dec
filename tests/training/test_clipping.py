"""Gradients of several devices are summed first and clipped then.

One device has the gradient (3, 0), the other (0, 4): the sum is 5 long, and
clipped to (0.6, 0.8). Clipped on each device it would be (1, 1).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bert_keras3.training.cluster import run_workers

pytestmark = pytest.mark.slow

PROGRAM = """
import json, pathlib, sys
import tensorflow as tf
distribution, path = sys.argv[1:]
if distribution == "mirrored":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import numpy as np
from bert_keras3.optimization import create_optimizer
from bert_keras3.training.devices import devices_of
from bert_keras3.training.step import TrainStep

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.kernel = self.add_weight(shape=(2,), name="kernel")
        self.built = True

# A mean over the examples, and each device has one of the two.
loss = lambda model, features, training: tf.reduce_mean(
    tf.linalg.matvec(features["x"], model.kernel))
with devices_of(distribution) as devices:
    with devices.scope():
        model = Model()
        optimizer = create_optimizer(1.0, 10, 0)
    step = TrainStep(model, loss, optimizer, devices=devices)
    step({"x": np.array([[6.0, 0.0], [0.0, 8.0]], np.float32)})
    moments = next(v for v in optimizer.variables if "adam_m" in v.path)
    if devices.is_chief:
        pathlib.Path(path).write_text(json.dumps(
            [devices.count, (10 * moments.numpy()).tolist()]))
"""


@pytest.mark.parametrize("distribution", ["mirrored", "multi_worker"])
def test_the_sum_is_clipped(root, tmp_path, monkeypatch, distribution):
    monkeypatch.setenv("PYTHONPATH", os.fspath(root))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    program, found = tmp_path / "program.py", tmp_path / "found.json"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), distribution, str(found)]
    if distribution == "mirrored":
        subprocess.run(command, check=True)
    else:
        assert run_workers(command, 2) == 0
    count, clipped = json.loads(found.read_text())
    assert count == 2
    assert clipped == pytest.approx([0.6, 0.8], rel=1e-6)
