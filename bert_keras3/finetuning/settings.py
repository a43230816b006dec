"""Settings of a fine-tuning job, each with its flag.

This file imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.settings import (
    JobSettings,
    ModelChoices,
    TrainingSettings,
)

CSV = "csv"

# As in the original.


@dataclasses.dataclass(frozen=True)
class DataFiles:
    """Files of examples, for any task."""

    train_file: str | None = flag(
        None,
        "File with the examples to train on, one per row: CSV, TSV, JSON "
        "(lines or a list), packed as .gz, .bz2, .xz or .zip or not; Parquet "
        "and spreadsheets with the extras parquet and spreadsheets. There may "
        "be several files, with commas between or as a pattern such as "
        "'data/*.csv'.",
        group="Data",
        placeholder="FILE",
        needs=("do_train",),
    )
    dev_file: str | None = flag(
        None,
        "File with labelled examples to evaluate on. By default a part of the "
        "training examples is held out, as large as --dev_fraction says.",
        group="Data",
        placeholder="FILE",
        needs=("do_eval",),
    )
    test_file: str | None = flag(
        None,
        "File with the examples to predict; it needs no labels.",
        group="Data",
        placeholder="FILE",
        needs=("do_predict",),
    )
    dev_fraction: float = flag(
        0.1,
        "Fraction of the training examples that is held out for evaluation, "
        "if --do_eval is given and --dev_file is not.",
        group="Data",
        needs=("do_eval",),
        unless=("dev_file",),
        least=0,
        most=1,
    )

    @property
    def files(self) -> dict[str, str | None]:
        """{flag: file} of the files that are read."""
        return {
            "train_file": self.train_file,
            "dev_file": self.dev_file,
            "test_file": self.test_file,
        }


@dataclasses.dataclass(frozen=True)
class DataChoices(DataFiles):
    """Files of texts with labels, and how they are read."""

    task_name: str = flag(
        CSV,
        "Name of a benchmark whose files are in --data_dir: CoLA, SST-2, "
        "MRPC, QQP, STS-B, MNLI, QNLI, RTE or WNLI (GLUE), AX, XNLI, AFQMC, "
        "TNEWS, IFLYTEK, CMNLI, OCNLI, CLUEWSC or CSL (CLUE); of choices "
        "SWAG, HellaSwag, CODAH, CosmosQA, COPA, C3, DREAM, RACE, ARC-Easy, "
        "ARC-Challenge or CommonsenseQA. GLUE or CLUE for all of their tasks "
        "that have a folder in --data_dir, each in a folder of its own in "
        "--output_dir. csv for files of your own.",
        group="Benchmarks",
        placeholder="NAME",
    )
    data_dir: str | None = flag(
        None,
        "Folder with the files of the benchmark. With --task_name=csv, a "
        "folder whose train.csv, dev.csv and test.csv (or another format, as "
        "train.jsonl.gz) are used unless --train_file, --dev_file or "
        "--test_file names another file.",
        group="Benchmarks",
        placeholder="FOLDER",
    )
    file: FileChoices = dataclasses.field(default_factory=FileChoices)
    problem_type: str | None = flag(
        None,
        "Type of problem. single_label: exactly one class per example; "
        "multi_label: any number of labels per example; regression: a number; "
        "choice: one of several choices, which are columns of their own. By "
        "default it is detected from the labels and the names of the columns.",
        group="Columns and labels",
        choices=("single_label", "multi_label", "regression", "choice"),
    )
    choice_columns: tuple[str, ...] = flag(
        (),
        "Columns of the choices, comma-separated, given by name or by number "
        "from 1, in their order; or one column with lists. An empty cell is "
        "no choice. --text_column is then the context that the choices "
        "belong to, and --text_pair_column the question that they answer. By "
        "default they are detected by names such as ending0 or choice_a.",
        group="Columns and labels",
    )
    choice_labels: str | None = flag(
        None,
        "How labels say which choice is right. 0 or 1: by a number, the first "
        "choice being 0 or 1; A or a: by a letter; text: by the text of the "
        "choice. By default it is detected from all labels of the file.",
        group="Columns and labels",
        choices=("0", "1", "A", "a", "text"),
    )
    label_separator: str | None = flag(
        None,
        "Separator between several labels in one cell of multi-label data, "
        "such as a semicolon. By default it is detected.",
        group="Columns and labels",
    )
    skip_labels: tuple[str, ...] = flag(
        (),
        "Comma-separated labels; examples with one of them are left out of "
        "training and evaluation. In some data sets, such as SNLI, the label "
        "- marks examples on which the annotators did not agree.",
        group="Columns and labels",
        needs=("do_train", "do_eval"),
    )
    labels_file: str | None = flag(
        None,
        "File with the class names, one per line, in the order of the model's "
        "outputs. The labels in the data are then these names or their "
        "numbers, from 0. By default the labels of the training file, sorted; "
        "for a classifier that is given as --init_checkpoint, the names that "
        "were saved with it, or else the numbers from 0.",
        group="Columns and labels",
        placeholder="FILE",
    )

    features: str | None = flag(
        None,
        "How --feature_columns are read. concat: as numbers and embedded "
        "categories, whose vector stands beside that of the text; text: "
        "written before the text, as in 'price: 3.5; brand: Ant'. By default "
        "concat.",
        group="Model inputs",
        choices=("concat", "text"),
        needs=("feature_columns",),
    )
    clean: tuple[str, ...] = flag(
        (),
        "Comma-separated rules that texts go through before they are "
        "tokenized, in training, predictions and exports. html: no tags, "
        "characters for entities; urls: URL and EMAIL for addresses; digits: "
        "0 for each digit; repeats: one punctuation mark for several equal "
        "ones. By default as the model was trained, or none.",
        group="Model inputs",
    )
    long_text: str | None = flag(
        None,
        "What is done with texts of more than --max_seq_length tokens. "
        "truncate: the first tokens are read; head_tail: the first quarter "
        "and the last ones; windows: all of it, in windows that overlap, whose "
        "answers are pooled. By default as the model was trained, or truncate.",
        group="Model inputs",
        choices=("truncate", "head_tail", "windows"),
    )
    window_stride: int | None = flag(
        None,
        "Number of tokens from the beginning of a window to that of the next. "
        "By default three quarters of a window.",
        group="Model inputs",
        least=1,
        needs=("long_text=windows",),
    )
    window_pooling: str | None = flag(
        None,
        "How the logits of a text's windows become one. mean; max, for each "
        "label; or attention, a mean whose weights are learnt. By default "
        "mean.",
        group="Model inputs",
        choices=("mean", "max", "attention"),
        needs=("long_text=windows",),
    )
    max_windows: int | None = flag(
        None,
        "Maximum number of windows of a text, which bounds memory. Of a longer "
        "text as many are read, evenly spaced. By default 16.",
        group="Model inputs",
        least=1,
        needs=("long_text=windows",),
    )
    unsure_below: float | None = flag(
        None,
        "Predict unsure where the highest probability of a single_label model "
        "is below this, from 0 to 1. It is kept with a model that is trained "
        "or calibrated with it, and exports do the same. By default as the "
        "model was trained, or 0.",
        group="Evaluation and prediction",
        least=0,
        most=1,
    )

    @property
    def files(self) -> dict[str, str | None]:
        """{flag: file} of the files that are read."""
        return {**super().files, "labels_file": self.labels_file}


@dataclasses.dataclass(frozen=True)
class EncoderChoices(ModelChoices):
    """The pretrained model and its inputs."""

    do_lower_case: bool | None = flag(
        None,
        "Convert the text to lower case and strip accents, as uncased models "
        "require. By default as the files beside --init_checkpoint say.",
        group="Model inputs",
    )
    max_seq_length: int | None = flag(
        None,
        "Maximum sequence length: number of tokens per input, special tokens "
        "included. Longer texts are truncated; run_tagger cuts them into "
        "windows. At most the number of "
        "positions of the model, which is 512 for those that Google "
        "published. By default the value that the model in --output_dir, or "
        "the fine-tuned one of --init_checkpoint, was trained with, else 128.",
        group="Model inputs",
    )
    default_max_seq_length: ClassVar[int] = 128


@dataclasses.dataclass(frozen=True)
class TrainingChoices(TrainingSettings):
    """Settings of a training on labelled data."""

    num_train_epochs: float = flag(
        3.0,
        "Number of epochs (passes over the training examples), whole or "
        "fractional.",
        group="Training",
        needs=("do_train",),
        least=0,
    )
    warmup_proportion: float = flag(
        0.1,
        "Fraction of the training steps used for warm-up, in which the "
        "learning rate rises linearly from 0.",
        group="Training",
        needs=("do_train",),
        least=0,
        most=1,
    )
    class_weight: str | None = flag(
        None,
        "Class weights in the training loss of a single_label problem. "
        "balanced: inversely proportional to the number of examples of the "
        "class. By default all classes weigh the same.",
        group="Further training settings",
        needs=("do_train",),
        choices=("balanced",),
    )
    best_metric: str | None = flag(
        None,
        "Metric by which the best weights are chosen among the evaluations "
        "during training, such as accuracy, macro_f1, mcc or loss; needs "
        "--do_eval. By default accuracy for single_label, micro_f1 for "
        "multi_label, pearson for regression, f1 for answers and tags, and a "
        "benchmark's own metric.",
        group="Evaluation and prediction",
        placeholder="NAME",
        needs=("do_train",),
    )
    early_stopping_patience: int | None = flag(
        None,
        "Stop training after this many evaluations in a row without "
        "improvement of --best_metric; needs --do_eval. By default training "
        "runs to its end.",
        group="Evaluation and prediction",
        needs=("do_train",),
        least=1,
    )
    lora_rank: int | None = flag(
        None,
        "Rank of low-rank adaptation (LoRA): the encoder is frozen, and only "
        "low-rank matrices beside its weight matrices and the classification "
        "head are trained; 8 is usual, with a learning rate near 1e-3. By "
        "default all weights are trained.",
        group="Further training settings",
        needs=("do_train",),
        least=1,
    )


@dataclasses.dataclass(frozen=True)
class SearchChoices:
    """Several trainings on the same data, of which the best is kept."""

    num_restarts: int = flag(
        1,
        "Number of trainings with the same settings, which differ by their "
        "seed alone: --seed, the number after it and so on. Needs --do_eval. "
        "Their mean and spread are told, and the best is kept.",
        group="Several trainings",
        needs=("do_train",),
        least=1,
    )
    search: bool = flag(
        False,
        "Train with each combination of --search_batch_sizes, "
        "--search_learning_rates and --search_epochs, and keep the model with "
        "the best --best_metric. Needs --do_eval. A search that was "
        "interrupted goes on when the same command is given.",
        group="Several trainings",
        needs=("do_train",),
    )
    search_batch_sizes: tuple[float, ...] = flag(
        (16.0, 32.0),
        "Comma-separated values of --train_batch_size.",
        group="Several trainings",
        needs=("search",),
    )
    search_learning_rates: tuple[float, ...] = flag(
        (2e-5, 3e-5, 5e-5),
        "Comma-separated values of --learning_rate.",
        group="Several trainings",
        needs=("search",),
    )
    search_epochs: tuple[float, ...] = flag(
        (2.0, 3.0, 4.0),
        "Comma-separated values of --num_train_epochs.",
        group="Several trainings",
        needs=("search",),
    )
    stop_hopeless: bool = flag(
        True,
        "Stop a training that is worse after an epoch than each of at least "
        "three finished ones was after as many.",
        group="Several trainings",
        needs=("search", "num_restarts"),
    )

    @property
    def wanted(self) -> bool:
        """Whether there is more than one training."""
        return self.search or self.num_restarts > 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(JobSettings):
    """Settings of a fine-tuning job."""

    do_predict: bool = flag(
        False,
        "Write predictions for the examples in --test_file to predictions.csv "
        "in --output_dir; those of a tagger have the form of the test file "
        "(predictions.conll, .jsonl or .csv).",
        group="What to do",
    )
    data: DataFiles
    encoder: EncoderChoices
    training: TrainingChoices
    search: SearchChoices = SearchChoices()
    predict_batch_size: int = flag(
        8,
        "Prediction batch size: number of examples per batch.",
        group="Evaluation and prediction",
        needs=("do_predict",),
        least=1,
    )
    batch_tokens: int | None = flag(
        None,
        "Maximum number of tokens, padding included, per evaluation or "
        "prediction batch, so that a batch has many short texts or few long "
        "ones. By default --eval_batch_size and --predict_batch_size count "
        "examples instead.",
        group="Evaluation and prediction",
        needs=("do_eval", "do_predict"),
        least=1,
    )
    unpad: bool = flag(
        True,
        "Skip the computation for padding tokens, in training and in "
        "prediction; false: compute it, as google-research/bert does. The "
        "results are the same.",
        group="Speed and memory",
    )

    @property
    def calibrates(self) -> bool:
        """Whether settings are fitted on the evaluated examples."""
        return False

    @property
    def finds_label_errors(self) -> bool:
        """Whether wrong labels are looked for."""
        return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledJob(Job):
    """A job on texts with labels."""

    data: DataChoices
    calibrate: bool = flag(
        False,
        "Fit on the examples of the evaluation how probabilities become "
        "answers, and keep it with the model: a temperature, so that they are "
        "neither too sure nor too unsure (single_label), or for each label the "
        "minimum probability with the best F1 (multi_label).",
        group="What to do",
        needs=("do_eval",),
    )

    find_label_errors: bool = flag(
        False,
        "Look for wrong labels in --train_file: models trained on the other "
        "folds say how probable each label is. Writes label_issues.csv and "
        "without_label_issues.csv in --output_dir. Needs the package cleanlab.",
        group="What to do",
        implies=("do_train",),
    )
    folds: int = flag(
        5,
        "Number of parts of the training file, each of which is predicted by "
        "a model that is trained on the others.",
        group="Several trainings",
        needs=("find_label_errors",),
        least=2,
    )

    @property
    def calibrates(self) -> bool:
        """Whether settings are fitted on the evaluated examples."""
        return self.calibrate

    @property
    def finds_label_errors(self) -> bool:
        """Whether wrong labels are looked for."""
        return self.find_label_errors


@dataclasses.dataclass(frozen=True)
class ExportFlags:
    """Whether and how the trained model is exported."""

    do_export: bool = flag(
        False,
        "Export the trained model as a TensorFlow SavedModel that takes raw "
        "text.",
        group="What to do",
    )
    export_dir: str | None = flag(
        None,
        "Folder for the exported versions, which are numbered 1, 2, 3, …; it "
        "is created if it does not exist. By default the folder export in "
        "--output_dir.",
        group="Export",
        placeholder="FOLDER",
        needs=("do_export",),
    )
    quantize: str | None = flag(
        None,
        "Quantize the weight matrices of dense layers to 8-bit integers, a "
        "quarter of their size. A SavedModel becomes smaller, not faster; for "
        "speed use export_saved_model with --format=litert or --format=onnx. "
        "By default weights are float32.",
        group="Export",
        needs=("do_export",),
        choices=("int8",),
    )
