"""What a fine-tuning job is to do, as the flags of `run_classifier.py` say it.

The parts are described where they are used: data in `sources`, the encoder
in `encoder_files`, training in `train`.
"""

from __future__ import annotations

import dataclasses
import os

from bert_keras3.finetuning.encoder_files import EncoderChoices
from bert_keras3.finetuning.sources import DataChoices
from bert_keras3.finetuning.train import TrainingChoices
from bert_keras3.inputs.batches import BatchLimit


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
    """Instead of both: the most positions of a batch, padding counted."""
    unpad: bool = True
    """Compute nothing for padding."""
    overwrite_output_dir: bool = False
    distribution: str = "off"
    """Which devices train: key of `training.devices.DISTRIBUTIONS`."""
    concurrency: int = 1
    """Parts of a training batch, and batches of an evaluation, that are
    computed at the same time."""

    @property
    def eval_limit(self) -> BatchLimit:
        """Of a batch of an evaluation."""
        return BatchLimit(self.eval_batch_size, self.batch_tokens)

    @property
    def predict_limit(self) -> BatchLimit:
        """Of a batch of a prediction."""
        return BatchLimit(self.predict_batch_size, self.batch_tokens)
