"""Settings of a tagging job, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.finetuning.settings import DataFiles, EncoderChoices, Job
from bert_keras3.inputs.tagged_text import TaggedChoices
from bert_keras3.safekeeping.settings import flag

REPAIR = "repair"
REFUSE = "refuse"


@dataclasses.dataclass(frozen=True)
class TaggedFiles(DataFiles):
    """Files of tokens with tags or of texts with spans."""

    train_file: str | None = flag(
        None,
        "File with the texts to train on: a token and its tag a line, as of "
        "CoNLL; JSON lines of texts with spans; or a CSV file with a row for "
        "each span. There may be several files of one layout, with commas "
        "between or as a pattern such as 'data/*.txt'.",
        group="Data",
        placeholder="FILE",
        needs=("do_train",),
    )
    file: TaggedChoices = dataclasses.field(default_factory=TaggedChoices)
    broken_tags: str = flag(
        REPAIR,
        "What to do with tags that break the scheme of their file, such as an "
        "I-PER behind an O. repair: read them as evaluations usually do, an "
        "entity beginning there; refuse: stop at the first. They are reported "
        "either way.",
        group="Columns and labels",
        choices=(REPAIR, REFUSE),
    )
    decode: str | None = flag(
        None,
        "How the tags of a sentence are chosen. viterbi: the best sequence "
        "that breaks no scheme; argmax: the best tag of each token by itself. "
        "By default viterbi, or what the model in --output_dir was trained "
        "with.",
        group="Evaluation and prediction",
        choices=("viterbi", "argmax"),
    )
    window_overlap: int | None = flag(
        None,
        "Number of tokens that two windows of a text longer than "
        "--max_seq_length share; each half of them is decided by the window "
        "in which it is farther from the edge. By default a quarter of "
        "--max_seq_length.",
        group="Model inputs",
        least=0,
    )


@dataclasses.dataclass(frozen=True)
class TaggerEncoder(EncoderChoices):
    """The pretrained model and its inputs."""

    max_seq_length: int | None = flag(
        None,
        "Maximum sequence length: number of tokens per window, special tokens "
        "included. Longer texts become several windows, so that none of their "
        "tokens is lost. At most the number of positions of the model, which "
        "is 512 for those that Google published. By default 128, or the value "
        "that the model in --output_dir was trained with.",
        group="Model inputs",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggerJob(Job):
    """A job on tagged texts."""

    do_predict: bool = flag(
        False,
        "Write --test_file again with what is found in it, in its own form, "
        "to predictions.conll, .jsonl or .csv in --output_dir.",
        group="What to do",
    )
    data: TaggedFiles
    encoder: TaggerEncoder
