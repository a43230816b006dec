"""What a pretraining job is told.

No library is loaded here, so that flags can be defined from these fields at
once.
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
    """How to train."""

    num_train_steps: int = flag(
        100_000, "Number of training steps in all.", group="Training", least=1
    )
    num_warmup_steps: int = flag(
        10_000,
        "Number of steps in which the learning rate rises linearly from 0.",
        group="Training",
        least=0,
    )
    keep_checkpoint_max: int = flag(
        5,
        "Number of the run's newest checkpoints that are kept.",
        group="Training",
        least=1,
    )
    checkpoint_format: str = flag(
        "google",
        "Format of the checkpoints. google: model.ckpt-STEP, one for each "
        "save; keras and huggingface: the newest alone.",
        group="Training",
        choices=("google", "keras", "huggingface"),
    )
    with_optimizer: bool = flag(
        False,
        "Write the optimizer's moments into the checkpoints, as the original "
        "does (--checkpoint_format=google only). A stopped training "
        "continues without them.",
        group="Training",
    )


WITHOUT_EFFECT = (
    "eval_steps",
    "keep_checkpoint_max",
    "checkpoint_format",
    "with_optimizer",
)
"""Fields of `TrainingChoices` that change no weight, beside those that
change none in any training."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(JobSettings):
    """What is to be done."""

    input_file: str | None = flag(
        None,
        "TFRecord files to train on, written by create_pretraining_data: "
        "paths or patterns such as 'records/*.tfrecord', separated by commas.",
        group="Data",
    )
    eval_file: str | None = flag(
        None,
        "TFRecord files to evaluate on: paths or patterns, separated by "
        "commas. By default those of --input_file.",
        group="Data",
    )
    max_seq_length: int = flag(
        128,
        "Number of tokens of a record; must be that which "
        "create_pretraining_data was given.",
        group="Data",
    )
    max_predictions_per_seq: int = flag(
        20,
        "Number of places for masked tokens in a record; must be that which "
        "create_pretraining_data was given. With --masking, the largest "
        "number of tokens that are masked in an input.",
        group="Data",
    )
    sentence_objective: str = flag(
        "nsp",
        "What is predicted of pairs of texts; must be what "
        "create_pretraining_data was given. nsp: whether the second follows "
        "the first (next sentence prediction); sop: whether they are in "
        "order (sentence order prediction); none: nothing.",
        group="Data",
        choices=("nsp", "sop", "none"),
    )
    skip_corrupt: bool = flag(
        False,
        "Leave damaged records out and report their number. By default the "
        "first of them ends the program.",
        group="Data",
    )
    model: ModelChoices
    training: TrainingChoices = dataclasses.field(
        default_factory=TrainingChoices
    )
    masking: MaskingSettings | None = None
    """How masks are drawn for records that have none; None: they have."""
    max_eval_steps: int = flag(
        100,
        "Largest number of batches of an evaluation.",
        group="Evaluation and prediction",
        least=1,
    )
