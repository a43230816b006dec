"""Computes a model's outputs on Keras' JAX backend, for `test_jax`.

    KERAS_BACKEND=jax python run_on_jax.py given.npz computed.npz

Takes configuration, weights and inputs from the one file and writes the
outputs to the other.
"""

import json
import sys
from typing import Any

import jax
import numpy as np

from modeling import BertConfig, BertModel


def main(given: str, computed: str) -> None:
    """Reads, computes with and without compilation, writes."""
    with np.load(given) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    config = json.loads(str(arrays.pop("config")))
    model = BertModel(BertConfig.from_dict(config))
    for weight in model.weights:
        weight.assign(arrays.pop(f"weights/{weight.path}"))
    inputs = {name: ids for name, ids in arrays.items() if "/" not in name}

    def forward(weights, random_states, inputs):
        outputs, _ = model.stateless_call(weights, random_states, inputs)
        return {
            name: outputs[name] for name in ("sequence_output", "pooled_output")
        }

    compiled = jax.jit(forward)(
        [one.value for one in model.trainable_variables],
        [one.value for one in model.non_trainable_variables],
        inputs,
    )
    outputs = {
        "pooled_output": model(inputs)["pooled_output"],
        "unpadded_pooled_output": model.encode(inputs).pooled_output,
        "compiled_sequence_output": compiled["sequence_output"],
        "compiled_pooled_output": compiled["pooled_output"],
    }
    arrays = {name: np.asarray(output) for name, output in outputs.items()}
    arrays["tensorflow_loaded"] = np.asarray("tensorflow" in sys.modules)
    np.savez(computed, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
