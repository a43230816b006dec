"""The output folder of a fine-tuning run.

It has everything that predictions need later: the weights, the vocabulary, the
model configuration and the settings with which the data was read.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bert_keras3.checkpointing import trained_run
from bert_keras3.checkpointing.checkpoint import read_vocabulary
from bert_keras3.checkpointing.tokenizer_files import (
    copy_added_tokens,
    lines_with,
    with_added_tokens,
)
from bert_keras3.finetuning.evaluation import Evaluation
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.inputs.benchmarks import BENCHMARKS
from bert_keras3.inputs.choice_names import FURTHER_PARTS, SUBMITTED_FILES
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write
from bert_keras3.training.run_folder import (
    EVAL_JSON,
    EVAL_TEXT,
    STATE,
    RunFiles,
    RunFolder,
)
from tokenization.added_tokens import TOKENIZER_CONFIG
from tokenization.cleaning import with_cleaning
from tokenization.tokenizers import Tokenizer, open_tokenizer
from tokenization.vocab import (
    is_sentence_pieces,
)

if TYPE_CHECKING:
    from bert_keras3.checkpointing import Checkpoint
    from modeling import BertConfig, BertWithHeads

MODEL = trained_run.MODEL
LORA = "lora.safetensors"
CONFIG = "bert_config.json"
VOCABULARY = "vocab.txt"
SENTENCE_PIECES = "spiece.model"
SETTINGS = trained_run.SETTINGS
DATA_REPORT = "data_report.json"
DEV_SPLIT = "dev_split"
DEV_SUFFIXES = (".csv", ".jsonl", ".txt")
CONFUSION = "confusion_matrix.csv"
EVALUATED = "eval_predictions.jsonl"
PROVENANCE = "provenance.json"
REPORT = "report.html"
COMPARISON = "comparison.html"
SCRATCH = ".encoded"
TEACHER = ".teacher"
"""What a teacher answered, until the training is finished."""
UNLABELLED = "unlabelled"
"""The split of examples without labels that a training reads."""
FINISHED = "finished.json"
"""In the folders of a collection: what a finished run depends on; in those of
a search also its results."""
TRIALS = "trials"
"""Folder of the runs of a search."""
SEARCH = "search_results.csv"
FOLDS = "folds"
"""Folder of the runs that look for label errors."""
ISSUES = "label_issues.csv"
WITHOUT_ISSUES = "without_label_issues.csv"
# Evaluated examples whose predictions are kept: some 20 MB.
_MOST_KEPT = 100_000

RESULT_FILES = (
    *("predictions.csv", "test_results.tsv"),
    *("predictions.json", "nbest_predictions.json", "null_odds.json"),
    *("predictions.conll", "predictions.jsonl"),
)
"""The files of predictions, `Task.result_files` of all tasks: written out, so
that a job loads its own task alone."""

# Results for the further splits of benchmarks, and files for their servers.
_OF_BENCHMARKS = tuple(
    dict.fromkeys(
        [
            *(
                f"{part}/{name}"
                for part in itertools.chain(
                    *(one.further for one in BENCHMARKS), FURTHER_PARTS
                )
                for name in (
                    *(EVAL_TEXT, EVAL_JSON, CONFUSION, EVALUATED, REPORT),
                    *RESULT_FILES,
                )
            ),
            *(
                submission.file
                for benchmark in BENCHMARKS
                for submission in benchmark.submissions
            ),
            *SUBMITTED_FILES,
        ]
    )
)

FILES = RunFiles(
    signs=(SETTINGS, MODEL),
    written=(
        CONFIG,
        VOCABULARY,
        LORA,
        SENTENCE_PIECES,
        TOKENIZER_CONFIG,
        DATA_REPORT,
        *(f"{DEV_SPLIT}{suffix}" for suffix in DEV_SUFFIXES),
        *(CONFUSION, EVALUATED, PROVENANCE, REPORT, COMPARISON),
        FINISHED,
        *RESULT_FILES,
        *_OF_BENCHMARKS,
    ),
    scratch=(SCRATCH, TEACHER),
)

_NOT_KEPT = (STATE, FINISHED, REPORT, COMPARISON, *RESULT_FILES)
KEPT_FILES = tuple(
    name
    for name in FILES.all
    if name not in _NOT_KEPT and name not in _OF_BENCHMARKS
)
"""What a copy of a trained model has: all but the state of its training and
what was made with it."""


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """The task of a trained model, and how its data was read."""

    task_name: str
    """The data set: `csv`, or the name of a benchmark."""
    problem: str
    """The task, a key of `tasks.TASKS`."""
    labels: tuple[str, ...]
    max_seq_length: int
    do_lower_case: bool
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The columns of the training file; empty for a benchmark."""
    takes_pairs: bool = False
    label_separator: str | None = None
    init_checkpoint: str | None = None
    """The --init_checkpoint of the training, for information."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Further settings of the task."""
    clean: tuple[str, ...] = ()
    """Rules of `tokenization.cleaning` that texts go through."""

    @property
    def task(self) -> Task:
        """The task with its labels."""
        return TASKS[self.problem](self.labels, **self.options)


class FinetuningFolder:
    """The files of one fine-tuning run.

    Attributes:
        run: the files that every kind of training has.
        path: of the folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Does not touch the folder, which need not exist yet."""
        self.run = RunFolder(path, FILES)
        self.path = self.run.path

    def __truediv__(self, name: str) -> pathlib.Path:
        """Returns the path of a file in the folder."""
        return self.path / name

    @property
    def holds_a_model(self) -> bool:
        """Whether there is a trained model."""
        return (self / MODEL).exists() and (self / SETTINGS).exists()

    @property
    def vocab_file(self) -> pathlib.Path:
        """The vocabulary: a SentencePiece model, else one token a line."""
        pieces = self / SENTENCE_PIECES
        return pieces if pieces.exists() else self / VOCABULARY

    def dev_split(self, suffix: str) -> pathlib.Path:
        """Returns the path of the examples that a training held out.

        Args:
            suffix: the ending of its name, one of `DEV_SUFFIXES`.
        """
        return self / f"{DEV_SPLIT}{suffix}"

    def check_flags(self, **flags: tuple[Any, Any]) -> None:
        """Checks flags against the values the model was trained with.

        Args:
            **flags: flag → (its value, None if not given; the value of the
                training).

        Raises:
            UserError: the values of a flag differ.
        """
        for flag, (now, before) in flags.items():
            if now not in (None, before):
                raise self.contradiction(f"--{flag}={now}", before)

    def contradiction(self, flag: str, before: Any) -> UserError:
        """Returns the error for a flag that differs from the training.

        Args:
            flag: the flag with its value.
            before: the value of the training; None for none.
        """
        trained_with = "without it" if before is None else f"with {before}"
        return UserError(
            f"{flag}: the classifier in --output_dir={self.path} was trained "
            f"{trained_with} and is used as it was trained. Leave the flag "
            "out, or train another classifier with --do_train in another "
            "folder."
        )

    # Files that predictions need.

    def begin(self, settings: RunSettings, checkpoint: Checkpoint) -> None:
        """Creates the folder with all files of a model but its weights.

        Args:
            settings: of the run.
            checkpoint: that the model starts from; with a vocabulary.
        """
        assert checkpoint.vocab_file is not None
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_settings(settings)
        self.write_encoder_files(checkpoint.config, checkpoint.vocab_file)

    def write_settings(self, settings: RunSettings) -> None:
        """Writes the task and how data is read."""
        self.run.write_json(SETTINGS, dataclasses.asdict(settings))

    def read_settings(self) -> RunSettings:
        """Reads the task and how data is read.

        Raises:
            UserError: the file does not exist or is damaged.
        """
        path = self / SETTINGS
        try:
            fields = json.loads(path.read_text("utf-8"))
            fields["labels"] = tuple(fields["labels"])
            fields["clean"] = tuple(fields.get("clean", ()))
            return RunSettings(**fields)
        except FileNotFoundError:
            if (self / STATE).exists():
                raise UserError(
                    f"{self.path}: has the state of a training and no "
                    f"{SETTINGS}, which says what was trained. Put it back, "
                    "or start anew with --do_train --overwrite_output_dir."
                ) from None
            raise UserError(
                f"{self.path}: has no {SETTINGS}, so no classifier was "
                "trained here. Train one with --do_train, or give the "
                "--output_dir of a training."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is damaged: {error}") from error

    def write_encoder_files(
        self, config: BertConfig, vocab_file: str | os.PathLike[str]
    ) -> None:
        """Copies the configuration and the vocabulary beside the weights."""
        with atomic_write(self / CONFIG) as file:
            file.write(config.to_json_string())
        copy_added_tokens(vocab_file, self.path)
        if is_sentence_pieces(vocab_file):
            with atomic_path(self / SENTENCE_PIECES) as temporary:
                shutil.copyfile(vocab_file, temporary)
            return
        # One of an earlier run would take precedence.
        (self / SENTENCE_PIECES).unlink(missing_ok=True)
        if pathlib.Path(vocab_file).suffix == ".json":
            tokens, added = with_added_tokens(
                read_vocabulary(pathlib.Path(vocab_file)),
                pathlib.Path(vocab_file),
                config.vocab_size,
            )
            with atomic_write(self / VOCABULARY, newline="\n") as file:
                file.writelines(
                    f"{line}\n" for line in lines_with(tokens, added)
                )
        else:
            with atomic_path(self / VOCABULARY) as temporary:
                shutil.copyfile(vocab_file, temporary)

    def load_tokenizer(self) -> Tokenizer:
        """Creates the tokenizer that the model was trained with.

        Raises:
            UserError: the vocabulary is missing or damaged.
        """
        settings = self.read_settings()
        plain = open_tokenizer(self.vocab_file, settings.do_lower_case)
        return with_cleaning(plain, settings.clean)

    # Weights.

    def save_model(self, model: BertWithHeads) -> None:
        """Writes the weights, without the optimizer's slots.

        They are float32 whatever the precision of the computation. With LoRA
        the frozen weights plus A·B are written, and the trained matrices to a
        file of their own.
        """
        from bert_keras3.finetuning.lora import (
            has_lora,
            merged_in_float32,
            save_lora,
        )

        with atomic_path(self / MODEL) as temporary, merged_in_float32(model):
            model.save(temporary)
        if has_lora(model):
            with atomic_path(self / LORA) as temporary:
                save_lora(temporary, model)

    def load_model(self) -> BertWithHeads:
        """Creates the trained model and loads its weights.

        Raises:
            UserError: a file is missing or damaged.
        """
        from modeling import BertConfig

        model = new_model(
            BertConfig.from_json_file(self / CONFIG), self.read_settings().task
        )
        self.load_weights(model)
        return model

    def load_weights(self, model: BertWithHeads) -> None:
        """Loads the saved weights into a model.

        Raises:
            UserError: the file is missing or damaged.
        """
        from bert_keras3.checkpointing import load

        load(model, self / MODEL)

    # Results.

    def check_not_foreign(self, name: str, part: str) -> None:
        """Checks that a result to be replaced is one of an earlier command.

        Args:
            name: of the file.
            part: the folder that such a command leaves as well.

        Raises:
            UserError: the file is there and the folder is not.
        """
        if (self / name).exists() and not (self / part).is_dir():
            raise UserError(
                f"{self / name}: is there already, and of no run of this "
                "program. Move it, or give another --output_dir."
            )

    def write_data_report(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes reports on data files; earlier ones on other files stay.

        Args:
            files: {split: `EncodedFile.values()`}.
        """
        try:
            earlier = self.run.read_json(DATA_REPORT) or {}
        except UserError:  # a damaged report is replaced
            earlier = {}
        self.run.write_json(DATA_REPORT, {**earlier, **files})

    def write_provenance(self, what: str, values: Mapping[str, Any]) -> None:
        """Writes what made a training or an evaluation; the other one stays.

        Args:
            what: "training" or "evaluation".
            values: the result of `provenance.provenance_of`.
        """
        try:
            earlier = self.run.read_json(PROVENANCE) or {}
        except UserError:  # a damaged file is replaced
            earlier = {}
        self.run.write_json(PROVENANCE, {**earlier, what: values})

    def write_evaluation(
        self, evaluation: Evaluation, labels: tuple[str, ...], context: Any
    ) -> None:
        """Writes the results of an evaluation.

        The text file has the original's names and form, `key = value`. What
        was predicted for each example, or for `_MOST_KEPT` evenly spaced
        ones, is a file of JSON lines; `row` counts from 1.

        Args:
            evaluation: the results.
            labels: their names, in order.
            context: further values for the JSON file; `global_step` is in the
                text file, too.
        """
        scalars = evaluation.scalars
        # For classifiers, the text file has the original's names only.
        if "accuracy" in scalars:
            scalars = {name: scalars[name] for name in ("accuracy", "loss")}
        lines = {
            **{f"eval_{name}": value for name, value in scalars.items()},
            "global_step": context["global_step"],
            "loss": scalars["loss"],
        }
        self.run.write_evaluation(
            lines,
            {
                **evaluation.scalars,
                **evaluation.details,
                "labels": list(labels),
                **context,
            },
        )
        if evaluation.confusion is not None:
            labels = evaluation.confusion_labels or labels
            with atomic_write(self / CONFUSION, newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["true \\ predicted", *labels])
                for label, counts in zip(
                    labels, evaluation.confusion, strict=True
                ):
                    writer.writerow([label, *(int(count) for count in counts)])
        if evaluation.rows is not None:
            every = -(-context["examples"] // _MOST_KEPT)
            with atomic_write(self / EVALUATED) as file:
                for number, row in enumerate(evaluation.rows()):
                    if number % every == 0:
                        line = {"row": number + 1, **row}
                        file.write(f"{json.dumps(line, ensure_ascii=False)}\n")


def settings_beside(checkpoint: Checkpoint) -> RunSettings | None:
    """Returns the settings of the run that a checkpoint is of, if any.

    An export has fewer: what a prediction needs.

    Raises:
        UserError: they are damaged.
    """
    file = checkpoint.weights_file
    if file is None:
        return None
    folder = FinetuningFolder(file.parent)
    if file.name != trained_run.EXPORTED:
        return folder.read_settings() if folder.holds_a_model else None
    fields = trained_run.run_settings(file)
    if fields is None:
        return None
    for name in ("labels", "clean"):
        fields[name] = tuple(fields[name])
    return RunSettings(task_name="", **fields)


def new_model(config: BertConfig, task: Task) -> BertWithHeads:
    """Creates the model of a task with random weights."""
    from modeling import BertWithHeads

    return BertWithHeads(
        config,
        (*task.heads, *task.further_heads),
        labels=task.labels,
        extra_columns=task.column_sizes,
    )
