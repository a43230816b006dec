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


_METHODS = ("integrated_gradients", "gradient_x_input", "leave_one_out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainJob:
    """Which answers of which model are explained, and where."""

    model_dir: str = flag(
        help="The --output_dir of a fine-tuning.",
        group="What to do",
        placeholder="FOLDER",
    )
    text: str | None = flag(
        None,
        "Text whose answer is explained, or a question; instead of "
        "--input_file.",
        group="What to do",
    )
    text_pair: str | None = flag(
        None,
        "Second text of a pair, or the context in which a question is "
        "answered.",
        group="What to do",
        aliases=("text_b",),
        needs=("text",),
    )
    columns: str | None = flag(
        None,
        "Columns beside the text, for a model that was trained with "
        "--feature_columns: a JSON object such as "
        '{"price": 3.5, "brand": "Ant"}. Those that are not in it are missing.',
        group="What to do",
        placeholder="JSON",
        needs=("text",),
    )
    input_file: str | None = flag(
        None,
        "File of texts or pairs: CSV, TSV, JSON lines or another table, or a "
        ".txt file with a text on each line.",
        group="What to do",
        placeholder="FILE",
    )
    output_file: str | None = flag(
        None,
        "File to write; it must not exist yet. .html for a page, .jsonl for a "
        "JSON object per answer. By default the tokens are printed in colour.",
        group="Output files",
        placeholder="FILE",
    )
    method: str = flag(
        _METHODS[0],
        "How the part of each token is computed. integrated_gradients: exact, "
        "the parts sum to the difference of the logits; gradient_x_input: "
        "fast and rough; leave_one_out: the logit without one token at a time.",
        group="What to do",
        choices=_METHODS,
    )
    label: str | None = flag(
        None,
        "Explain this label, not the one predicted; of a tagger, the entities "
        "of this type.",
        group="What to do",
    )
    max_rows: int = flag(
        100,
        "Number of texts of --input_file that are explained, from the top.",
        group="Data",
        least=1,
        needs=("input_file",),
    )
    file: FileChoices = dataclasses.field(default_factory=FileChoices)
