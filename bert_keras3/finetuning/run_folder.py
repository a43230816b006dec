"""The output folder: which file is what, and what is needed to predict later.

The folder alone is enough: the weights, the vocabulary, the configuration
and the settings that the data was read with all lie in it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
from typing import Any

from bert_keras3.checkpointing import load
from bert_keras3.finetuning.classifier import BertClassifier
from bert_keras3.finetuning.lora import has_lora, save_lora
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write
from bert_keras3.training import run_folder as training_run_folder
from modeling.config import BertConfig
from tokenization.opening import Tokenizer, open_tokenizer
from tokenization.vocab import is_sentence_pieces, load_vocab

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
TEST_TSV = "test_results.tsv"
PREDICTIONS = "predictions.csv"
SCRATCH = ".encoded"

# What makes a folder the folder of a run.
_OF_A_RUN = (SETTINGS, STATE, MODEL)

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
    TEST_TSV,
    PREDICTIONS,
)
"""The files that a run writes; not to be replaced if of somebody else's."""


@dataclasses.dataclass(frozen=True)
class ClassifierSettings:
    """How data was read when the classifier was trained."""

    task_name: str
    problem: str
    labels: tuple[str, ...]
    max_seq_length: int
    do_lower_case: bool
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The columns of the training file, for data of task csv."""
    takes_pairs: bool = False
    label_separator: str | None = None
    init_checkpoint: str | None = None
    """Where the weights came from, for the record."""


def training_folder(path: pathlib.Path) -> training_run_folder.RunFolder:
    """Returns the folder of a run as `training.session` knows it."""
    return training_run_folder.RunFolder(
        path,
        training_run_folder.RunFiles(
            (SETTINGS, MODEL), written=WRITTEN, scratch=(SCRATCH,)
        ),
    )


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

    def begin(
        self,
        settings: ClassifierSettings,
        config: BertConfig,
        vocab_file: str | os.PathLike[str],
    ) -> None:
        """Makes the folder, with all that a classifier needs but weights."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_settings(settings)
        self.write_encoder_files(config, vocab_file)

    def write_settings(self, settings: ClassifierSettings) -> None:
        """Writes how data is to be read."""
        with atomic_write(self / SETTINGS) as file:
            json.dump(
                dataclasses.asdict(settings), file, ensure_ascii=False, indent=2
            )
            file.write("\n")

    def read_settings(self) -> ClassifierSettings:
        """Reads how data is to be read.

        Raises:
            UserError: there are no settings, or they are damaged.
        """
        path = self / SETTINGS
        try:
            fields = json.loads(path.read_text("utf-8"))
            fields["labels"] = tuple(fields["labels"])
            return ClassifierSettings(**fields)
        except FileNotFoundError:
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

    def save_model(self, model: BertClassifier) -> None:
        """Writes the weights, and nothing of the optimiser's.

        Those of a model with `lora` are written as their sum, and beside it
        what was learnt.
        """
        with atomic_path(self / MODEL) as temporary:
            model.save(temporary)
        if has_lora(model):
            with atomic_path(self / LORA) as temporary:
                save_lora(temporary, model)

    def load_model(self) -> BertClassifier:
        """Makes the classifier that was trained here.

        Raises:
            UserError: a file is missing or damaged.
        """
        settings = self.read_settings()
        model = BertClassifier(
            BertConfig.from_json_file(self / CONFIG), settings.labels
        )
        self.load_weights(model)
        return model

    def load_weights(self, model: BertClassifier) -> None:
        """Gives a classifier the weights that were kept here.

        Raises:
            UserError: the file is missing or damaged.
        """
        load(model, self / MODEL)

    def load_tokenizer(self) -> Tokenizer:
        """Makes the tokenizer that the classifier was trained with.

        Raises:
            UserError: the vocabulary is missing or damaged.
        """
        return open_tokenizer(
            self.vocab_file, self.read_settings().do_lower_case
        )


def _in_order(vocab: dict[str, int]) -> list[str]:
    """Returns one token for each line; a number without one gets a filler."""
    by_id = {number: token for token, number in vocab.items()}
    return [
        by_id.get(number, f"[missing{number}]")
        for number in range(max(by_id) + 1)
    ]
