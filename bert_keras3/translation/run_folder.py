"""The output folder of a translator: all that translating needs later."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from bert_keras3.checkpointing import safetensors_file
from bert_keras3.checkpointing.arrays import Arrays, Entry
from bert_keras3.checkpointing.loading import assign
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_path, atomic_write
from bert_keras3.training.run_folder import RunFiles, RunFolder
from bert_keras3.translation.detokenization import Spacing
from modeling.config import BertConfig
from modeling.decoder import EncoderDecoder
from tokenization.tokenizers import FullTokenizer
from tokenization.vocab import tokens_in_order

SETTINGS = "translation.json"
WEIGHTS = "translator.safetensors"
VOCABULARY = "vocab.txt"
TARGET_VOCABULARY = "target_vocab.txt"

FILES = RunFiles(
    signs=(SETTINGS, WEIGHTS), written=(VOCABULARY, TARGET_VOCABULARY)
)


@dataclasses.dataclass(frozen=True)
class TranslatorSettings:
    """What a translator is made of, but its weights and vocabularies."""

    config: BertConfig
    """Of the encoder."""
    decoder_config: BertConfig
    decoder_positions: str
    shared_vocabulary: bool
    do_lower_case: bool
    max_seq_length: int
    spacing: Spacing
    """Of the language that is translated into."""

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {
            **{
                field.name: getattr(self, field.name)
                for field in dataclasses.fields(self)
            },
            "config": self.config.to_dict(),
            "decoder_config": self.decoder_config.to_dict(),
            "spacing": self.spacing.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TranslatorSettings:
        """Returns what `to_dict` wrote.

        Raises:
            KeyError: a value is missing.
            TypeError: there is another one.
            ValueError: one is of another form.
        """
        return cls(
            **{
                **values,
                "config": BertConfig.from_dict(values["config"]),
                "decoder_config": BertConfig.from_dict(
                    values["decoder_config"]
                ),
                "spacing": Spacing.from_dict(values["spacing"]),
            }
        )

    def new_model(self) -> EncoderDecoder:
        """Makes the model with random weights."""
        return EncoderDecoder(
            self.config,
            self.decoder_config,
            self.decoder_positions,
            shared_embeddings=self.shared_vocabulary,
        )


def holds_translator(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the --output_dir of a translator's training."""
    return all((pathlib.Path(path) / one).is_file() for one in FILES.signs)


class TranslatorFolder:
    """The files of one translator.

    Attributes:
        run: the files that every kind of training has.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Does not touch the folder, which need not exist yet."""
        self.run = RunFolder(path, FILES)

    def write(
        self,
        settings: TranslatorSettings,
        source: FullTokenizer,
        target: FullTokenizer,
    ) -> None:
        """Writes all files of a translator but its weights."""
        self.run.write_json(SETTINGS, settings.to_dict())
        _write_vocabulary(self.run / VOCABULARY, source)
        if settings.shared_vocabulary:
            (self.run / TARGET_VOCABULARY).unlink(missing_ok=True)
        else:
            _write_vocabulary(self.run / TARGET_VOCABULARY, target)

    def read_settings(self) -> TranslatorSettings:
        """Reads what the translator is made of.

        Raises:
            UserError: there is no translator, or the file is damaged.
        """
        path = self.run / SETTINGS
        values = self.run.read_json(SETTINGS)
        if values is None or not (self.run / WEIGHTS).exists():
            raise UserError(
                f"{self.run.path}: holds no trained translator; train one "
                "with --do_train, or give the --output_dir of a training"
            )
        try:
            return TranslatorSettings.from_dict(values)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: is damaged: {error!r}") from error

    def tokenizers(
        self, settings: TranslatorSettings
    ) -> tuple[FullTokenizer, FullTokenizer]:
        """Opens the tokenizers of sources and targets.

        Raises:
            UserError: a vocabulary cannot be read.
        """
        source = FullTokenizer(self.run / VOCABULARY, settings.do_lower_case)
        if settings.shared_vocabulary:
            return source, source
        target = FullTokenizer(
            self.run / TARGET_VOCABULARY, settings.do_lower_case
        )
        return source, target

    def save_weights(self, model: EncoderDecoder) -> None:
        """Writes the weights, float32."""
        weights = [one for one in model.weights if "float" in str(one.dtype)]
        with atomic_path(self.run / WEIGHTS) as temporary:
            safetensors_file.write(
                temporary,
                {
                    one.path: Entry(
                        tuple(one.shape), np.dtype(np.float32), one.numpy
                    )
                    for one in weights
                },
            )

    def load_weights(self, model: EncoderDecoder) -> None:
        """Loads the weights.

        Raises:
            UserError: the file is damaged or of another model.
        """
        path = self.run / WEIGHTS
        try:
            with safe_open(path, framework="numpy") as file:
                assign(model, _arrays(file), str(path))
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error


def _arrays(file: Any) -> Arrays:
    """Returns the arrays of an open file, each read on access."""

    def entry(name: str) -> Entry:
        shape: Sequence[int] = file.get_slice(name).get_shape()
        return Entry(
            tuple(shape), np.dtype(np.float32), lambda: file.get_tensor(name)
        )

    return Arrays({name: entry(name) for name in file.keys()})  # noqa: SIM118


def _write_vocabulary(path: pathlib.Path, tokenizer: FullTokenizer) -> None:
    with atomic_write(path, newline="\n") as file:
        file.writelines(
            f"{token}\n" for token in tokens_in_order(tokenizer.vocab)
        )
