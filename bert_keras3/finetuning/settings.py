"""What a fine-tuning job is told.

No library is loaded here, so that flags can be defined from these fields at
once.
"""

from __future__ import annotations

import dataclasses
import os

from bert_keras3.inputs.settings import FileChoices
from bert_keras3.training.settings import TrainingSettings

CSV = "csv"

# As in the original.
DEFAULT_MAX_SEQ_LENGTH = 128


@dataclasses.dataclass(frozen=True)
class DataChoices:
    """The data; None means: find it out."""

    task_name: str = CSV
    data_dir: str | None = None
    train_file: str | None = None
    dev_file: str | None = None
    test_file: str | None = None
    file: FileChoices = dataclasses.field(default_factory=FileChoices)
    problem_type: str | None = None
    label_separator: str | None = None
    skip_labels: tuple[str, ...] = ()
    labels_file: str | None = None
    dev_fraction: float = 0.1


@dataclasses.dataclass(frozen=True)
class EncoderChoices:
    """The pretrained model; None means: find it out."""

    init_checkpoint: str | None = None
    bert_config_file: str | None = None
    vocab_file: str | None = None
    do_lower_case: bool | None = None
    max_seq_length: int | None = None
    allow_missing: tuple[str, ...] = ()

    @property
    def longest_input(self) -> int:
        """Tokens of the longest input of a new model."""
        if self.max_seq_length is None:
            return DEFAULT_MAX_SEQ_LENGTH
        return self.max_seq_length


@dataclasses.dataclass(frozen=True)
class TrainingChoices(TrainingSettings):
    """How to train on labelled data."""

    num_train_epochs: float = 3.0
    warmup_proportion: float = 0.1
    class_weight: str | None = None
    best_metric: str | None = None
    early_stopping_patience: int | None = None
    lora_rank: int | None = None


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done."""

    output_dir: str | os.PathLike[str]
    data: DataChoices
    encoder: EncoderChoices
    training: TrainingChoices
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    eval_batch_size: int = 8
    predict_batch_size: int = 8
    batch_tokens: int | None = None
    """Instead of both: the most positions of a batch, padding included."""
    unpad: bool = True
    """Compute nothing for padding."""
    overwrite_output_dir: bool = False
    distribution: str = "off"
    """Which devices train: key of `training.distributions.DISTRIBUTIONS`."""
    concurrency: int = 1
    """Parts of a training batch, and batches of an evaluation, that are
    computed at the same time."""
