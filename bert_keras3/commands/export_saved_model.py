r"""Exports a trained classifier for use in other programs and servers.

    python export_saved_model.py --model_dir=out --export_dir=exported
    python export_saved_model.py --model_dir=out --export_dir=exported \
        --format=onnx

The first command writes exported/1 (or 2, 3, …), a TensorFlow SavedModel that
takes raw text and returns labels and probabilities. docs/serving.md shows how
to use the exported models, from Python and over a network.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.commands import entry, flags
from bert_keras3.safekeeping.settings import flag


@dataclasses.dataclass(frozen=True)
class Export:
    """What is exported in which form."""

    model_dir: str = flag(
        help="Folder with a trained classifier: the --output_dir of "
        "run_classifier.",
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
    entry.load_tensorflow()
    from bert_keras3.commands.screen import Screen
    from bert_keras3.serving.exporter import export

    folder = export(
        wanted.model_dir,
        wanted.export_dir,
        version=wanted.version,
        format_name=wanted.format,
        quantize=wanted.quantize,
    )
    Screen().say(f"exported: {folder}")


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
