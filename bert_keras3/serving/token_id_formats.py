"""Exports LiteRT and ONNX models: token ids in, scores out.

Keras' own exporters write the files. Neither runtime has the operations of the
tokenizer, so vocabulary and description are put beside the model.
"""

from __future__ import annotations

import copy
import importlib.util
import math
import os
import pathlib
import shutil
import types
import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from bert_keras3.checkpointing.tokenizer_files import copy_added_tokens
from bert_keras3.finetuning.task import Task
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.description import (
    Description,
    exported_inputs,
    exported_outputs,
)
from bert_keras3.serving.exported_model import ExportedModel
from bert_keras3.serving.formats import (
    DESCRIPTION_FILE,
    LITERT,
    MODEL_FILES,
    ONNX,
)
from bert_keras3.serving.quantization import litert_options, quantize_onnx
from modeling.activations import gelu_erf, get_activation
from modeling.bert import Inputs
from modeling.heads import HEADS, POOLED
from modeling.shapes import Tensor

# Packages that the exporters need, from the extra named like the format.
_NEEDED: dict[str, tuple[str, ...]] = {
    LITERT: (),
    ONNX: ("onnx", "tf2onnx"),
}


class _Scores(keras.Model):
    """The model, with the outputs that an export of the task has."""

    def __init__(self, model: ExportedModel, task: Task) -> None:
        super().__init__(name="scores")
        self.model = model
        # In a namespace, since Keras would wrap a dataclass' tuples.
        self._answer = types.SimpleNamespace(task=task)
        self.built = True

    def call(
        self, inputs: Inputs, training: bool | None = None
    ) -> dict[str, Tensor]:
        """Token ids [N, S] → {`TextTask.score_name`: scores [N, …]}.

        Padding is computed too: the runtimes recognise that form of BERT, and
        lack operations of the other. For the pooled output, the last layer
        computes only the first token of each input.
        """
        task = self._answer.task
        if not task.heads or any(
            HEADS[head].reads != POOLED for head in task.heads
        ):
            self.model.unpad = False
            outputs = self.model(inputs, training=training)
            return {name: outputs[name] for name in exported_outputs(task)}
        encoded = self.model.bert.encode(inputs, training=training, unpad=False)
        outputs = self.model.logits_of(encoded, inputs, training=training)
        if task.own_rows:
            return {name: outputs[name] for name in exported_outputs(task)}
        return {task.score_name: task.scores(outputs)}


def write_token_id_format(
    format_name: str,
    folder: str | os.PathLike[str],
    model: ExportedModel,
    vocab_file: str | os.PathLike[str],
    description: Description,
    quantize: str | None = None,
) -> None:
    """Writes the model, its vocabulary and its description.

    The model takes `input_ids`, `input_mask` and `segment_ids`, int32 [N, S],
    and outputs `probabilities` float [N, C], or `value` float [N] for
    regression.

    Args:
        format_name: a key of `formats.MODEL_FILES`.
        folder: an existing folder.
        model: the classifier.
        vocab_file: the vocabulary that it was trained with.
        description: description of the model.
        quantize: `quantization.INT8`, or None for float32.

    Raises:
        UserError: a package that the format needs is missing.
    """
    check_installed(format_name)
    folder = pathlib.Path(folder)
    _WRITERS[format_name](
        folder / MODEL_FILES[format_name], model, description.task, quantize
    )
    shutil.copyfile(vocab_file, folder / pathlib.Path(vocab_file).name)
    copy_added_tokens(vocab_file, folder)
    (folder / DESCRIPTION_FILE).write_text(description.to_json(), "utf-8")


def check_installed(format_name: str) -> None:
    """Checks that the packages for exporting a format are installed.

    Args:
        format_name: a key of `formats.MODEL_FILES`.

    Raises:
        UserError: a package is missing.
    """
    needed = _NEEDED[format_name]
    missing = [
        name for name in needed if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UserError(
            f"--format={format_name}: needs {' and '.join(missing)}, which "
            "is not installed; install the extra with "
            f"`pip install '.[{format_name}]'`"
        )


def _write(
    path: pathlib.Path,
    model: ExportedModel,
    task: Task,
    format_name: str,
    **options: Any,
) -> None:
    ids = {
        name: tf.TensorSpec(shape, dtype, name)
        for name, (shape, dtype) in exported_inputs(task).items()
    }
    with warnings.catch_warnings():  # of the converters
        warnings.simplefilter("ignore")
        _Scores(model, task).export(
            path,
            format=format_name,
            input_signature=[ids],
            verbose=False,
            **options,
        )


def _write_litert(
    path: pathlib.Path,
    model: ExportedModel,
    task: Task,
    quantize: str | None,
) -> None:
    # Keras would allow TensorFlow's own operations too, which need another
    # runtime; without them the export fails instead.
    _write(
        path,
        model,
        task,
        LITERT,
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        **({} if quantize is None else litert_options()),
    )


def _write_onnx(
    path: pathlib.Path,
    model: ExportedModel,
    task: Task,
    quantize: str | None,
) -> None:
    import onnx

    # The first opset that has an operation for LayerNorm.
    _write(path, _with_plain_erf(model), task, ONNX, opset_version=17)
    # tf2onnx leaves an operation that it does not know in the file.
    onnx.checker.check_model(path)
    if quantize is not None:
        quantize_onnx(path)


_WRITERS: dict[
    str, Callable[[pathlib.Path, ExportedModel, Task, str | None], None]
] = {
    LITERT: _write_litert,
    ONNX: _write_onnx,
}


def _with_plain_erf(model: ExportedModel) -> ExportedModel:
    """Returns the model with an exact GELU that ONNX has the operations for.

    TensorFlow computes it by erfc, which ONNX lacks.
    """
    config = model.bert.config
    if get_activation(config.hidden_act) is not gelu_erf:
        return model
    config = copy.copy(config)
    config.hidden_act = _gelu_by_erf
    twin = model.with_config(config)
    twin.set_weights(model.get_weights())
    return twin


def _gelu_by_erf(x: Tensor) -> Tensor:
    """Does what `gelu_erf` does, 0.5·x·(1 + erf(x/√2))."""
    return 0.5 * x * (1.0 + keras.ops.erf(x * math.sqrt(0.5)))
