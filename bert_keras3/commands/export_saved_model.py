r"""Exports a trained classifier: raw text in, labels and probabilities out.

    python export_saved_model.py --model_dir=out --export_dir=exported
    python export_saved_model.py --model_dir=out --export_dir=exported \
        --format=onnx

The first writes the SavedModel exported/1 (or 2, 3, …), tokenizer inside;
docs/serving.md tells how to ask it, from Python and over a network.
"""

from __future__ import annotations

from absl import flags

from bert_keras3.commands import entry

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "model_dir", None, "Folder of a training: its --output_dir."
)
flags.DEFINE_string(
    "export_dir", None, "Folder of the exported versions; made if need be."
)
flags.DEFINE_integer(
    "version",
    None,
    "Number of this version; by default the one after the highest.",
)
flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "litert", "onnx"],
    "saved_model takes text; litert and onnx take token ids.",
)
flags.DEFINE_enum(
    "quantize",
    None,
    ["int8"],
    "Kernels in int8: a quarter of the size; faster as litert and onnx, not "
    "as saved_model.",
)


def main() -> None:
    """Hands the flags to `serving.exporter`."""
    from bert_keras3.safekeeping.errors import UserError

    for name in ("model_dir", "export_dir"):
        if FLAGS[name].value is None:
            raise UserError(f"--{name} is missing: {FLAGS[name].help}")
    entry.load_tensorflow()
    from bert_keras3.commands.screen import Screen
    from bert_keras3.serving.exporter import export

    folder = export(
        FLAGS.model_dir,
        FLAGS.export_dir,
        version=FLAGS.version,
        format_name=FLAGS.format,
        quantize=FLAGS.quantize,
    )
    Screen().say(f"exported: {folder}")


def command() -> None:
    """Runs the script with the arguments of the process."""
    entry.run(main)
