"""What a pretraining has to be told, as the flags of its script say it."""

from __future__ import annotations

import dataclasses
import os

from bert_keras3.pretraining_data.masking import MaskingSettings
from bert_keras3.training.settings import TrainingSettings


@dataclasses.dataclass(frozen=True)
class ModelChoices:
    """Which model to begin with; None means: find it out."""

    init_checkpoint: str | None = None
    bert_config_file: str | None = None
    vocab_file: str | None = None
    allow_missing: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class TrainingChoices(TrainingSettings):
    """How to train."""

    num_train_steps: int = 100_000
    num_warmup_steps: int = 10_000
    keep_checkpoint_max: int = 5
    """How many of Google's checkpoints are kept."""
    checkpoint_format: str = "google"
    """A key of `checkpointing.formats.FORMATS`."""
    with_optimizer: bool = False
    """Put the optimizer's moments into the checkpoints."""


WITHOUT_EFFECT = (
    "eval_steps",
    "keep_checkpoint_max",
    "checkpoint_format",
    "with_optimizer",
)
"""Fields of `TrainingChoices` that change no weight, beside those that
change none in any training."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done."""

    output_dir: str | os.PathLike[str]
    model: ModelChoices
    input_file: str | None = None
    training: TrainingChoices = dataclasses.field(
        default_factory=TrainingChoices
    )
    eval_file: str | None = None
    sentence_objective: str = "nsp"
    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masking: MaskingSettings | None = None
    """How masks are drawn for records that have none; None: they have."""
    skip_corrupt: bool = False
    do_train: bool = False
    do_eval: bool = False
    eval_batch_size: int = 8
    max_eval_steps: int = 100
    overwrite_output_dir: bool = False
    distribution: str = "off"
    """Which devices train: a key of `training.devices.DISTRIBUTIONS`."""
    concurrency: int = 1
    """Parts of a training batch, and batches of an evaluation, that are
    computed at the same time."""
