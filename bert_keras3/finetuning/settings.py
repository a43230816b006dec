"""What a fine-tuning job is told.

No library is loaded here, so that flags can be defined from these fields at
once.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.settings import (
    JobSettings,
    ModelChoices,
    TrainingSettings,
)

CSV = "csv"

# As in the original.
DEFAULT_MAX_SEQ_LENGTH = 128


@dataclasses.dataclass(frozen=True)
class DataChoices:
    """The data; None means: find it out."""

    task_name: str = flag(
        CSV,
        "csv for your own files (CSV, TSV, JSON lines, …), or the name of a "
        "benchmark whose files lie in --data_dir: CoLA, MNLI, MRPC, XNLI, "
        "SST-2 or RTE.",
        group="Data",
    )
    data_dir: str | None = flag(
        None,
        "Folder with the files of the benchmark that --task_name names; with "
        "--task_name=csv, with train.csv, dev.csv and test.csv (or .tsv and "
        "so on).",
        group="Data",
    )
    train_file: str | None = flag(
        None, "File of examples to train on.", group="Data"
    )
    dev_file: str | None = flag(
        None,
        "File of labelled examples to evaluate on. By default a part of the "
        "training file is held out for that; see --dev_fraction.",
        group="Data",
    )
    test_file: str | None = flag(
        None,
        "File of examples to predict; it needs no labels.",
        group="Data",
    )
    dev_fraction: float = flag(
        0.1,
        "Share of the training file that is held out to evaluate on, if "
        "there is --do_eval and no --dev_file.",
        group="Data",
        least=0,
        most=1,
    )
    file: FileChoices = dataclasses.field(default_factory=FileChoices)
    problem_type: str | None = flag(
        None,
        "What is predicted. single_label: one of several classes; "
        "multi_label: any number of labels; regression: a number. By default "
        "it is detected from the labels.",
        group="Columns and labels",
        choices=("single_label", "multi_label", "regression"),
    )
    label_separator: str | None = flag(
        None,
        "What separates several labels in one cell of multi-label data, such "
        "as a semicolon. By default it is detected.",
        group="Columns and labels",
    )
    skip_labels: tuple[str, ...] = flag(
        (),
        "Labels, separated by commas, whose examples are left out of "
        "training and evaluation, such as - for examples without an agreed "
        "label.",
        group="Columns and labels",
    )
    labels_file: str | None = flag(
        None,
        "File with the names of the classes, one a line, in the order of the "
        "model's outputs; for a classifier that is given as "
        "--init_checkpoint and used without training.",
        group="Columns and labels",
    )


@dataclasses.dataclass(frozen=True)
class EncoderChoices(ModelChoices):
    """The pretrained model and its inputs; None means: find it out."""

    do_lower_case: bool | None = flag(
        None,
        "Whether to lower-case the text and drop accents, as uncased models "
        "need it. By default as the files beside --init_checkpoint say.",
        group="Model",
    )
    max_seq_length: int | None = flag(
        None,
        "Largest number of tokens of an input, special tokens included; "
        "longer texts are cut. By default 128, or what the model in "
        "--output_dir was trained with.",
        group="Model",
    )

    @property
    def longest_input(self) -> int:
        """Tokens of the longest input of a new model."""
        if self.max_seq_length is None:
            return DEFAULT_MAX_SEQ_LENGTH
        return self.max_seq_length


@dataclasses.dataclass(frozen=True)
class TrainingChoices(TrainingSettings):
    """How to train on labelled data."""

    num_train_epochs: float = flag(
        3.0,
        "Number of epochs: how often the training examples are gone through.",
        group="Training",
        least=0,
    )
    warmup_proportion: float = flag(
        0.1,
        "Share of the training steps in which the learning rate rises "
        "linearly from 0.",
        group="Training",
        least=0,
        most=1,
    )
    class_weight: str | None = flag(
        None,
        "balanced: weigh each example by the inverse of its class's "
        "frequency. By default all examples weigh the same.",
        group="Training",
        choices=("balanced",),
    )
    best_metric: str | None = flag(
        None,
        "Metric that decides which evaluation's weights are kept, such as "
        "accuracy, macro_f1, mcc or loss; needs --do_eval. By default the "
        "usual metric of the task.",
        group="Training",
    )
    early_stopping_patience: int | None = flag(
        None,
        "Stop training after so many evaluations in a row without a better "
        "one; needs --do_eval. By default training runs to its end.",
        group="Training",
        least=1,
    )
    lora_rank: int | None = flag(
        None,
        "Train the head and low-rank matrices of this rank beside the frozen "
        "kernels (LoRA) instead of all weights; 8 is usual, with a learning "
        "rate near 1e-3. By default all weights are trained.",
        group="Training",
        least=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(JobSettings):
    """What is to be done."""

    do_predict: bool = flag(
        False,
        "Predict the examples of the test file.",
        group="What to do",
    )
    data: DataChoices
    encoder: EncoderChoices
    training: TrainingChoices
    predict_batch_size: int = flag(
        8,
        "Number of examples in a batch of a prediction.",
        group="Evaluation and prediction",
        least=1,
    )
    batch_tokens: int | None = flag(
        None,
        "Largest number of tokens, padding included, in a batch of an "
        "evaluation or a prediction: a batch has many short texts or few "
        "long ones. By default --eval_batch_size and --predict_batch_size "
        "count examples.",
        group="Evaluation and prediction",
        least=1,
    )
    unpad: bool = flag(
        True,
        "Compute nothing for padding tokens; false computes them as the "
        "original does, with the same results.",
        group="Speed and memory",
    )


@dataclasses.dataclass(frozen=True)
class ExportFlags:
    """Whether the trained model is exported as well, and where to."""

    do_export: bool = flag(
        False,
        "Export the trained model as a SavedModel that takes text.",
        group="What to do",
    )
    export_dir: str | None = flag(
        None,
        "Folder of the exported versions 1, 2, 3, … By default the folder "
        "export in --output_dir.",
        group="Export",
    )
    quantize: str | None = flag(
        None,
        "Store the kernels of the exported model as 8-bit integers: a "
        "quarter of the size, not faster (export_saved_model "
        "--format=litert writes a form that is). By default they are 32-bit "
        "numbers.",
        group="Export",
        choices=("int8",),
    )
