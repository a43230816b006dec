"""The output folder: which file is what, and what is needed to predict later.

The folder alone is enough: the weights, the vocabulary, the configuration
and the settings that the data was read with all lie in it.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bert_keras3.finetuning.task import Evaluation
from bert_keras3.finetuning.tasks import TASKS, AnyTask
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write
from tokenization.opening import Tokenizer, open_tokenizer
from tokenization.vocab import is_sentence_pieces, load_vocab

if TYPE_CHECKING:
    from modeling import BertConfig, BertWithHeads

MODEL = "model.keras"
LORA = "lora.safetensors"
CONFIG = "bert_config.json"
VOCABULARY = "vocab.txt"
SENTENCE_PIECES = "spiece.model"
SETTINGS = "classifier.json"
STATE = "training_state/state.safetensors"
LOG = "training_log.jsonl"
TENSORBOARD = "tensorboard"
DATA_REPORT = "data_report.json"
DEV_SPLIT = "dev_split.csv"
EVAL_TEXT = "eval_results.txt"
EVAL_JSON = "eval_results.json"
CONFUSION = "confusion_matrix.csv"
SCRATCH = ".encoded"

# What makes a folder the folder of a run.
_OF_A_RUN = (SETTINGS, STATE, MODEL)

RESULT_FILES = tuple(
    dict.fromkeys(name for task in TASKS.values() for name in task.result_files)
)
"""The files of predictions, of whatever task."""

WRITTEN = (
    *_OF_A_RUN,
    CONFIG,
    VOCABULARY,
    LORA,
    SENTENCE_PIECES,
    LOG,
    DATA_REPORT,
    DEV_SPLIT,
    EVAL_TEXT,
    EVAL_JSON,
    CONFUSION,
    *RESULT_FILES,
)
"""The files that a run writes; not to be replaced if of somebody else's."""


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """How data was read when the model was trained."""

    task_name: str
    """The data set: `csv`, or the name of a benchmark."""
    problem: str
    """The task, a key of `tasks.TASKS`."""
    labels: tuple[str, ...]
    max_seq_length: int
    do_lower_case: bool
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The columns of the training file, for data of one's own."""
    takes_pairs: bool = False
    label_separator: str | None = None
    init_checkpoint: str | None = None
    """Where the weights came from, for the record."""

    @property
    def task(self) -> AnyTask:
        """The task with its labels."""
        return TASKS[self.problem](self.labels)


class RunFolder:
    """The files of one fine-tuning run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Points at a folder, which need not exist yet."""
        self.path = pathlib.Path(path)

    def __truediv__(self, name: str) -> pathlib.Path:
        """Returns the path of a file in the folder."""
        return self.path / name

    @property
    def holds_a_run(self) -> bool:
        """Whether a run has begun here."""
        return any((self / name).exists() for name in _OF_A_RUN)

    @property
    def holds_a_model(self) -> bool:
        """Whether there is something to predict with."""
        return (self / MODEL).exists() and (self / SETTINGS).exists()

    @property
    def vocab_file(self) -> pathlib.Path:
        """The vocabulary: a SentencePiece model, else one token a line."""
        pieces = self / SENTENCE_PIECES
        return pieces if pieces.exists() else self / VOCABULARY

    def clear(self) -> None:
        """Removes the files of a run, and nothing else."""
        for name in WRITTEN:
            (self / name).unlink(missing_ok=True)
        for name in (TENSORBOARD, SCRATCH):
            shutil.rmtree(self / name, ignore_errors=True)

    # What is needed to predict later.

    def begin(
        self,
        settings: RunSettings,
        config: BertConfig,
        vocab_file: str | os.PathLike[str],
    ) -> None:
        """Makes the folder, with all that a model needs but its weights."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_settings(settings)
        with atomic_write(self / CONFIG) as file:
            file.write(config.to_json_string())
        self._copy_vocabulary(vocab_file)

    def write_settings(self, settings: RunSettings) -> None:
        """Writes how data is to be read."""
        self._write_json(SETTINGS, dataclasses.asdict(settings))

    def read_settings(self) -> RunSettings:
        """Reads how data is to be read.

        Raises:
            UserError: there are no settings, or they are damaged.
        """
        path = self / SETTINGS
        try:
            fields = json.loads(path.read_text("utf-8"))
            fields["labels"] = tuple(fields["labels"])
            return RunSettings(**fields)
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: has no {SETTINGS}, so no classifier was "
                "trained here. Train one with --do_train, or give the "
                "--output_dir of a training."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is damaged: {error}") from error

    def _copy_vocabulary(self, vocab_file: str | os.PathLike[str]) -> None:
        if is_sentence_pieces(vocab_file):
            with atomic_path(self / SENTENCE_PIECES) as temporary:
                shutil.copyfile(vocab_file, temporary)
            return
        # One from another run would count more than this one's.
        (self / SENTENCE_PIECES).unlink(missing_ok=True)
        if pathlib.Path(vocab_file).suffix == ".json":
            vocab = load_vocab(vocab_file)
            with atomic_write(self / VOCABULARY, newline="\n") as file:
                file.writelines(f"{token}\n" for token in _in_order(vocab))
        else:
            with atomic_path(self / VOCABULARY) as temporary:
                shutil.copyfile(vocab_file, temporary)

    def load_tokenizer(self) -> Tokenizer:
        """Makes the tokenizer that the model was trained with.

        Raises:
            UserError: the vocabulary is missing or damaged.
        """
        return open_tokenizer(
            self.vocab_file, self.read_settings().do_lower_case
        )

    # Weights.

    def save_model(self, model: BertWithHeads) -> None:
        """Writes the weights, and nothing of the optimiser's.

        Those of a model with LoRA are written as their sum, and beside it
        what was learnt.
        """
        from bert_keras3.finetuning.lora import has_lora, save_lora

        with atomic_path(self / MODEL) as temporary:
            model.save(temporary)
        if has_lora(model):
            with atomic_path(self / LORA) as temporary:
                save_lora(temporary, model)

    def load_model(self) -> BertWithHeads:
        """Makes the model that was trained here.

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
        """Gives a model the weights that were kept here.

        Raises:
            UserError: the file is missing or damaged.
        """
        from bert_keras3.checkpointing import load

        load(model, self / MODEL)

    # Results.

    def write_data_report(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes what is odd about files; what is said of others stays.

        Args:
            files: {"train", "dev" or "test": `EncodedFile.values`}.
        """
        try:
            earlier = json.loads((self / DATA_REPORT).read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            earlier = {}
        self._write_json(DATA_REPORT, {**earlier, **files})

    def write_evaluation(
        self, evaluation: Evaluation, labels: tuple[str, ...], context: Any
    ) -> None:
        """Writes the figures of an evaluation.

        The text file has the original's names and form, `key = value`.

        Args:
            evaluation: the figures.
            labels: names, in order.
            context: more for the JSON file; `global_step` also goes into the
                text file.
        """
        scalars = evaluation.scalars
        # Where the original has figures, its names and no other.
        if "accuracy" in scalars:
            scalars = {name: scalars[name] for name in ("accuracy", "loss")}
        lines = {
            **{f"eval_{name}": value for name, value in scalars.items()},
            "global_step": context["global_step"],
            "loss": scalars["loss"],
        }
        with atomic_write(self / EVAL_TEXT) as file:
            for name in sorted(lines):
                file.write(f"{name} = {lines[name]}\n")
        self._write_json(
            EVAL_JSON,
            {
                **evaluation.scalars,
                **evaluation.details,
                "labels": list(labels),
                **context,
            },
        )
        if evaluation.confusion is not None:
            with atomic_write(self / CONFUSION, newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["true \\ predicted", *labels])
                for label, counts in zip(
                    labels, evaluation.confusion, strict=True
                ):
                    writer.writerow([label, *(int(count) for count in counts)])

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        with atomic_write(self / name) as file:
            json.dump(values, file, ensure_ascii=False, indent=2)
            file.write("\n")


def new_model(config: BertConfig, task: AnyTask) -> BertWithHeads:
    """Makes the model of a task, with random weights."""
    from modeling import BertWithHeads

    return BertWithHeads(config, task.heads, labels=task.labels)


def _in_order(vocab: dict[str, int]) -> list[str]:
    """Returns one token for each line; a number without one gets a filler."""
    by_id = {number: token for token, number in vocab.items()}
    return [
        by_id.get(number, f"[missing{number}]")
        for number in range(max(by_id) + 1)
    ]
