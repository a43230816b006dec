r"""Exports a trained classifier for use in other programs and servers.

    python export_saved_model.py --model_dir=out --export_dir=exported
    python export_saved_model.py --model_dir=out --export_dir=exported \
        --format=onnx
    python export_saved_model.py --model_dir=uncased_L-12_H-768_A-12 \
        --pooling=mean --export_dir=exported_vectors

The first command writes exported/1 (or 2, 3, …), a TensorFlow SavedModel that
takes raw text and returns labels and probabilities. docs/serving.md shows how
to use the exported models, from Python and over a network. The last one takes
any checkpoint, and its model returns a vector for each text (docs/vectors.md).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bert_keras3.commands import entry, flags
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.environment import load_tensorflow
from bert_keras3.vectors.pooling_names import POOLINGS

AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Export:
    """What is exported in which form."""

    model_dir: str = flag(
        help="Folder with a trained classifier: the --output_dir of "
        "run_classifier; with --pooling any checkpoint.",
        group="What to do",
        placeholder="FOLDER",
    )
    export_dir: str = flag(
        help="Folder for the exported versions, which are numbered 1, 2, 3, "
        "…; it is created if it does not exist.",
        group="What to do",
        placeholder="FOLDER",
    )
    format: str = flag(
        "saved_model",
        "Format of the exported model. saved_model: takes raw text, for "
        "TensorFlow Serving; litert and onnx: take token ids, for LiteRT and "
        "ONNX Runtime. onnx needs the packages onnx and tf2onnx.",
        group="Export",
        choices=("saved_model", "litert", "onnx"),
    )
    quantize: str | None = flag(
        None,
        "Quantize the weight matrices of dense layers to 8-bit integers, a "
        "quarter of their size; litert quantizes the word embeddings too. "
        "litert and onnx become faster, saved_model does not. By default "
        "weights are float32.",
        group="Export",
        choices=("int8",),
    )
    pooling: str | None = flag(
        None,
        "Export an encoder that returns a vector for each text, pooled so. "
        "cls: the vector of [CLS]; mean and max: the mean or maximum over all "
        "tokens; last4: the mean over tokens and over the last four layers; "
        "first_last: the mean over tokens and over the first and the last "
        "layer; auto: what a sentence-transformers folder says, else mean. By "
        "default the trained classifier is exported.",
        group="Export",
        choices=(AUTO, *POOLINGS),
    )
    normalize: bool | None = flag(
        None,
        "Divide every vector by its Euclidean length. By default what a "
        "sentence-transformers folder says, else not.",
        group="Export",
        needs=("pooling",),
    )
    max_seq_length: int | None = flag(
        None,
        "Maximum number of tokens per text, special tokens included, of an "
        "encoder of vectors. By default what a sentence-transformers folder "
        "says, else the number of positions of the model. A classifier has "
        "that of its training.",
        group="Export",
        needs=("pooling",),
    )
    version: int | None = flag(
        None,
        "Version number; the model is written into the folder of that "
        "name in --export_dir. By default one more than the highest there.",
        group="Export",
        least=1,
    )


COMMAND = flags.Command(__doc__, Export)


def main() -> None:
    """Hands the flags to `serving.exporter`."""
    wanted = COMMAND.read(Export)
    load_tensorflow()
    from bert_keras3.commands.screen import Screen
    from bert_keras3.serving.exporter import export, export_vectors

    how: dict[str, Any] = {
        "version": wanted.version,
        "format_name": wanted.format,
        "quantize": wanted.quantize,
    }
    if wanted.pooling is None:
        folder = export(wanted.model_dir, wanted.export_dir, **how)
    else:
        folder = export_vectors(
            wanted.model_dir,
            wanted.export_dir,
            pooling=None if wanted.pooling == AUTO else wanted.pooling,
            normalize=wanted.normalize,
            max_seq_length=wanted.max_seq_length,
            **how,
        )
    Screen().say(f"exported: {folder}")


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
