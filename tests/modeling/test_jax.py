"""The model on Keras' JAX backend: the same code, the same numbers.

In a process of its own, since a process has one backend.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from modeling import BertConfig, BertModel

HERE = pathlib.Path(__file__).parent
CONFIG = BertConfig(
    99,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=37,
    max_position_embeddings=32,
)
INPUTS = {
    "input_ids": np.arange(1, 25, dtype=np.int32).reshape(3, 8) % 99,
    "input_mask": np.tri(8, dtype=np.int32)[[7, 3, 5]],
    "segment_ids": np.tri(8, dtype=np.int32)[[2, 5, 0]],
}


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="needs the package jax"
)
def test_the_same_outputs_as_on_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = BertModel(CONFIG)
    for weight in model.weights:  # every one told apart, biases too
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    given, computed = tmp_path / "given.npz", tmp_path / "computed.npz"
    np.savez(
        given,
        config=json.dumps(CONFIG.to_dict()),
        **INPUTS,
        **{f"weights/{one.path}": one.numpy() for one in model.weights},
    )
    subprocess.run(
        [
            sys.executable,
            str(HERE / "run_on_jax.py"),
            str(given),
            str(computed),
        ],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(HERE.parent.parent),
        },
        check=True,
    )
    expected = model(INPUTS)
    with np.load(computed) as outputs:
        assert not outputs["tensorflow_loaded"]
        for name in outputs.files:
            if name == "tensorflow_loaded":
                continue
            output = "sequence" if "sequence" in name else "pooled"
            np.testing.assert_allclose(
                outputs[name],
                expected[f"{output}_output"],
                rtol=0,
                atol=1e-6,
                err_msg=name,
            )
