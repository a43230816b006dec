"""Settings of a pretraining job, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.settings import (
    JobSettings,
    ModelChoices,
    TrainingSettings,
)


@dataclasses.dataclass(frozen=True)
class TrainingChoices(TrainingSettings):
    """Settings of a training."""

    num_train_steps: int = flag(
        100_000,
        "Total number of training steps.",
        group="Training",
        needs=("do_train",),
        least=1,
    )
    num_warmup_steps: int = flag(
        10_000,
        "Number of warm-up steps, in which the learning rate rises linearly "
        "from 0; usually a tenth of --num_train_steps.",
        group="Training",
        needs=("do_train",),
        least=0,
    )
    keep_checkpoint_max: int = flag(
        5,
        "Maximum number of checkpoints that are kept; older ones are deleted.",
        group="Checkpoints and logs",
        needs=("do_train",),
        least=1,
    )
    checkpoint_format: str = flag(
        "google",
        "Format of the checkpoints. google: model.ckpt-STEP, one for each "
        "save; keras, huggingface and, without the next-sentence head, "
        "kerashub: only the newest.",
        group="Checkpoints and logs",
        needs=("do_train",),
        choices=("google", "keras", "huggingface", "kerashub"),
    )
    with_optimizer: bool = flag(
        False,
        "Write the optimizer's moments into the checkpoints too, as "
        "google-research/bert does; only with --checkpoint_format=google. "
        "Interrupted training resumes without this flag as well.",
        group="Checkpoints and logs",
        needs=("do_train",),
    )


WITHOUT_EFFECT = (
    "eval_steps",
    "keep_checkpoint_max",
    "checkpoint_format",
    "with_optimizer",
)
"""Fields of `TrainingChoices`, beside those of `TrainingSettings`, that do not
influence the trained weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(JobSettings):
    """Settings of a pretraining job."""

    input_file: str | None = flag(
        None,
        "TFRecord files to train on, made by create_pretraining_data: "
        "comma-separated paths or glob patterns, such as 'records/*.tfrecord'.",
        group="Data",
        placeholder="FILES",
    )
    eval_file: str | None = flag(
        None,
        "TFRecord files to evaluate on, made by create_pretraining_data: "
        "comma-separated paths or glob patterns. By default those of "
        "--input_file, whose results are too good if the model was trained on "
        "them.",
        group="Data",
        placeholder="FILES",
    )
    max_seq_length: int = flag(
        128,
        "Maximum sequence length: number of tokens per input, special tokens "
        "included. Must be the value that create_pretraining_data was given.",
        group="Model inputs",
    )
    max_predictions_per_seq: int = flag(
        20,
        "Maximum number of masked tokens per input. Must be the value that "
        "create_pretraining_data was given, unless --masking draws the masks.",
        group="Model inputs",
    )
    sentence_objective: str = flag(
        "nsp",
        "Objective for pairs of texts. nsp: next sentence prediction, whether "
        "the second text follows the first; sop: sentence order prediction, "
        "whether the two are in order; none: no pairs, each input is one text "
        "of whole sentences. Must be the value that create_pretraining_data "
        "was given.",
        group="Model inputs",
        choices=("nsp", "sop", "none"),
    )
    skip_corrupt: bool = flag(
        False,
        "Skip damaged records, those with a wrong checksum, and report how "
        "many there are. By default the first damaged record is an error.",
        group="Data",
    )
    model: ModelChoices
    training: TrainingChoices = dataclasses.field(
        default_factory=TrainingChoices
    )
    masking: MaskingSettings | None = None
    """How masks are drawn during training; None: the records have masks."""
    max_eval_steps: int = flag(
        100,
        "Maximum number of batches per evaluation; the remaining records are "
        "left out.",
        group="Evaluation and prediction",
        needs=("do_eval",),
        least=1,
    )
