"""ONNX Runtime with its fusions for BERT, on the model that PyTorch exports."""

from __future__ import annotations

import json
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.contender_inputs import Batch, ContenderInputs
from benchmarks.contenders.hugging_face import INPUTS

PACKAGES = ("onnxruntime",)


def exported(given: ContenderInputs) -> pathlib.Path:
    """Returns the model as PyTorch exports it, exporting it if need be."""
    path = given.cache / "exported.onnx"
    if path.exists():
        return path
    import torch
    import transformers

    class Pooled(torch.nn.Module):
        """The model with one output and arguments in a fixed order."""

        def __init__(self) -> None:
            super().__init__()
            # The fusions know this form of attention.
            self.model = transformers.BertModel.from_pretrained(
                given.weights, attn_implementation="eager"
            ).eval()

        def forward(self, *inputs: Any) -> Any:
            named = dict(zip(INPUTS, inputs, strict=True))
            return self.model(**named).pooler_output

    ids = torch.ones(2, 7, dtype=torch.int64)
    mask = ids.clone()
    mask[1, 4:] = 0  # a mask without padding would be left out of the trace
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled(),
            (ids, mask, ids * 0),
            str(path),
            input_names=list(INPUTS),
            output_names=["pooled_output"],
            dynamic_axes={name: {0: "batch", 1: "length"} for name in INPUTS},
            dynamo=False,
            opset_version=17,
        )
    return path


def fused(given: ContenderInputs) -> pathlib.Path:
    """Returns the exported model after the fusions."""
    path = given.cache / "fused.onnx"
    if not path.exists():
        from onnxruntime.transformers.optimizer import optimize_model

        config = json.loads((given.weights / "config.json").read_text())
        optimize_model(
            str(exported(given)),
            model_type="bert",
            num_heads=config["num_attention_heads"],
            hidden_size=config["hidden_size"],
        ).save_model_to_file(str(path))
    return path


def inputs_of(batch: Batch) -> dict[str, np.ndarray]:
    """Returns a batch under the names of the exported model."""
    return {
        theirs: batch[ours].astype(np.int64) for theirs, ours in INPUTS.items()
    }


def _session(path: pathlib.Path) -> Callable[[Batch], np.ndarray]:
    session = onnxruntime.InferenceSession(str(path))

    def run(batch: Batch) -> np.ndarray:
        output: np.ndarray = session.run(None, inputs_of(batch))[0]
        return output

    return run


def predict(given: ContenderInputs) -> Callable[[Batch], np.ndarray]:
    """Pooled outputs."""
    return _session(fused(given))
