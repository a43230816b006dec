"""Settings of what makes models visible, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.settings import AskedModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionJob(AskedModel):
    """Of which text the attention is shown, and where."""

    text: str = flag(
        help="Text whose attention is shown.",
        group="What to do",
    )
    text_pair: str | None = flag(
        None,
        "Second text, for a pair of texts.",
        group="What to do",
        aliases=("text_b",),
    )
    output_file: str = flag(
        "attention.html",
        "Page to write; it must not exist yet. With a name that ends in .npz, "
        "the tokens and the exact attention maps are written as NumPy arrays "
        "instead.",
        group="What to do",
        placeholder="FILE",
    )
    input_file: str | None = flag(
        None,
        "File of texts on which it is measured what each head attends to: "
        "CSV, TSV, JSON lines or another table, or a .txt file with a text on "
        "each line. By default this is measured on --text alone.",
        group="Data",
        placeholder="FILE",
    )
    max_rows: int = flag(
        1000,
        "Number of texts of --input_file that are read, from the top.",
        group="Data",
        least=1,
        needs=("input_file",),
    )
    max_seq_length: int = flag(
        128,
        "Maximum sequence length: number of tokens of the text or pair, "
        "special tokens included. Longer ones are truncated. At most the "
        "number of positions of the model.",
        group="Model inputs",
    )
    batch_size: int = flag(
        32,
        "Number of texts of --input_file per batch.",
        group="Speed and memory",
        least=1,
        needs=("input_file",),
    )
    file: FileChoices = dataclasses.field(default_factory=FileChoices)
