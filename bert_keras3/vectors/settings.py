"""Settings of an extraction, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.settings import AskedModel
from bert_keras3.vectors.pooling_names import NONE, POOLINGS

JSON_LINES = "jsonl"
NPZ = "npz"
PARQUET = "parquet"

LINES = "lines"
TABLE = "table"

# As in the original.
_LAYERS = (-1, -2, -3, -4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extraction(AskedModel):
    """Which vectors of which texts are written where."""

    input_file: str = flag(
        help="File with the texts. A table, with a text or a pair of texts "
        "per row, if its name ends in .csv, .tsv, .json, .jsonl, .ndjson or "
        ".parquet (or in one of these and .gz or .zip), or if it is a "
        "spreadsheet; otherwise a text per line, or a pair with ' ||| ' "
        "between its texts.",
        group="What to do",
        placeholder="FILE",
    )
    output_file: str = flag(
        help="File to write; it must not exist yet.",
        group="What to do",
        placeholder="FILE",
    )
    max_seq_length: int = flag(
        128,
        "Maximum sequence length: number of tokens per input, special tokens "
        "included. Longer texts are truncated. At most the number of "
        "positions of the model.",
        group="Model inputs",
    )
    pooling: str = flag(
        NONE,
        "What is written. none: a vector for each token, as the original "
        "does; cls: the vector of [CLS]; mean and max: the mean or maximum "
        "over all tokens of the text; last4: the mean over tokens and over "
        "the last four layers; first_last: the mean over tokens and over the "
        "first and the last layer.",
        group="Output files",
        choices=(NONE, *POOLINGS),
    )
    layers: tuple[str, ...] = flag(
        (),
        "Comma-separated numbers of layers, 0 for the first or -1 for the "
        "last. With --pooling=none, every token has a vector for each of "
        "them; by default -1,-2,-3,-4. Otherwise their mean is pooled; by "
        "default -1.",
        group="Output files",
        unless=("pooling=last4", "pooling=first_last"),
    )
    normalize: bool = flag(
        False,
        "Divide every vector by its Euclidean length, so that the dot product "
        "of two vectors is their cosine.",
        group="Output files",
        unless=(f"pooling={NONE}",),
    )
    format: str = flag(
        JSON_LINES,
        "Format of the output file. jsonl: a JSON object per text, rounded to "
        "six digits, with --pooling=none as the original writes it; npz: "
        "NumPy arrays; parquet: a table, needs the package pyarrow.",
        group="Output files",
        choices=(JSON_LINES, NPZ, PARQUET),
    )
    input_format: str | None = flag(
        None,
        "Format of the input file. lines: a text per line, as in the "
        "original; table: rows with columns, as run_classifier reads them. By "
        "default table if its name ends as tables do, or if a flag about "
        "columns is given.",
        group="Data",
        choices=(LINES, TABLE),
    )
    batch_size: int = flag(
        32,
        "Number of texts per batch.",
        group="Speed and memory",
        aliases=("predict_batch_size",),
        least=1,
    )
    concurrency: int = flag(
        1,
        "Number of batches computed at the same time. By default 2 on a "
        "machine with two cores, else 1.",
        group="Speed and memory",
        least=1,
        found_out=True,
    )
    use_one_hot_embeddings: bool = flag(
        False,
        "Look up word embeddings by a matrix product with one-hot vectors, "
        "which the original advises for TPUs. The vectors are the same.",
        group="Compatibility with google-research/bert",
    )
    use_tpu: bool = flag(
        False,
        "Has no effect: the fastest device that TensorFlow sees is used.",
        group="Compatibility with google-research/bert",
    )
    master: str | None = flag(
        None,
        "Has no effect: the TPU is the one that the environment variable "
        "TPU_NAME names.",
        group="Compatibility with google-research/bert",
        placeholder="ADDRESS",
    )
    num_tpu_cores: int = flag(
        8,
        "Has no effect: all cores of the TPU are used.",
        group="Compatibility with google-research/bert",
    )
    file: FileChoices = dataclasses.field(default_factory=FileChoices)

    @property
    def default_layers(self) -> tuple[int, ...]:
        """The layers that are taken if none are given."""
        return _LAYERS if self.pooling == NONE else (-1,)
