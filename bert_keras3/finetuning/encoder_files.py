"""The files a classifier starts from: weights, configuration, vocabulary.

What is not named is looked for beside the checkpoint; the formats are
`checkpointing`'s matter.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections import Counter
from typing import NamedTuple

import numpy as np

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.loading import assign, compare
from bert_keras3.finetuning.classifier import BertClassifier
from bert_keras3.finetuning.run_folder import RunFolder
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.opening import Tokenizer, open_tokenizer, read_tokens
from tokenization.vocab import guess_do_lower_case

# As in the original.
DEFAULT_MAX_SEQ_LENGTH = 128

# New for every task, so a checkpoint may lack them or have other ones.
_HEAD = ("output_weights$", "output_bias$")


@dataclasses.dataclass(frozen=True)
class EncoderChoices:
    """What the user said of the model; None means: find it out."""

    init_checkpoint: str | None = None
    bert_config_file: str | None = None
    vocab_file: str | None = None
    do_lower_case: bool | None = None
    max_seq_length: int | None = None
    allow_missing: tuple[str, ...] = ()

    @property
    def longest_input(self) -> int:
        """Tokens of the longest input of a new classifier."""
        if self.max_seq_length is None:
            return DEFAULT_MAX_SEQ_LENGTH
        return self.max_seq_length


class _Place(NamedTuple):
    """A weight that takes no room, to try loading on."""

    path: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    def assign(self, value: np.ndarray) -> None:
        """Drops the value."""


class _Outline(NamedTuple):
    """A model that is nothing but names and shapes."""

    weights: list[_Place]


@dataclasses.dataclass(frozen=True)
class EncoderFiles:
    """Everything about the model that does not depend on the task.

    Attributes:
        choices: what the user said.
        config: sizes and rates.
        vocab_file: the vocabulary.
        do_lower_case: whether texts are lower-cased.
        why_lower_case: the reason, in words.
    """

    choices: EncoderChoices
    config: BertConfig
    vocab_file: pathlib.Path
    do_lower_case: bool
    why_lower_case: str

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the vocabulary."""
        return open_tokenizer(self.vocab_file, self.do_lower_case)

    def make_classifier(
        self, labels: tuple[str, ...]
    ) -> tuple[BertClassifier, str]:
        """Makes a classifier to train: encoder loaded, head random if new.

        Args:
            labels: names, in order.

        Returns:
            The model, and what was loaded, in one line.

        Raises:
            UserError: a weight of the encoder is missing or has another
                shape.
        """
        model = BertClassifier(self.config, labels)
        if self.choices.init_checkpoint is None:
            return model, "no --init_checkpoint: all weights are random"
        report = checkpointing.load(
            model,
            self.choices.init_checkpoint,
            allow_missing=(*_HEAD, *self.choices.allow_missing),
        )
        return model, report.line()

    def check_weights(self) -> None:
        """Checks that the checkpoint fits, before long work is done.

        Raises:
            UserError: a weight of the encoder is missing or has another
                shape, and may not.
        """
        checkpoint = self.choices.init_checkpoint
        if checkpoint is None:
            return
        arrays = checkpointing.read(checkpoint)
        shapes = names.shapes(self.config)
        report = compare(shapes, arrays, checkpoint)
        if report.missing or report.wrong_shape:
            # Loading tells what is allowed, and says what is not.
            assign(
                _Outline([_Place(*item) for item in shapes.items()]),
                arrays,
                checkpoint,
                allow_missing=self.choices.allow_missing,
            )

    def load_all(self, model: BertClassifier) -> str:
        """Loads every weight, the head's too; returns what was loaded.

        Raises:
            UserError: a weight is missing or has another shape.
        """
        report = checkpointing.load(model, str(self.choices.init_checkpoint))
        # `load` lets heads be missing unless told otherwise.
        if report.missing or report.wrong_shape:
            raise UserError(
                f"{self.choices.init_checkpoint}: is no classifier with "
                f"{len(model.labels)} labels: {report.line()}. Train one with "
                "--do_train, or correct --labels_file."
            )
        return report.line()

    def labels(self, labels_file: str | None) -> tuple[str, ...]:
        """Returns the names of a trained classifier's labels.

        Args:
            labels_file: one name a line, after a header or not; None for
                those that a run of this program recorded beside the weights,
                or else to call labels by their numbers.

        Raises:
            UserError: the checkpoint has no classifier, or the file does not
                fit it.
        """
        arrays = checkpointing.read(str(self.choices.init_checkpoint))
        if "output_weights" not in arrays:
            raise UserError(
                f"{self.choices.init_checkpoint}: has no `output_weights`, "
                "so it is no trained classifier. Train one with --do_train."
            )
        count = arrays.shape("output_weights")[0]
        if labels_file is None:
            return self._recorded_labels(count) or tuple(map(str, range(count)))
        return read_labels(labels_file, count)

    def _recorded_labels(self, count: int) -> tuple[str, ...] | None:
        location = checkpointing.locate(str(self.choices.init_checkpoint))
        folder = RunFolder(location.weights.parent)
        if not folder.holds_a_model:
            return None
        labels = folder.read_settings().labels
        return labels if len(labels) == count else None


def read_labels(labels_file: str, count: int) -> tuple[str, ...]:
    """Reads the names of a classifier's labels.

    Args:
        labels_file: one name a line, after a header or not.
        count: rows of the classifier's `output_weights`.

    Raises:
        UserError: the file cannot be read, or does not fit the classifier.
    """
    path = pathlib.Path(labels_file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"--labels_file={path}: cannot be read ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"--labels_file={path}: the byte at offset {error.start} is "
            "not UTF-8; save the file as UTF-8"
        ) from error
    labels = [line.strip() for line in text.split("\n") if line.strip()]
    if len(labels) == count + 1:
        del labels[0]  # a header
    if len(labels) != count:
        raise UserError(
            f"--labels_file={path}: has {len(labels)} lines, the "
            f"checkpoint's `output_weights` have {count} rows; name "
            "every label once, in the order of the rows"
        )
    twice = [label for label, times in Counter(labels).items() if times > 1]
    if twice:
        raise UserError(
            f"--labels_file={path}: names {twice[0]!r} twice; every row "
            "of `output_weights` needs a name of its own"
        )
    return tuple(labels)


def find_files(choices: EncoderChoices) -> EncoderFiles:
    """Finds what the user did not name.

    Args:
        choices: what was named.

    Returns:
        The files.

    Raises:
        UserError: one is not there or cannot be read.
    """
    location = None
    if choices.init_checkpoint is not None:
        location = checkpointing.locate(choices.init_checkpoint)
        # Opened now, so that a damaged one is told before data is read.
        checkpointing.read(choices.init_checkpoint)
    config = _find_config(choices)
    vocab_file = None if location is None else location.vocab_file
    if choices.vocab_file is not None:
        vocab_file = pathlib.Path(choices.vocab_file)
    if vocab_file is None:
        raise UserError(
            "there is no vocabulary: "
            + (
                f"{location.weights.parent} has no vocab.txt and no "
                "SentencePiece model; name one with "
                if location
                else "give an --init_checkpoint with one beside it, or "
            )
            + "--vocab_file"
        )
    if choices.do_lower_case is not None:
        do_lower_case, why = choices.do_lower_case, "as given"
    else:
        do_lower_case, why = guess_do_lower_case(
            choices.init_checkpoint, read_tokens(vocab_file)
        )
    return EncoderFiles(choices, config, vocab_file, do_lower_case, why)


def _find_config(choices: EncoderChoices) -> BertConfig:
    if choices.init_checkpoint is not None:
        return checkpointing.chosen_config(
            choices.init_checkpoint, choices.bert_config_file
        )
    if choices.bert_config_file is None:
        raise UserError(
            "there is no model: give an --init_checkpoint, or a "
            "--bert_config_file and a --vocab_file to start from random "
            "weights"
        )
    return BertConfig.from_json_file(choices.bert_config_file)
