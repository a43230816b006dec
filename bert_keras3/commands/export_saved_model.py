r"""Exports a trained classifier: raw text in, labels and probabilities out.

    python export_saved_model.py --model_dir=out --export_dir=exported
    python export_saved_model.py --model_dir=out --export_dir=exported \
        --format=onnx

The first writes the SavedModel exported/1 (or 2, 3, …), tokenizer inside;
docs/serving.md tells how to ask it, from Python and over a network.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.commands import entry, flags
from bert_keras3.safekeeping.settings import flag


@dataclasses.dataclass(frozen=True)
class Export:
    """What is exported in which form."""

    model_dir: str = flag(
        help="Folder of a fine-tuning run: the --output_dir that "
        "run_classifier was given.",
        group="What to do",
    )
    export_dir: str = flag(
        help="Folder of the exported versions 1, 2, 3, …; it is made if it "
        "does not exist.",
        group="What to do",
    )
    format: str = flag(
        "saved_model",
        "Form of the exported model. saved_model takes text, for TensorFlow "
        "Serving; litert and onnx take token ids.",
        group="Export",
        choices=("saved_model", "litert", "onnx"),
    )
    quantize: str | None = flag(
        None,
        "Store the kernels as 8-bit integers: a quarter of the size; faster "
        "as litert and onnx, not as saved_model. By default they are 32-bit "
        "numbers.",
        group="Export",
        choices=("int8",),
    )
    version: int | None = flag(
        None,
        "Number of the exported version. By default the one after the "
        "highest in --export_dir.",
        group="Export",
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
    """Runs the script with the arguments of the process."""
    entry.run(main, COMMAND)
