"""What a pretraining begins with: configuration, vocabulary, weights.

What is not named is looked for beside the checkpoint.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

from bert_keras3 import checkpointing
from bert_keras3.checkpointing.vocabulary import read_vocabulary
from bert_keras3.pretraining.model import BertForPreTraining
from bert_keras3.pretraining.settings import ModelChoices
from bert_keras3.pretraining_data.masking import MASK, Vocabulary
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from tokenization.opening import read_tokens
from tokenization.vocab import (
    guess_do_lower_case,
    is_sentence_pieces,
    require_special_tokens,
)

# A checkpoint that was made for something else has no such heads.
_HEADS = "cls/"


@dataclasses.dataclass(frozen=True)
class StartingPoint:
    """Where the model comes from.

    Attributes:
        choices: what the user said.
        config: sizes and rates.
        vocab_file: the vocabulary, if it is known.
    """

    choices: ModelChoices
    config: BertConfig
    vocab_file: pathlib.Path | None

    @functools.cached_property
    def tokens(self) -> tuple[str, ...] | None:
        """The tokens in the order of their ids, if they are known."""
        if self.vocab_file is None:
            return None
        return read_vocabulary(self.vocab_file)

    @functools.cached_property
    def sentence_pieces(self) -> bytes | None:
        """The SentencePiece model that the tokens are of, if they are."""
        if self.vocab_file is None or not is_sentence_pieces(self.vocab_file):
            return None
        return self.vocab_file.read_bytes()

    @functools.cached_property
    def do_lower_case(self) -> bool:
        """Whether the model is uncased, as far as its files tell."""
        entries = {token: i for i, token in enumerate(self.tokens or ())}
        return guess_do_lower_case(self.choices.init_checkpoint, entries)[0]

    def masking_vocabulary(self) -> Vocabulary:
        """Returns what masks are drawn with.

        Raises:
            UserError: there is no vocabulary, or it lacks a special token.
        """
        if self.vocab_file is None:
            raise UserError(
                "--masking: masks drawn while training need the vocabulary; "
                "name it with --vocab_file"
            )
        entries = read_tokens(self.vocab_file)
        require_special_tokens(
            entries, self.vocab_file, ("[CLS]", "[SEP]", MASK)
        )
        return Vocabulary.of(entries)

    def make_model(
        self, sentence_objective: str, *, lazy_embeddings: bool = False
    ) -> tuple[BertForPreTraining, str]:
        """Makes the model, with the checkpoint's weights if there is one.

        Args:
            sentence_objective: see `BertForPreTraining`.
            lazy_embeddings: see there.

        Returns:
            The model, and what was loaded, in one line.

        Raises:
            UserError: a weight of the encoder is missing or has another
                shape, and may not.
        """
        model = BertForPreTraining(
            self.config, sentence_objective, lazy_embeddings
        )
        checkpoint = self.choices.init_checkpoint
        if checkpoint is None:
            return model, "no --init_checkpoint: all weights are random"
        report = checkpointing.load(
            model,
            checkpoint,
            allow_missing=(_HEADS, *self.choices.allow_missing),
        )
        return model, report.line()


def find_starting_point(choices: ModelChoices) -> StartingPoint:
    """Finds what the user did not name.

    Args:
        choices: what was named.

    Returns:
        The files.

    Raises:
        UserError: one is not there or cannot be read, or the vocabulary has
            more tokens than the model has rows.
    """
    checkpoint = choices.init_checkpoint
    vocab_file = None
    if checkpoint is not None:
        # Opened now, so that a damaged one is found before data is read.
        checkpointing.read(checkpoint)
        config = checkpointing.chosen_config(
            checkpoint, choices.bert_config_file
        )
        vocab_file = checkpointing.locate(checkpoint).vocab_file
    elif choices.bert_config_file is not None:
        config = BertConfig.from_json_file(choices.bert_config_file)
    else:
        raise UserError(
            "there is no model: give a --bert_config_file to start from "
            "random weights, or an --init_checkpoint to go on from"
        )
    config.validate()
    if choices.vocab_file is not None:
        vocab_file = pathlib.Path(choices.vocab_file)
    start = StartingPoint(choices, config, vocab_file)
    if start.tokens is not None and len(start.tokens) > config.vocab_size:
        raise UserError(
            f"{vocab_file}: has {len(start.tokens)} tokens, and the model "
            f"rows for {config.vocab_size} (vocab_size); use the "
            "configuration and the vocabulary that belong together"
        )
    return start
