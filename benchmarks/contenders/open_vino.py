"""OpenVINO, on the model that PyTorch exports."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import openvino

from benchmarks.contender_inputs import Batch, ContenderInputs
from benchmarks.contenders.onnx_runtime import exported, inputs_of

PACKAGES = ("openvino",)


def predict(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs, float32 throughout."""
    compiled = openvino.Core().compile_model(
        openvino.convert_model(exported(given)),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"},
    )

    def run(batch: Batch) -> np.ndarray:
        output: np.ndarray = compiled(inputs_of(batch))[compiled.output(0)]
        return output

    return run
